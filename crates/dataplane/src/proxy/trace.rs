//! W3C Trace Context: the caller's trace goes on with a span of ours, or a new trace begins (requirements TR-1, TR-2).

use crate::request::{Known, Request};

const LENGTH: usize = 55;

/// The `traceparent` that goes to the service, and whether it continues the client's trace.
#[derive(Clone, Debug)]
pub struct Trace {
    pub outgoing: [u8; LENGTH],
    pub continues: bool,
}

impl Trace {
    /// `random` gives eight random bytes a call. A malformed, repeated or all-zero parent starts a new trace.
    pub fn of(request: &Request, random: &mut impl FnMut() -> u64) -> Self {
        let mut parents = request.headers.iter().filter(|header| header.known == Known::Traceparent);
        let parent = parents.next().map(|header| request.slice(header.value)).filter(|value| is_valid(value));
        let continues = parent.is_some() && parents.next().is_none();
        let mut outgoing = *b"00-00000000000000000000000000000000-0000000000000000-01";
        match parent.filter(|_| continues) {
            Some(parent) => {
                put(&mut outgoing, 3, parent.get(3..35).unwrap_or_default());
                put(&mut outgoing, 53, parent.get(53..55).unwrap_or_default());
            }
            None => {
                put(&mut outgoing, 3, &hexadecimal(random()));
                put(&mut outgoing, 19, &hexadecimal(random() | 1));
            }
        }
        put(&mut outgoing, 36, &hexadecimal(random() | 1));
        Self { outgoing, continues }
    }

    pub fn id(&self) -> &str {
        self.outgoing.get(3..35).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default()
    }
}

fn put(outgoing: &mut [u8; LENGTH], at: usize, bytes: &[u8]) {
    if let Some(place) = outgoing.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn hexadecimal(value: u64) -> [u8; 16] {
    let mut text = [b'0'; 16];
    for (index, digit) in text.iter_mut().enumerate() {
        let nibble = (value >> (60 - 4 * index)) as u8 & 15;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
    text
}

fn is_valid(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(LENGTH) else { return false };
    let dashes = [2, 35, 52].iter().all(|&at| known.get(at) == Some(&b'-'));
    let digits = known
        .iter()
        .enumerate()
        .all(|(at, byte)| matches!(at, 2 | 35 | 52) || byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
    let version = known.get(..2).unwrap_or_default();
    let nonzero = |range: std::ops::Range<usize>| {
        known.get(range).is_some_and(|id| id.iter().any(|byte| *byte != b'0'))
    };
    // Later versions may be longer, after a dash; version 00 may not.
    let length = rest.is_empty() || (version != b"00" && rest.first() == Some(&b'-'));
    dashes && digits && version != b"ff" && nonzero(3..35) && nonzero(36..52) && length
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::request::Header;

    fn outgoing(parents: &[&str]) -> Trace {
        let mut request = Request::new(Ipv4Addr::LOCALHOST.into());
        for parent in parents {
            let name = request.append(b"traceparent");
            let value = request.append(parent.as_bytes());
            request.headers.push(Header { name, value, known: Known::Traceparent });
        }
        Trace::of(&request, &mut || 0x1234)
    }

    #[test]
    fn a_valid_parent_keeps_its_trace_and_flags_and_gets_our_span() {
        let trace = outgoing(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]);
        assert!(trace.continues);
        assert_eq!(trace.id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(&trace.outgoing[36..], b"0000000000001235-00");
    }

    #[test]
    fn a_malformed_or_repeated_parent_starts_a_new_trace() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for parents in [
            vec![],
            vec!["00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            vec!["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            vec!["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
            vec!["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            vec!["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"],
            vec!["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"],
            vec![good, good],
        ] {
            let trace = outgoing(&parents);
            assert!(!trace.continues, "{parents:?}");
            assert_eq!(trace.id(), "00000000000012340000000000001235", "{parents:?}");
        }
    }

    #[test]
    fn a_parent_of_a_later_version_goes_on_as_version_00() {
        let trace = outgoing(&["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-future"]);
        assert!(trace.continues);
        assert_eq!(&trace.outgoing[..3], b"00-");
    }
}

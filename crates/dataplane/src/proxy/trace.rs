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

    /// Thirty-two hexadecimal digits.
    pub fn id(&self) -> &[u8] {
        self.outgoing.get(3..35).unwrap_or_default()
    }
}

fn put(outgoing: &mut [u8; LENGTH], at: usize, bytes: &[u8]) {
    if let Some(place) = outgoing.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Both digits of each byte.
#[expect(clippy::indexing_slicing, reason = "it is evaluated by the compiler")]
const DIGITS: [[u8; 2]; 256] = {
    let (hex, mut all, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < 256 {
        all[byte] = [hex[byte >> 4], hex[byte & 15]];
        byte += 1;
    }
    all
};

fn hexadecimal(value: u64) -> [u8; 16] {
    let mut out = [0; 16];
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(value.to_be_bytes()) {
        *pair = DIGITS.get(usize::from(byte)).copied().unwrap_or_default();
    }
    out
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
    fn hexadecimal_digits_are_those_of_the_formatter() {
        for value in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX, 0x9a9a_a9a9_0f0f_f0f0] {
            assert_eq!(hexadecimal(value), *format!("{value:016x}").as_bytes());
        }
    }

    #[test]
    fn a_valid_parent_keeps_its_trace_and_flags_and_gets_our_span() {
        let trace = outgoing(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]);
        assert!(trace.continues);
        assert_eq!(trace.id(), b"0af7651916cd43dd8448eb211c80319c");
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
            assert_eq!(trace.id(), b"00000000000012340000000000001235", "{parents:?}");
        }
    }

    #[test]
    fn a_parent_of_a_later_version_goes_on_as_version_00() {
        let trace = outgoing(&["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-future"]);
        assert!(trace.continues);
        assert_eq!(&trace.outgoing[..3], b"00-");
    }
}

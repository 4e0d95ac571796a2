//! The request id: the client's where it is sane, ours otherwise.

use crate::intake::headers::Tally;
use crate::request::{Request, Span};

/// Longer ids are replaced (O5).
const MAX_ID_BYTES: usize = 128;

/// Keeps an id that was sent once and is 1 to 128 visible ASCII characters; makes one otherwise.
pub(super) fn settle(tally: &Tally, request: &mut Request) {
    let sent = request.slice(tally.request_id.value);
    let is_sane = tally.request_id.count == 1
        && (1..=MAX_ID_BYTES).contains(&sent.len())
        && sent.iter().all(|byte| matches!(byte, 0x21..=0x7e));
    if is_sane {
        request.id = tally.request_id.value;
    } else {
        identify(request);
    }
}

/// Gives a request an id (a UUID version 4) where it has none: every refusal, a slow head's too, must carry one.
pub fn identify(request: &mut Request) {
    if !request.id.is_empty() {
        return;
    }
    // Ids are unique, not secret, so a fast generator will do.
    let random = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let start = request.text.len() as u32;
    let mut shift = 128;
    while shift > 0 {
        shift -= 4;
        let digit = (random >> shift) as u8 & 15;
        request.text.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        if matches!(shift, 96 | 80 | 64 | 48) {
            request.text.push(b'-');
        }
    }
    request.id = Span { start, end: request.text.len() as u32 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_id_is_a_uuid_of_version_four() {
        let mut request = Request::new([127, 0, 0, 1].into());
        identify(&mut request);
        let id = request.id().to_owned();
        let shape: String = id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]));
        identify(&mut request);
        assert_eq!(request.id(), id);
        request.clear();
        identify(&mut request);
        assert_ne!(request.id(), id);
    }
}

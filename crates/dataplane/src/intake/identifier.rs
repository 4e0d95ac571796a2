//! The request id: the client's where it is sane, ours otherwise.

use crate::intake::headers::Tally;
use crate::request::Request;

/// Longer ids are replaced (O5).
const MAX_ID_BYTES: usize = 128;

const VERSION_FOUR: &[u8; 36] = b"xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";

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
    let (mut low, mut high) = (fastrand::u64(..), fastrand::u64(..));
    let mut id = *VERSION_FOUR;
    for place in &mut id {
        if matches!(*place, b'-' | b'4') {
            continue;
        }
        let random = low as u8 & 15;
        // The two highest bits of this digit say that the id follows RFC 9562.
        let digit = if *place == b'y' { random & 3 | 8 } else { random };
        *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        (low, high) = (low >> 4 | high << 60, high >> 4);
    }
    request.id = request.append(&id);
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

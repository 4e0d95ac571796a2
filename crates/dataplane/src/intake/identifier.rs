//! The request id: the client's where it is sane, ours otherwise.

use crate::intake::headers::Tally;
use crate::request::Request;

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
    request.id = request.append(&version_four());
}

fn version_four() -> [u8; 36] {
    // Ids are unique, not secret, so a fast generator will do.
    let (first, second, third) = (fastrand::u64(..), fastrand::u64(..), fastrand::u64(..));
    // The two highest bits of digit 19 say that the id follows RFC 9562.
    let marked = second & !(0x0c << 24) | 0x08 << 24;
    let words = [first, first >> 4, marked, second >> 4, third].map(eight_digits);
    let mut id = *b"xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx";
    for (place, &digit) in id.iter_mut().zip(words.as_flattened()) {
        *place = if *place == b'x' { digit } else { *place };
    }
    id
}

/// The low half of each byte as a hexadecimal digit, all eight at once.
fn eight_digits(word: u64) -> [u8; 8] {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let digits = word & (ONES * 15);
    // A digit from ten on becomes a letter; adding six to it carries into the high half of its byte.
    let letters = (digits + ONES * 6) >> 4 & ONES;
    (digits + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_le_bytes()
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

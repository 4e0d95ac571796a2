//! Where a head ends. Every line must end with CR LF: whoever takes a bare LF disagrees with those who do not.

use memchr::memchr;

use crate::refusal::Malformed;

/// Gives the length of the head with its empty line, or `None` while that has not arrived.
///
/// `scanned` is where the last call stopped; a head that arrives byte by byte is therefore read once, not once a byte.
/// It must be 0 for a new head, and `bytes` must begin with what the last call saw. Refuses with `BareLineFeed`.
pub fn find(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Malformed> {
    let mut from = *scanned;
    while let Some(offset) = memchr(b'\n', bytes.get(from..).unwrap_or_default()) {
        let at = from + offset;
        if byte_before(bytes, at, 1) != Some(b'\r') {
            return Err(Malformed::BareLineFeed);
        }
        if byte_before(bytes, at, 2) == Some(b'\n') {
            return Ok(Some(at + 1));
        }
        from = at + 1;
    }
    *scanned = bytes.len();
    Ok(None)
}

fn byte_before(bytes: &[u8], at: usize, distance: usize) -> Option<u8> {
    bytes.get(at.checked_sub(distance)?).copied()
}

/// True when a CR stands anywhere but before an LF; the tokeniser refuses it, this says why.
pub(crate) fn has_bare_return(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', head).any(|at| head.get(at + 1) != Some(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut scanned = 0;
        for length in 0..27 {
            assert_eq!(find(&head[..length], &mut scanned), Ok(None), "{length}");
            assert_eq!(scanned, length);
        }
        assert_eq!(find(head, &mut scanned), Ok(Some(27)));
        assert_eq!(find(head, &mut 0), Ok(Some(27)));
    }

    #[test]
    fn a_line_feed_without_its_return_is_refused() {
        for head in [&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], b"\n", b"a\r\n\n", b"a\r\nb\r\r\nc\n\r\n"] {
            assert_eq!(find(head, &mut 0), Err(Malformed::BareLineFeed));
        }
    }

    #[test]
    fn a_return_without_its_line_feed_is_seen() {
        assert!(has_bare_return(b"a\rb\r\n"));
        assert!(has_bare_return(b"a\r"));
        assert!(!has_bare_return(b"a\r\n\r\n"));
    }
}

//! Text of a peer as a JSON string: one line, valid UTF-8, bounded.

/// Writes `bytes` as a quoted JSON string, cut at `limit` bytes of input (at a character's boundary).
///
/// Control characters, line separators and bidirectional overrides are escaped, invalid UTF-8 is replaced by U+FFFD,
/// so that no text can end the line or repaint a terminal.
pub(super) fn quoted(out: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    out.push(b'"');
    unquoted(out, cut(bytes, limit));
    out.push(b'"');
}

/// The same without quotes and without a cut.
#[inline]
pub(super) fn unquoted(out: &mut Vec<u8>, bytes: &[u8]) {
    if all_safe(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escape(out, bytes);
    }
}

/// At most `limit` bytes, and no half character at the end.
#[inline]
pub(super) fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit { bytes } else { cut_long(bytes, limit) }
}

#[cold]
fn cut_long(bytes: &[u8], limit: usize) -> &[u8] {
    let mut end = limit;
    let mut byte = bytes.get(limit).copied().unwrap_or_default();
    // A character has at most three continuation bytes; more of them are invalid text, which may be cut anywhere.
    while byte & 0xC0 == 0x80 && end > 0 && limit - end < 3 {
        end -= 1;
        byte = bytes.get(end).copied().unwrap_or_default();
    }
    bytes.get(..end).unwrap_or_default()
}

/// True where no byte needs an escape. Looks at many bytes at a time; the last ones may overlap those before, which
/// is cheaper than looking at each byte that is left over.
#[inline]
pub(super) fn all_safe(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<16>() else { return medium_safe(bytes) };
    let (blocks, _) = bytes.as_chunks::<16>();
    blocks.iter().all(block_safe) && block_safe(last)
}

/// A loop over a fixed length without a branch, which the compiler turns into vector code.
#[inline(always)]
fn block_safe(block: &[u8; 16]) -> bool {
    !block
        .iter()
        .fold(false, |found, &byte| found | !(b' '..=b'~').contains(&byte) | (byte == b'"') | (byte == b'\\'))
}

/// The same for fewer than sixteen bytes.
#[inline]
fn medium_safe(bytes: &[u8]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
        return short_safe(bytes);
    };
    (unsafe_bits(*first) | unsafe_bits(*last)) == 0
}

/// The same for fewer than eight bytes.
fn short_safe(bytes: &[u8]) -> bool {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some([a, b, c, d]), Some([e, f, g, h])) => unsafe_bits([*a, *b, *c, *d, *e, *f, *g, *h]) == 0,
        (_, _) => bytes.iter().all(|&byte| unsafe_bits([byte; 8]) == 0),
    }
}

/// Zero where all eight bytes are printable ASCII other than `"` and `\`.
///
/// A byte is zero exactly if taking 1 from it borrows while its high bit was clear; a borrow can also reach the byte
/// above, but only from a byte that is itself reported, so the answer for all eight together is exact.
fn unsafe_bits(bytes: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let word = u64::from_le_bytes(bytes);
    let below = |limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference
    };
    (word | below(b' ') | equal(b'"') | equal(b'\\') | equal(0x7F)) & HIGH
}

#[cold]
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for part in bytes.utf8_chunks() {
        escape_characters(out, part.valid());
        if !part.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

fn escape_characters(out: &mut Vec<u8>, text: &str) {
    let mut buffer = [0; 4];
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            _ if must_escape(character) => escape_code(out, character as u32),
            _ => out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        }
    }
}

/// C0, DEL and C1 controls; line and paragraph separators; marks that change the direction of what follows.
fn must_escape(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// All characters that are escaped are below U+10000: four digits are enough.
fn escape_code(out: &mut Vec<u8>, code: u32) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit((code >> shift) & 0xF, 16).unwrap_or('0');
        out.push(digit as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8], limit: usize) -> String {
        let mut out = Vec::new();
        quoted(&mut out, bytes, limit);
        String::from_utf8(out).expect("what is written is UTF-8")
    }

    #[test]
    fn safe_text_is_copied() {
        assert_eq!(text(b"Mozilla/5.0 (X11; Linux) 'x' ~", 512), "\"Mozilla/5.0 (X11; Linux) 'x' ~\"");
    }

    #[test]
    fn exactly_the_unsafe_bytes_are_found_at_every_offset() {
        for (length, byte) in (1..40).flat_map(|length| (0..=u8::MAX).map(move |byte| (length, byte))) {
            let is_safe = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            for offset in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[offset] = byte;
                assert_eq!(all_safe(&bytes), is_safe, "{byte:#x} at {offset} of {length}");
            }
        }
    }

    #[test]
    fn control_characters_and_line_separators_are_escaped() {
        let written = text("a\r\n\0\u{7F}\u{85}\u{2028}\u{202E}é".as_bytes(), 512);
        assert_eq!(written, "\"a\\r\\n\\u0000\\u007f\\u0085\\u2028\\u202eé\"");
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(text(b"a\xFFb\xE2\x82", 512), "\"a\u{FFFD}b\u{FFFD}\"");
    }

    #[test]
    fn a_cut_leaves_no_half_character() {
        assert_eq!(text("aé€".as_bytes(), 2), "\"a\"");
        assert_eq!(text("aé€".as_bytes(), 5), "\"aé\"");
        assert_eq!(text("aé€".as_bytes(), 6), "\"aé€\"");
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_line_of_json(bytes in proptest::collection::vec(any::<u8>(), 0..200), limit in 0usize..220) {
            let written = text(&bytes, limit);
            let read: String = serde_json::from_str(&written).expect("valid JSON");
            prop_assert!(!written.chars().any(must_escape));
            if let Ok(valid) = std::str::from_utf8(&bytes) {
                prop_assert!(valid.starts_with(&read));
                prop_assert!(limit < bytes.len() || read == valid);
            }
        }
    }
}

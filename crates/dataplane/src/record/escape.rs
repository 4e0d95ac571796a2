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
pub(super) fn unquoted(out: &mut Vec<u8>, bytes: &[u8]) {
    if all_safe(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escape(out, bytes);
    }
}

/// At most `limit` bytes, and no half character at the end.
pub(super) fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    let Some(next) = bytes.get(limit) else { return bytes };
    let mut end = limit;
    let mut byte = *next;
    // A character has at most three continuation bytes; more of them are invalid text, which may be cut anywhere.
    while byte & 0xC0 == 0x80 && end > 0 && limit - end < 3 {
        end -= 1;
        byte = bytes.get(end).copied().unwrap_or_default();
    }
    bytes.get(..end).unwrap_or_default()
}

/// Looks at sixteen bytes at a time without a branch between them, which the compiler turns into vector compares.
fn all_safe(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<16>();
    blocks.iter().all(|block| block.iter().fold(true, |safe, &byte| safe & is_safe(byte)))
        && rest.iter().fold(true, |safe, &byte| safe & is_safe(byte))
}

const fn is_safe(byte: u8) -> bool {
    (byte >= 0x20) & (byte < 0x7F) & (byte != b'"') & (byte != b'\\')
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
    fn an_unsafe_byte_is_found_at_every_offset() {
        for offset in 0..40 {
            for byte in [b'"', b'\\', b'\n', 0x1F, 0x7F, 0x80, 0xFF] {
                let mut bytes = vec![b'a'; 40];
                bytes[offset] = byte;
                assert!(!all_safe(&bytes), "{byte:#x} at {offset}");
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

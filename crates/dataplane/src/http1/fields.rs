//! Header fields as they come from the tokeniser, copied once into the message's own text.

use std::mem::MaybeUninit;

use crate::request::Span;

/// More headers than this are refused, on both sides.
pub const MAX_HEADERS: usize = 100;

/// Room for the tokeniser; on the stack and never initialised, so it costs nothing.
pub type Slots<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_HEADERS];

pub fn slots<'b>() -> Slots<'b> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// Copies `head` behind `text` in one piece and gives what turns its slices into spans of `text`.
pub(crate) fn copy_head(head: &[u8], text: &mut Vec<u8>) -> Block {
    let block = Block { head_start: head.as_ptr() as usize, text_start: text.len() };
    text.extend_from_slice(head);
    block
}

/// Makes a part of `text` lower case and gives it.
pub(crate) fn lower_case(text: &mut [u8], span: Span) -> &[u8] {
    let part = text.get_mut(span.start as usize..span.end as usize).unwrap_or_default();
    part.make_ascii_lowercase();
    part
}

/// Where a copied head was and is.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    head_start: usize,
    text_start: usize,
}

impl Block {
    /// The copy of a slice of the head.
    pub(crate) fn span(self, slice: &[u8]) -> Span {
        // The tokeniser may give an empty slice from anywhere.
        if slice.is_empty() {
            return Span::default();
        }
        let start = self.text_start + (slice.as_ptr() as usize).saturating_sub(self.head_start);
        Span { start: start as u32, end: (start + slice.len()) as u32 }
    }
}

/// The elements of a comma-separated list, without white space around them; empty ones are left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Without spaces and tabs at both ends; other white space is not white space in HTTP.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// `token` of RFC 9110 section 5.6.2: what methods and header names are made of.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
        | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// A length by RFC 9110 section 8.6: digits and nothing else, at most 19, so that it always fits.
pub(crate) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value
        .iter()
        .try_fold(0_u64, |sum, &byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_only() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"0042"), Some(42));
        assert_eq!(parse_length(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        for wrong in ["", "+1", "-1", "1 ", " 1", "0x10", "1,1", "1_0", "10000000000000000000", "1.0", "1;q"]
        {
            assert_eq!(parse_length(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_list_is_cut_at_commas_only() {
        let elements: Vec<_> = list(b" a ,,\tb c,").collect();
        assert_eq!(elements, [&b"a"[..], b"b c"]);
        assert_eq!(trim(b" \t "), b"");
    }
}

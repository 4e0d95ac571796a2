//! Words outside strings: names, numbers, keywords, and the characters between them.

use super::fault::{Checked, fault};

/// Longer numbers cannot be 64-bit integers, and longer decimals say no more.
const MAX_NUMBER: usize = 30;
const KEYWORDS: [&str; 6] = ["#true", "#false", "#null", "#inf", "#-inf", "#nan"];

/// White space of KDL 2 that does not end a line.
pub(super) fn is_space(character: char) -> bool {
    matches!(
        character,
        '\t' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

pub(super) fn is_newline(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}')
}

/// Invisible characters that KDL 2 allows nowhere but escaped.
pub(super) fn is_disallowed(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

fn ends_word(character: char) -> bool {
    is_space(character)
        || is_newline(character)
        || r#"\/(){}[];"#.contains(character)
        || matches!(character, '"' | '=')
}

fn word(rest: &str) -> &str {
    rest.get(..rest.find(ends_word).unwrap_or(rest.len())).unwrap_or("")
}

/// Whether a word that passed [`length`] is a text and so may name a node or a property.
pub(super) fn is_identifier(rest: &str) -> bool {
    !word(rest).starts_with('#') && !looks_numeric(word(rest))
}

/// Bytes of the word that the text begins with.
pub(super) fn length(rest: &str, offset: usize) -> Checked<usize> {
    let word = word(rest);
    if let Some(found) = word.chars().find(|character| is_disallowed(*character)) {
        return fault(offset, format!("invisible character U+{:04X}; remove it", u32::from(found)));
    }
    if KEYWORDS.contains(&word) {
        return Ok(word.len());
    }
    if matches!(word, "true" | "false" | "null" | "inf" | "-inf" | "nan") {
        return fault(offset, format!("write `#{word}`, or \"{word}\" for the text"));
    }
    if word.contains('#') {
        return fault(
            offset,
            "`#` begins `#true`, `#false`, `#null` or a raw string; quote a text that has it",
        );
    }
    if looks_numeric(word) && (word.len() > MAX_NUMBER || !is_number(word)) {
        return fault(offset, format!("`{}` is not a number; quote it", shortened(word)));
    }
    Ok(word.len())
}

fn shortened(word: &str) -> String {
    word.chars().take(MAX_NUMBER).collect()
}

fn unsigned(word: &str) -> &str {
    word.strip_prefix(['-', '+']).unwrap_or(word)
}

/// KDL lets no name begin like a number.
fn looks_numeric(word: &str) -> bool {
    let body = unsigned(word);
    body.strip_prefix('.').unwrap_or(body).starts_with(|first: char| first.is_ascii_digit())
}

fn is_number(word: &str) -> bool {
    let body = unsigned(word);
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = body.strip_prefix(prefix) {
            return are_digits(digits, radix);
        }
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(unsigned(exponent))),
        None => (body, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    are_digits(whole, 10) && [fraction, exponent].into_iter().flatten().all(|digits| are_digits(digits, 10))
}

fn are_digits(digits: &str, radix: u32) -> bool {
    !digits.starts_with('_')
        && !digits.is_empty()
        && digits.chars().all(|digit| digit == '_' || digit.is_digit(radix))
}

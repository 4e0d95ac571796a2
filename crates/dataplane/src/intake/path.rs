//! The one form of a path. What is matched, authorised, limited, recorded and forwarded is this and nothing else.

use crate::refusal::Malformed;
use crate::snapshot::document::PathParameters;

/// Appends the canonical form of `raw` (a path without query) to `out`; doing it twice changes nothing.
///
/// Unreserved characters are decoded, then `//` merged and dot segments resolved; every other escape is kept in upper
/// case, and a character that a URI may not hold is escaped. A slash at the end stays.
/// Refuses what services read in different ways: see `Malformed`. `out` is as before on a refusal.
pub fn canonical_path(raw: &[u8], parameters: PathParameters, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if is_canonical(raw) {
        out.extend_from_slice(raw);
        return Ok(());
    }
    append_canonical(raw, parameters, out)
}

/// The same for a path that `is_canonical` has found wanting.
pub(super) fn append_canonical(
    raw: &[u8],
    parameters: PathParameters,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    if raw.first() != Some(&b'/') {
        return Err(Malformed::Target);
    }
    let start = out.len();
    let answer = rewrite(raw, parameters, out);
    if answer.is_err() {
        out.truncate(start);
    }
    answer
}

/// True for most paths: one look at each byte is all that there is to do.
fn is_canonical(raw: &[u8]) -> bool {
    raw.first() == Some(&b'/') && canonical_length(raw) == raw.len()
}

/// How far the path is canonical already, if it begins with a slash: to its end, or to the byte that is not.
pub(super) fn canonical_length(raw: &[u8]) -> usize {
    let mut previous = Class::Other;
    for (place, &byte) in raw.iter().enumerate() {
        let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Other);
        let is_doubtful = class == Class::Other
            || (previous == Class::Slash && (class == Class::Slash || class == Class::Dot));
        if is_doubtful {
            return place;
        }
        previous = class;
    }
    raw.len()
}

/// What `canonical_length` must know of a byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Dot,
    Slash,
    /// To be rewritten or refused.
    Other,
}

#[expect(clippy::indexing_slicing, reason = "the compiler itself would refuse a place that does not exist")]
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            b';' => Class::Other,
            other if is_path_byte(other) => Class::Plain,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// `pchar` of RFC 3986 without `%`, and the slash.
const fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

const fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

fn rewrite(raw: &[u8], parameters: PathParameters, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let root = out.len();
    out.push(b'/');
    let mut segments = raw.get(1..).unwrap_or_default().split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        decode(segment, parameters, out)?;
        match out.get(start..).unwrap_or_default() {
            // Judged after decoding: `%25%32e` has become `%252e`.
            decoded if has_escaped_separator(decoded) => return Err(Malformed::PathEscape),
            b"" => {}
            b"." => out.truncate(start),
            b".." => {
                out.truncate(start);
                drop_segment(root, out)?;
            }
            decoded => {
                if is_dots_with_parameters(decoded) {
                    return Err(Malformed::PathParameters);
                }
                if segments.peek().is_some() {
                    out.push(b'/');
                }
            }
        }
    }
    Ok(())
}

/// Takes the last segment away. Above the root there is nothing: such a path was made to escape something.
fn drop_segment(root: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if out.len() <= root + 1 {
        return Err(Malformed::Target);
    }
    out.pop();
    while out.last().is_some_and(|&byte| byte != b'/') {
        out.pop();
    }
    Ok(())
}

/// Servlet containers cut parameters off before they resolve dots, so `/a/..;x/b` is `/b` to them (CVE-2026-73551).
fn is_dots_with_parameters(segment: &[u8]) -> bool {
    let Some(rest) = segment.strip_prefix(b"..").or_else(|| segment.strip_prefix(b".")) else { return false };
    rest.starts_with(b";") || rest.starts_with(b"%3B")
}

fn decode(segment: &[u8], parameters: PathParameters, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut rest = segment;
    let mut previous_escape = 0;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            plain_byte(byte, parameters, out)?;
            previous_escape = 0;
            continue;
        }
        let (value, after) = escape(rest).ok_or(Malformed::PathEscape)?;
        check_escape(value, previous_escape, parameters)?;
        previous_escape = value;
        rest = after;
        if is_unreserved(value) { out.push(value) } else { push_escaped(value, out) }
    }
    Ok(())
}

fn plain_byte(byte: u8, parameters: PathParameters, out: &mut Vec<u8>) -> Result<(), Malformed> {
    match byte {
        b';' if parameters == PathParameters::Refuse => Err(Malformed::PathParameters),
        b'\\' => Err(Malformed::PathSeparator),
        b'#' => Err(Malformed::Fragment),
        // Never in a request's path, but a rewrite could make one: it would turn the rest into a query.
        b'?' => Err(Malformed::Target),
        0..=0x20 | 0x7f.. => Err(Malformed::PathControl),
        _ if is_path_byte(byte) => {
            out.push(byte);
            Ok(())
        }
        // `|` and `%7C` are one path to every service, so they are one path to every rule.
        _ => {
            push_escaped(byte, out);
            Ok(())
        }
    }
}

fn check_escape(value: u8, previous: u8, parameters: PathParameters) -> Result<(), Malformed> {
    match value {
        0..=0x1f | 0x7f => Err(Malformed::PathControl),
        b'/' | b'\\' => Err(Malformed::PathSeparator),
        b';' if parameters == PathParameters::Refuse => Err(Malformed::PathParameters),
        // Overlong UTF-8: lenient decoders make a dot or a slash of it.
        0xc0 | 0xc1 => Err(Malformed::PathEscape),
        0x80..=0x9f if previous == 0xe0 => Err(Malformed::PathEscape),
        0x80..=0x8f if previous == 0xf0 => Err(Malformed::PathEscape),
        _ => Ok(()),
    }
}

/// Does a service that decodes again, once or more often, see a separator, a dot or a NUL?
fn has_escaped_separator(segment: &[u8]) -> bool {
    memchr::memmem::find_iter(segment, b"%25").any(|at| {
        let mut after = segment.get(at + 3..).unwrap_or_default();
        while let Some(rest) = after.strip_prefix(b"25") {
            after = rest;
        }
        matches!(after, [b'2', b'e' | b'E' | b'f' | b'F', ..] | [b'5', b'c' | b'C', ..] | [b'0', b'0', ..])
    })
}

fn escape(after: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = after.split_first_chunk()?;
    let (high, low) = (char::from(high).to_digit(16)?, char::from(low).to_digit(16)?);
    Some(((high << 4 | low) as u8, rest))
}

fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'A' + value - 10 };
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;

//! Heads of the usual form, cut in one pass.
//!
//! Accepts a part of what `head_end` and the tokeniser accept, and finds the same in it. Everything else, the malformed
//! as well as the merely rare, gives `None` and is left to those two: they alone say what is wrong with a head.

use crate::http1::block::{end_of_run, end_of_value, lower_case_name};
use crate::http1::fields::MAX_HEADERS;
use crate::request::{Method, Span, Version};

/// Bytes that are copied without a look for the head's end.
const SHORT: usize = 1024;
const LINE_END: &[u8; 2] = b"\r\n";

/// A request line. The method stands at its beginning, the target one space behind it.
pub(crate) struct RequestLine<'b> {
    pub(crate) method: &'b [u8],
    pub(crate) kind: Method,
    pub(crate) target: &'b [u8],
    pub(crate) version: Version,
}

/// Gives the request line and where the next line begins.
pub(crate) fn request_line(bytes: &[u8]) -> Option<(RequestLine<'_>, usize)> {
    let space = bytes.iter().take(8).position(|&byte| byte == b' ')?;
    let method = bytes.get(..space)?;
    let kind = Method::from_bytes(method);
    if kind == Method::Other {
        return None;
    }
    let end = end_of_run(bytes, space + 1, |block| !block.within(b'!'..=b'~'));
    let target = bytes.get(space + 1..end).filter(|target| !target.is_empty())?;
    let version = match bytes.get(end..)?.first_chunk()? {
        b" HTTP/1.1\r\n" => Version::Http11,
        b" HTTP/1.0\r\n" => Version::Http10,
        _ => return None,
    };
    Some((RequestLine { method, kind, target, version }, end + 11))
}

/// Gives version and status of a response, and where the next line begins.
pub(crate) fn status_line(bytes: &[u8]) -> Option<(Version, u16, usize)> {
    let (line, _) = bytes.split_first_chunk::<13>()?;
    let (version, digits) = match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', digits @ .., b' '] => {
            (Version::Http11, digits)
        }
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b' ', digits @ .., b' '] => {
            (Version::Http10, digits)
        }
        _ => return None,
    };
    let status = digits
        .iter()
        .try_fold(0_u16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))?;
    let end = end_of_value(bytes, line.len());
    ends_line(bytes, end).then_some((version, status, end + LINE_END.len()))
}

/// The bytes that hold a whole head, perhaps with more behind it; `None` where the head is not complete.
///
/// Copying a little too much is cheaper than looking for the end; copying a long body is not.
pub(crate) fn likely_head(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.len() <= SHORT {
        return Some(bytes);
    }
    bytes.get(..memchr::memmem::find(bytes, b"\r\n\r\n")? + 4)
}

/// Makes the header names from `at` on lower case; gives each name, and the places of name and value in `bytes`.
/// Returns the length of the whole head.
#[inline(always)]
pub(crate) fn fields(
    bytes: &mut [u8],
    mut at: usize,
    mut give: impl FnMut(&[u8], Span, Span),
) -> Option<usize> {
    for _ in 0..=MAX_HEADERS {
        if ends_line(bytes, at) {
            return Some(at + LINE_END.len());
        }
        let colon = lower_case_name(bytes, at);
        let name = bytes.get(at..colon).filter(|name| !name.is_empty())?;
        let (start, end, next) = value(bytes, colon)?;
        give(name, span(at, colon), span(start, end));
        at = next;
    }
    None
}

/// Start and end of a value, and where the next line begins.
#[inline(always)]
fn value(bytes: &[u8], colon: usize) -> Option<(usize, usize, usize)> {
    let mut start = colon + 1;
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    while bytes.get(start) == Some(&b' ') {
        start += 1;
    }
    let line_end = end_of_value(bytes, start);
    if !ends_line(bytes, line_end) {
        return None;
    }
    let mut end = line_end;
    while end > start && bytes.get(end - 1) == Some(&b' ') {
        end -= 1;
    }
    Some((start, end, line_end + LINE_END.len()))
}

fn ends_line(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..).and_then(|rest| rest.first_chunk()) == Some(LINE_END)
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

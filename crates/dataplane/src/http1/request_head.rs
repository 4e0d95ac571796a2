//! The tokens of a request head, and what exactly was wrong where there are none.

use crate::http1::fields::Slots;
use crate::http1::head_end::has_bare_return;
use crate::refusal::Malformed;
use crate::request::Version;

/// What the tokeniser found. With a `fault`, the parts before it are still there: the record names them.
pub struct Tokens<'h, 'b> {
    pub method: Option<&'b str>,
    pub target: Option<&'b [u8]>,
    pub version: Option<Version>,
    pub fields: &'h [httparse::Header<'b>],
    pub fault: Option<Malformed>,
}

/// Cuts a whole head (as `head_end::find` gave it, without an empty line in front) into its tokens.
///
/// Refuses, as `fault`: what is not a request line, space before a colon, folded lines, control characters,
/// names that are no tokens, more than 100 headers, other versions than 1.0 and 1.1.
pub fn tokenise<'h, 'b>(head: &'b [u8], slots: &'h mut Slots<'b>) -> Tokens<'h, 'b> {
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(head, slots);
    let version = parsed.version.map(|minor| if minor == 0 { Version::Http10 } else { Version::Http11 });
    let fault = match outcome {
        Ok(httparse::Status::Complete(length)) if length == head.len() => None,
        Ok(_) => Some(Malformed::RequestLine),
        Err(error) => Some(diagnose(error, head, &parsed)),
    };
    let fields: &[httparse::Header<'b>] = if fault.is_none() { parsed.headers } else { &[] };
    Tokens { method: parsed.method, target: parsed.path.map(str::as_bytes), version, fields, fault }
}

#[cold]
fn diagnose(error: httparse::Error, head: &[u8], parsed: &httparse::Request<'_, '_>) -> Malformed {
    if has_bare_return(head) {
        return Malformed::BareLineFeed;
    }
    match error {
        httparse::Error::TooManyHeaders => Malformed::TooManyHeaders,
        httparse::Error::Version => Malformed::Version,
        httparse::Error::HeaderName if has_folded_line(head) => Malformed::ObsoleteFolding,
        httparse::Error::HeaderName => Malformed::HeaderName,
        httparse::Error::HeaderValue if has_folded_line(head) => Malformed::ObsoleteFolding,
        httparse::Error::HeaderValue => Malformed::HeaderValue,
        httparse::Error::Token | httparse::Error::NewLine | httparse::Error::Status => {
            diagnose_line(head, parsed)
        }
    }
}

fn has_folded_line(head: &[u8]) -> bool {
    head.windows(2).any(|pair| matches!(pair, [b'\n', b' ' | b'\t']))
}

fn diagnose_line(head: &[u8], parsed: &httparse::Request<'_, '_>) -> Malformed {
    if parsed.method.is_none() {
        return Malformed::Method;
    }
    if parsed.path.is_some() {
        return Malformed::RequestLine;
    }
    let target = head.split(|&byte| byte == b' ' || byte == b'\r').nth(1).unwrap_or_default();
    target_fault(target).unwrap_or(Malformed::RequestLine)
}

/// What stands in a target that may not stand in any: controls, bytes outside ASCII, a fragment.
fn target_fault(target: &[u8]) -> Option<Malformed> {
    let at = target.iter().position(|byte| !matches!(byte, 0x21..=0x7e) || *byte == b'#')?;
    let before = target.get(..at).unwrap_or_default();
    Some(match target.get(at) {
        Some(b'#') => Malformed::Fragment,
        Some(_) | None if before.contains(&b'?') => Malformed::Query,
        Some(_) | None => Malformed::PathControl,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::fields::slots;

    fn fault(head: &str) -> Option<Malformed> {
        tokenise(head.as_bytes(), &mut slots()).fault
    }

    #[test]
    fn a_plain_head_is_cut_into_its_tokens() {
        let mut slots = slots();
        let tokens = tokenise(b"GET /a?b HTTP/1.0\r\nHost:  a \r\nX-Empty:\r\n\r\n", &mut slots);
        assert_eq!((tokens.method, tokens.version), (Some("GET"), Some(Version::Http10)));
        assert_eq!(tokens.target, Some(&b"/a?b"[..]));
        let fields: Vec<_> = tokens.fields.iter().map(|field| (field.name, field.value)).collect();
        assert_eq!(fields, [("Host", &b"a"[..]), ("X-Empty", b"")]);
    }

    #[test]
    fn each_fault_has_its_own_name() {
        let line = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (head, expected) in [
            (format!("{line}X: a\rb\r\n\r\n"), Malformed::BareLineFeed),
            (format!("{line}X: a\r\n folded\r\n\r\n"), Malformed::ObsoleteFolding),
            (format!("{line}X : a\r\n\r\n"), Malformed::HeaderName),
            (format!("{line}X\r\n\r\n"), Malformed::HeaderName),
            (format!("{line}: empty name\r\n\r\n"), Malformed::HeaderName),
            (format!("{line}X: a\0b\r\n\r\n"), Malformed::HeaderValue),
            (format!("{line}X: a\u{7f}b\r\n\r\n"), Malformed::HeaderValue),
            (format!("{line}{}\r\n", "X: a\r\n".repeat(100)), Malformed::TooManyHeaders),
            ("G(T / HTTP/1.1\r\n\r\n".into(), Malformed::Method),
            ("GET / HTTP/2.0\r\n\r\n".into(), Malformed::Version),
            ("GET / http/1.1\r\n\r\n".into(), Malformed::Version),
            ("GET /\r\n\r\n".into(), Malformed::RequestLine),
            ("GET  / HTTP/1.1\r\n\r\n".into(), Malformed::RequestLine),
            ("GET / HTTP/1.1 \r\n\r\n".into(), Malformed::RequestLine),
            ("GET /\u{1} HTTP/1.1\r\n\r\n".into(), Malformed::PathControl),
        ] {
            assert_eq!(fault(&head), Some(expected), "{head:?}");
        }
    }

    #[test]
    fn what_came_before_a_fault_is_kept() {
        let mut slots = slots();
        let tokens = tokenise(b"PUT /a HTTP/1.1\r\nX : 1\r\n\r\n", &mut slots);
        assert_eq!((tokens.method, tokens.target), (Some("PUT"), Some(&b"/a"[..])));
    }
}

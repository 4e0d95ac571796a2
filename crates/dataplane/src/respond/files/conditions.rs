//! Conditional requests (RFC 9110 section 13): has the client what it asks for, or not what it thinks?

use crate::http1::fields::list;
use crate::request::{Method, Request};
use crate::respond::date_parse::parse_http_date;

/// What a client may remember of a file.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// With its quotes; always strong.
    pub etag: &'a str,
    /// Epoch second.
    pub modified: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Send,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// In the order of section 13.2.2.
pub fn judge(request: &Request, validators: Validators<'_>) -> Judgement {
    if let Some(matches) = any_tag(request, b"if-match", |tag| tag == validators.etag.as_bytes()) {
        if !matches {
            return Judgement::Failed;
        }
    } else if date(request, b"if-unmodified-since").is_some_and(|since| validators.modified > since) {
        return Judgement::Failed;
    }
    let is_read = matches!(request.method, Method::Get | Method::Head);
    let weakly = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag) == validators.etag.as_bytes();
    if let Some(matches) = any_tag(request, b"if-none-match", weakly) {
        if matches {
            return if is_read { Judgement::NotModified } else { Judgement::Failed };
        }
    } else if is_read && date(request, b"if-modified-since").is_some_and(|since| validators.modified <= since)
    {
        return Judgement::NotModified;
    }
    Judgement::Send
}

/// A part is of use only to a client that has the rest of the same file.
pub fn range_applies(request: &Request, validators: Validators<'_>) -> bool {
    let Some(condition) = request.values(b"if-range").next() else { return true };
    if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
        return condition == validators.etag.as_bytes();
    }
    parse_http_date(condition) == Some(validators.modified)
}

/// `None` without the header. `*` is any file that there is.
fn any_tag(request: &Request, name: &[u8], fits: impl Fn(&[u8]) -> bool) -> Option<bool> {
    request.values(name).next()?;
    Some(request.values(name).flat_map(list).any(|tag| tag == b"*" || fits(tag)))
}

/// A date that is none says nothing, and neither do two.
fn date(request: &Request, name: &[u8]) -> Option<u64> {
    let mut values = request.values(name);
    let value = values.next()?;
    values.next().is_none().then(|| parse_http_date(value))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Header;

    const FILE: Validators<'static> = Validators { etag: "\"a\"", modified: 784_111_777 };
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn asked(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(std::net::Ipv4Addr::LOCALHOST.into());
        for (name, value) in headers {
            let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
            request.headers.push(Header { name, value, ..Header::default() });
        }
        request
    }

    #[test]
    fn each_condition_is_judged_and_tags_go_before_dates() {
        use Judgement::{Failed, NotModified, Send};
        for (headers, expected) in [
            (&[][..], Send),
            (&[("if-none-match", "\"a\"")], NotModified),
            (&[("if-none-match", "W/\"a\"")], NotModified),
            (&[("if-none-match", "\"b\", \"a\"")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"b\"")], Send),
            (&[("if-none-match", "\"b\""), ("if-modified-since", THEN)], Send),
            (&[("if-modified-since", THEN)], NotModified),
            (&[("if-modified-since", BEFORE)], Send),
            (&[("if-modified-since", "yesterday")], Send),
            (&[("if-match", "\"a\"")], Send),
            (&[("if-match", "*")], Send),
            (&[("if-match", "W/\"a\"")], Failed),
            (&[("if-match", "\"b\"")], Failed),
            (&[("if-match", "\"a\""), ("if-unmodified-since", BEFORE)], Send),
            (&[("if-unmodified-since", THEN)], Send),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], NotModified),
        ] {
            assert_eq!(judge(&asked(headers), FILE), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_part_is_sent_only_of_the_same_file() {
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            (THEN, true),
            (BEFORE, false),
            ("x", false),
        ] {
            assert_eq!(range_applies(&asked(&[("if-range", value)]), FILE), expected, "{value}");
        }
        assert!(range_applies(&asked(&[]), FILE));
    }
}

//! Answers that need no service: redirects, fixed responses, health, CORS preflights.

use crate::exchange::{Exchange, ResponseBody};
use crate::request::{Method, Request};
use crate::respond::policy::Present;
use crate::respond::{Facts, write_ours};

/// A response that is known when the configuration is compiled.
#[derive(Debug)]
pub struct Fixed {
    pub status: u16,
    /// `name: value CR LF` lines.
    pub lines: Vec<u8>,
    pub body: Vec<u8>,
    /// Of a redirect.
    pub location: Option<Location>,
}

/// Where a redirect leads: text in which `{path}` and `{query}` stand for those of the request.
#[derive(Debug)]
pub struct Location {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    /// Canonical: one slash in front, so it cannot name another host.
    Path,
    /// With its `?`, where there is one.
    Query,
}

impl Location {
    fn compile(text: &str) -> Self {
        let mut parts = Vec::new();
        for piece in text.split_inclusive('}') {
            let (before, part) = if let Some(before) = piece.strip_suffix("{path}") {
                (before, Some(Part::Path))
            } else if let Some(before) = piece.strip_suffix("{query}") {
                (before, Some(Part::Query))
            } else {
                (piece, None)
            };
            parts.push(Part::Text(before.into()));
            parts.extend(part);
        }
        Self { parts }
    }

    fn of(&self, request: &Request) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Path => out.extend_from_slice(request.slice(request.path)),
                Part::Query => {
                    if let Some(query) = request.query {
                        out.push(b'?');
                        out.extend_from_slice(request.slice(query));
                    }
                }
            }
        }
        out
    }
}

impl Fixed {
    /// The service `self` (requirement RT-12).
    pub fn health() -> Self {
        let lines = b"content-type: application/json\r\ncache-control: no-store\r\n".to_vec();
        Self { status: 200, lines, body: br#"{"status": "ok"}"#.to_vec(), location: None }
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        let location = Some(Location::compile(location));
        Self { status, lines: Vec::new(), body: Vec::new(), location }
    }
}

/// Writes the head and gives the body that is to be sent.
pub fn fixed<'a, E: Exchange>(exchange: &mut E, facts: &Facts<'_>, fixed: &'a Fixed) -> &'a [u8] {
    exchange.begin(fixed.status);
    exchange.header_lines(&fixed.lines);
    if let Some(location) = &fixed.location {
        exchange.header(b"location", &location.of(facts.request));
    }
    write_ours(exchange, facts, Present::default());
    end_head(exchange, facts, fixed.status, fixed.body.len());
    body_for(facts.request, fixed.status, &fixed.body)
}

/// Answers a CORS preflight.
pub fn preflight<E: Exchange>(exchange: &mut E, facts: &Facts<'_>) {
    exchange.begin(204);
    exchange.header(b"x-request-id", facts.request.slice(facts.request.id));
    exchange.header(b"date", facts.date);
    if let Some(cors) = facts.policy.and_then(|policy| policy.cors.as_ref()) {
        cors.write_preflight(exchange, facts.request);
    }
    exchange.end_head(ResponseBody::Absent, facts.close);
}

pub(super) fn end_head<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, status: u16, length: usize) {
    if matches!(status, 204 | 304) {
        exchange.end_head(ResponseBody::Absent, facts.close);
    } else if facts.request.method == Method::Head {
        exchange.header(b"content-length", itoa::Buffer::new().format(length).as_bytes());
        exchange.end_head(ResponseBody::Absent, facts.close);
    } else {
        exchange.end_head(ResponseBody::Length(length as u64), facts.close);
    }
}

pub(super) fn body_for<'a>(request: &Request, status: u16, body: &'a [u8]) -> &'a [u8] {
    if request.method == Method::Head || matches!(status, 204 | 304) { &[] } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_stand_where_the_configuration_puts_them() {
        let mut request = Request::new(std::net::Ipv4Addr::LOCALHOST.into());
        request.path = request.append(b"/a/b");
        let of =
            |text: &str, request: &Request| String::from_utf8(Location::compile(text).of(request)).unwrap();
        assert_eq!(of("https://x{path}{query}#{path}{y}", &request), "https://x/a/b#/a/b{y}");
        request.query = Some(request.append(b"c=d"));
        assert_eq!(of("/new{path}{query}", &request), "/new/a/b?c=d");
        assert_eq!(of("/old", &request), "/old");
    }
}

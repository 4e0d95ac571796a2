//! Answers that need no service: redirects, fixed responses, health, CORS preflights.

use crate::exchange::{Exchange, ResponseBody};
use crate::refusal::{Malformed, Refusal};
use crate::request::{Method, Request};
use crate::respond::location::Location;
use crate::respond::policy::Present;
use crate::respond::{Facts, pages, write_elapsed, write_ours};
use crate::session::Handoff;

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

impl Fixed {
    /// The service `self` (requirement RT-12).
    pub fn health() -> Self {
        let lines = b"content-type: application/json\r\ncache-control: no-store\r\n".to_vec();
        Self { status: 200, lines, body: br#"{"status": "ok"}"#.to_vec(), location: None }
    }

    /// For the node itself, which wants to know no more than that it is answered.
    pub fn nothing() -> Self {
        Self { status: 204, lines: b"cache-control: no-store\r\n".to_vec(), body: Vec::new(), location: None }
    }

    pub fn redirect(status: u16, location: Location) -> Self {
        Self { status, lines: Vec::new(), body: Vec::new(), location: Some(location) }
    }

    /// A redirect that names the request's host cannot do without one, and HTTP/1.0 knows requests that have none.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        let needs_host = self.location.as_ref().is_some_and(Location::needs_host);
        if needs_host && request.host().is_empty() {
            return Err(Refusal::Malformed(Malformed::MissingHost));
        }
        Ok(())
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
    write_elapsed(exchange, facts.elapsed);
    exchange.header(b"date", facts.date);
    if let Some(cors) = facts.policy.and_then(|policy| policy.cors.as_ref()) {
        cors.write_preflight(exchange, facts.request);
    }
    exchange.end_head(ResponseBody::Absent, facts.close);
}

/// Sends a browser elsewhere, for this once. Gives the body.
pub fn handoff<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, handoff: &Handoff) -> Vec<u8> {
    let status = handoff_status(handoff);
    let body = if handoff.by_page { pages::leading_to(&handoff.location) } else { Vec::new() };
    exchange.begin(status);
    if handoff.by_page {
        exchange.header_lines(b"content-type: text/html; charset=utf-8\r\n");
        exchange.header_lines(b"content-security-policy: default-src 'none'\r\n");
    } else {
        exchange.header(b"location", handoff.location.as_bytes());
    }
    exchange.header_lines(b"cache-control: no-store\r\n");
    exchange.header_lines(&handoff.lines);
    write_ours(exchange, facts, Present::default());
    end_head(exchange, facts, status, body.len());
    body
}

pub fn handoff_status(handoff: &Handoff) -> u16 {
    if handoff.by_page { 200 } else { 303 }
}

/// Answers whoever has told something, and wants to know nothing.
pub fn told<E: Exchange>(exchange: &mut E, facts: &Facts<'_>) {
    exchange.begin(200);
    exchange.header_lines(b"cache-control: no-store\r\n");
    write_ours(exchange, facts, Present::default());
    end_head(exchange, facts, 200, 0);
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

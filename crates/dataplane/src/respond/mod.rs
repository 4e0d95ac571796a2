//! Respond: write the head that the client gets.
//! Takes a response, or a refusal. Gives final headers: ours set, the service's kept where they are not hop-by-hop.

pub mod answer;
mod challenge;
pub mod compress;
pub mod cors;
pub mod date;
pub mod date_parse;
pub mod files;
pub mod location;
pub mod messages;
pub mod negotiate;
pub mod pages;
pub mod policy;
pub mod refuse;

use std::time::Duration;

use smallvec::SmallVec;

use crate::exchange::{Exchange, ResponseBody};
use crate::http1::response_framing::ResponseFraming;
use crate::http1::response_head::{ResponseHead, ResponseHeader};
use crate::http1::response_names::KnownResponse;
use crate::micros::micros;
use crate::refusal::LimitState;
use crate::request::Request;
use crate::snapshot::document::LimitHeaders;
use compress::Coding;
use policy::Policy;

/// What every head needs, whoever answered.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub request: &'a Request,
    /// Of the route; that of the whole configuration before a route was found.
    pub policy: Option<&'a Policy>,
    pub limit: Option<Limited<'a>>,
    /// Since the request began.
    pub elapsed: Duration,
    /// The `Date` of now, for answers of our own and services that send none.
    pub date: &'a [u8],
    /// The connection will not be used again.
    pub close: bool,
    /// A cookie of the gateway's own.
    pub cookie: Option<&'a [u8]>,
    /// Header lines of a login: its cookies.
    pub login: &'a [u8],
}

/// The limit of a request, and how its caller is told.
#[derive(Clone, Copy)]
pub struct Limited<'a> {
    pub state: LimitState,
    pub form: LimitHeaders,
    /// `RateLimit-Policy` of the tier, and what `RateLimit` begins with.
    pub policy: Option<[&'a [u8]; 2]>,
    /// Milliseconds since the epoch.
    pub now_ms: u64,
}

impl Limited<'_> {
    fn has_x(&self) -> bool {
        matches!(self.form, LimitHeaders::XRatelimit | LimitHeaders::Both)
    }

    fn has_ietf(&self) -> bool {
        matches!(self.form, LimitHeaders::Ietf | LimitHeaders::Both)
    }
}

/// Writes the head of a service's response, whose body follows in that coding.
pub fn pass<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, response: &ResponseHead, coding: Coding) {
    exchange.begin(response.status);
    let mut present = policy::Present::default();
    for header in &response.headers {
        let name = response.slice(header.name);
        present.note(header.known);
        if passes(header, facts) && !facts.policy.is_some_and(|policy| policy.drops(name)) {
            let value = response.slice(header.value);
            match response.line(header) {
                _ if coding.rewrites(exchange, name, value) => {}
                Some(line) => exchange.header_lines(line),
                None => exchange.header(name, value),
            }
        }
    }
    write_ours(exchange, facts, present);
    coding.write(exchange, response);
    let body = body_of(response, coding);
    // What a GET would have; a 204 may not have it (RFC 9110 section 8.6), and a client might wait for those bytes.
    if let (ResponseBody::Absent, Some(length), true) =
        (body, response.content_length, response.status != 204 && !coding.is_coded())
    {
        exchange.header(b"content-length", itoa::Buffer::new().format(length).as_bytes());
    }
    exchange.end_head(body, facts.close);
}

fn body_of(response: &ResponseHead, coding: Coding) -> ResponseBody {
    match response.framing {
        ResponseFraming::Length(_) if coding.is_coded() => ResponseBody::Stream,
        ResponseFraming::None if response.status == 101 => ResponseBody::WebSocket,
        ResponseFraming::None => ResponseBody::Absent,
        ResponseFraming::Length(length) => ResponseBody::Length(length),
        ResponseFraming::Chunked | ResponseFraming::UntilClose => ResponseBody::Stream,
    }
}

/// Hop-by-hop headers end here; those that we set ourselves are ours alone.
fn passes(header: &ResponseHeader, facts: &Facts<'_>) -> bool {
    use KnownResponse::{Deprecation, RateLimit, Sunset, XRateLimit, XRequestId, XResponseTimeMs};
    let known = header.known;
    if known == KnownResponse::Other {
        return true;
    }
    let is_ours = match (known, facts.policy) {
        (XRequestId | XResponseTimeMs, _) => true,
        (XRateLimit, _) => facts.limit.is_some_and(|limit| limit.has_x()),
        (RateLimit, _) => facts.limit.is_some_and(|limit| limit.has_ietf()),
        (Deprecation | Sunset, policy) => policy.is_some_and(Policy::is_deprecated),
        (_, policy) => known.is_cors() && policy.is_some_and(|policy| policy.cors.is_some()),
    };
    !is_ours && !known.is_hop_by_hop()
}

/// The headers that the gateway adds to every answer.
fn write_ours<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, present: policy::Present) {
    exchange.header(b"x-request-id", facts.request.slice(facts.request.id));
    write_elapsed(exchange, facts.elapsed);
    if !present.date() {
        exchange.header(b"date", facts.date);
    }
    if let Some(cookie) = facts.cookie {
        exchange.header(b"set-cookie", cookie);
    }
    if !facts.login.is_empty() {
        exchange.header_lines(facts.login);
    }
    if let Some(limit) = &facts.limit {
        write_limit(exchange, limit);
    }
    if let Some(policy) = facts.policy {
        policy.write(exchange, facts.request, present);
    }
}

fn write_elapsed<E: Exchange>(exchange: &mut E, elapsed: Duration) {
    exchange.header(b"x-response-time-ms", &milliseconds(elapsed));
}

/// With three decimals.
fn milliseconds(elapsed: Duration) -> SmallVec<[u8; 24]> {
    let micros = micros(elapsed);
    let (whole, [one, two, three]) = (micros / 1000, thousandths(micros % 1000));
    // Most answers.
    if let Ok(digit @ 0..=9) = u8::try_from(whole) {
        return SmallVec::from_slice(&[b'0' + digit, b'.', one, two, three]);
    }
    let mut text = SmallVec::from_slice(itoa::Buffer::new().format(whole).as_bytes());
    text.extend_from_slice(&[b'.', one, two, three]);
    text
}

fn thousandths(value: u64) -> [u8; 3] {
    [value / 100, value / 10 % 10, value % 10].map(|digit| b'0' + digit as u8)
}

fn write_limit<E: Exchange>(exchange: &mut E, limit: &Limited<'_>) {
    let state = &limit.state;
    if limit.has_x() {
        let mut digits = itoa::Buffer::new();
        exchange.header(b"x-ratelimit-limit", digits.format(state.limit).as_bytes());
        exchange.header(b"x-ratelimit-remaining", digits.format(state.remaining).as_bytes());
        exchange.header(b"x-ratelimit-reset", digits.format(state.reset).as_bytes());
    }
    if let (true, Some([policy, begin])) = (limit.has_ietf(), limit.policy) {
        let mut digits = itoa::Buffer::new();
        let mut value = Vec::with_capacity(begin.len() + 24);
        value.extend_from_slice(begin);
        value.extend_from_slice(digits.format(state.remaining).as_bytes());
        value.extend_from_slice(b";t=");
        value.extend_from_slice(digits.format(state.reset.saturating_sub(limit.now_ms / 1000)).as_bytes());
        exchange.header(b"ratelimit-policy", policy);
        exchange.header(b"ratelimit", &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_decimals() {
        let cases =
            [(0, "0.000"), (7, "0.007"), (9_999, "9.999"), (10_000, "10.000"), (123_456_789, "123456.789")];
        for (micros, text) in cases {
            assert_eq!(milliseconds(Duration::from_micros(micros)).as_slice(), text.as_bytes());
        }
        assert_eq!(milliseconds(Duration::MAX).as_slice(), b"18446744073709551.615");
    }
}

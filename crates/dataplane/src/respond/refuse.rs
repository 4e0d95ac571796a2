//! The gateway's own refusals: a stable code, a sentence that helps, the request id (requirements RS-3, IN-11). JSON,
//! unless the configuration has a page for them.

use std::borrow::Cow;

use serde::Serialize;

use crate::exchange::Exchange;
use crate::http1::response_names::KnownResponse;
use crate::refusal::{CredentialKind, Forbidden, Refusal, Ticket};
use crate::request::Request;
use crate::respond::answer::{body_for, end_head};
use crate::respond::challenge;
use crate::respond::messages::message;
use crate::respond::pages::{Choice, Form, Pages, Words};
use crate::respond::policy::Present;
use crate::respond::{Facts, write_ours};

/// What a page may load: nothing but styles of its own and pictures of its site, so that no text in it can do harm.
const PAGE_POLICY: &[u8] = b"default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PROVEN: &[u8] = b"DPoP error=\"invalid_token\", algs=\"ES256 EdDSA PS256 RS256\"";
const PROVEN_OR_NOT: &[u8] =
    b"DPoP error=\"invalid_token\", algs=\"ES256 EdDSA PS256 RS256\", Bearer error=\"invalid_token\"";
/// All that is said of a failure that a service told of.
const SERVICE_FAILED: &str = "the service failed to answer this request";

/// Names that the body may tell, those of the caller's own route, and the pages of that route.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    pub service: Option<&'a str>,
    pub tier: Option<&'a str>,
    /// What a browser shows when it asks for a password.
    pub realm: Option<&'a str>,
    pub pages: &'a Pages,
}

/// Writes the head and gives the body that is to be sent.
pub fn refuse<E: Exchange>(
    exchange: &mut E,
    facts: &Facts<'_>,
    refusal: &Refusal,
    told: Told<'_>,
) -> Vec<u8> {
    if facts.request.is_grpc() {
        return refuse_call(exchange, facts, refusal);
    }
    if let Refusal::ChallengeRequired { ticket, .. } = refusal
        && challenge::is_for_browser(facts.request)
    {
        return challenge(exchange, facts, ticket);
    }
    let status = refusal.status();
    let choice = told.pages.choose(facts.request, status);
    let words = Words {
        status,
        error: refusal.code(),
        message: &message(refusal),
        request_id: facts.request.id(),
        retry_after: refusal.retry_after(),
    };
    let body = match choice.form {
        Form::Plain => body(refusal, facts.request.id(), told),
        Form::Json(template) => template.json(&words),
        Form::Html(template) => template.html(&words),
    };
    exchange.begin(status);
    let present = write_form(exchange, facts, choice);
    write_reasons(exchange, facts.request, refusal, told.realm);
    finish(exchange, facts, status, (present, body))
}

/// The page that a browser works on. Its policy is its own: no header rule of a route may open it.
fn challenge<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, ticket: &Ticket) -> Vec<u8> {
    let status = 403;
    exchange.begin(status);
    exchange.header_lines(b"content-type: text/html; charset=utf-8\r\n");
    exchange.header_lines(b"cache-control: no-store\r\nvary: Accept\r\n");
    exchange.header(b"content-security-policy", challenge::policy());
    let mut present = Present::default();
    present.note(KnownResponse::ContentSecurityPolicy);
    finish(exchange, facts, status, (present, challenge::page(ticket, facts.request.id())))
}

/// Writes the head of an answer that takes the place of a service's failure, and gives its body. Nothing of what the
/// service said goes on, but how long to wait.
pub fn replace<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, failure: Failure, pages: &Pages) -> Vec<u8> {
    let Failure { status, retry_after } = failure;
    let choice = pages.choose(facts.request, status);
    let (error, request_id) = ("service_error", facts.request.id());
    let words = Words { status, error, message: SERVICE_FAILED, request_id, retry_after };
    let body = match choice.form {
        Form::Plain => json(&Body::of(error, SERVICE_FAILED.into(), request_id, retry_after)),
        Form::Json(template) => template.json(&words),
        Form::Html(template) => template.html(&words),
    };
    exchange.begin(status);
    let present = write_form(exchange, facts, choice);
    write_retry_after(exchange, retry_after);
    finish(exchange, facts, status, (present, body))
}

/// A failure that a service told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    /// In seconds.
    pub retry_after: Option<u64>,
}

/// What kind of body follows. Gives which headers need no default any more.
fn write_form<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, choice: Choice<'_>) -> Present {
    let mut present = Present::default();
    if let Form::Html(_) = choice.form {
        exchange.header_lines(b"content-type: text/html; charset=utf-8\r\n");
        present.note(KnownResponse::ContentSecurityPolicy);
        if !facts.policy.is_some_and(|policy| policy.drops(b"content-security-policy")) {
            exchange.header(b"content-security-policy", PAGE_POLICY);
        }
    } else {
        exchange.header_lines(b"content-type: application/json\r\n");
    }
    exchange.header_lines(b"cache-control: no-store\r\n");
    if choice.varies {
        exchange.header_lines(b"vary: Accept\r\n");
    }
    present
}

fn finish<E: Exchange>(
    exchange: &mut E,
    facts: &Facts<'_>,
    status: u16,
    (present, mut body): (Present, Vec<u8>),
) -> Vec<u8> {
    write_ours(exchange, facts, present);
    end_head(exchange, facts, status, body.len());
    body.truncate(body_for(facts.request, status, &body).len());
    body
}

fn write_retry_after<E: Exchange>(exchange: &mut E, retry_after: Option<u64>) {
    if let Some(seconds) = retry_after {
        exchange.header(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes());
    }
}

/// The version of WebSocket that is spoken here.
fn write_version<E: Exchange>(exchange: &mut E, request: &Request) {
    if !request.extended {
        exchange.header_lines(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    }
    exchange.header(b"sec-websocket-version", b"13");
}

/// Headers that say what would work.
fn write_reasons<E: Exchange>(exchange: &mut E, request: &Request, refusal: &Refusal, realm: Option<&str>) {
    write_retry_after(exchange, refusal.retry_after());
    match refusal {
        Refusal::Unauthenticated { kind, .. } => write_demand(exchange, *kind, realm),
        Refusal::Forbidden(forbidden) => write_forbidden(exchange, forbidden),
        Refusal::MethodNotAllowed { allow } => exchange.header(b"allow", allow.as_bytes()),
        Refusal::RangeNotSatisfiable { length } => {
            exchange.header(b"content-range", format!("bytes */{length}").as_bytes());
        }
        Refusal::WebSocketVersion => write_version(exchange, request),
        Refusal::Overloaded { shortage, .. } => {
            exchange.header(b"x-load-shed", shortage.reason.text().as_bytes());
        }
        Refusal::Malformed(_)
        | Refusal::Slow(_)
        | Refusal::BodyTooLarge { .. }
        | Refusal::UriTooLong { .. }
        | Refusal::HeadersTooLarge { .. }
        | Refusal::Misdirected
        | Refusal::NoRoute
        | Refusal::AuthenticationUnavailable { .. }
        | Refusal::Browser(_)
        | Refusal::AddressNotAllowed(_)
        | Refusal::ChallengeRequired { .. }
        | Refusal::Tenant { .. }
        | Refusal::OverLimit(_)
        | Refusal::Banned(_)
        | Refusal::LimiterUnavailable(_)
        | Refusal::ServiceUnavailable { .. }
        | Refusal::BadGateway(_)
        | Refusal::UpstreamTimeout
        | Refusal::DeadlineExceeded
        | Refusal::BadHandshake(_)
        | Refusal::UnknownProtocol
        | Refusal::TooManyWebSockets { .. }
        | Refusal::WebSocketsFull { .. }
        | Refusal::Gone
        | Refusal::NoFile
        | Refusal::PreconditionFailed
        | Refusal::Internal => {}
    }
}

fn write_forbidden<E: Exchange>(exchange: &mut E, forbidden: &Forbidden) {
    if let Some(challenge) = forbidden.challenge() {
        exchange.header(b"www-authenticate", challenge.as_bytes());
    }
    if let Forbidden::Plain { location: Some(location) } = forbidden {
        exchange.header(b"location", location.as_bytes());
    }
}

fn write_demand<E: Exchange>(exchange: &mut E, kind: CredentialKind, realm: Option<&str>) {
    exchange.header(b"www-authenticate", &demand(kind, realm));
}

fn demand(kind: CredentialKind, realm: Option<&str>) -> Cow<'static, [u8]> {
    match kind {
        CredentialKind::Token => Cow::Borrowed(b"Bearer error=\"invalid_token\""),
        CredentialKind::BoundToken { alone: true } => Cow::Borrowed(PROVEN),
        CredentialKind::BoundToken { alone: false } => Cow::Borrowed(PROVEN_OR_NOT),
        CredentialKind::ApiKey => Cow::Borrowed(b"ApiKey"),
        CredentialKind::Certificate => Cow::Borrowed(b"ClientCertificate"),
        CredentialKind::Session => Cow::Borrowed(b"Cookie"),
        CredentialKind::Signature => Cow::Borrowed(b"Signature"),
        // A realm has neither quotes nor backslashes: the configuration refuses them (RFC 7617 section 2.1).
        CredentialKind::Password => {
            format!("Basic realm=\"{}\", charset=\"UTF-8\"", realm.unwrap_or_default()).into_bytes().into()
        }
    }
}

/// A call of gRPC is refused within its own protocol: status 200, and the refusal where trailers would be, in a head that
/// is all of the response (`Trailers-Only`).
fn refuse_call<E: Exchange>(exchange: &mut E, facts: &Facts<'_>, refusal: &Refusal) -> Vec<u8> {
    exchange.begin(200);
    exchange.header_lines(b"content-type: application/grpc\r\n");
    exchange.header(b"grpc-status", itoa::Buffer::new().format(refusal.grpc_status()).as_bytes());
    exchange.header(b"grpc-message", &escaped(&message(refusal)));
    if let Some(seconds) = refusal.retry_after() {
        exchange.header(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes());
    }
    write_ours(exchange, facts, Present::default());
    end_head(exchange, facts, 200, 0);
    Vec::new()
}

/// As `grpc-message` has it: all but visible ASCII, and `%`, as `%XX`.
fn escaped(text: &str) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            escaped.push(byte);
        } else {
            escaped.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    escaped
}

/// Written in this order: what every refusal has comes first.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    message: Cow<'static, str>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
    /// What the caller was counted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
}

impl<'a> Body<'a> {
    fn of(error: &'a str, message: Cow<'static, str>, request_id: &'a str, retry_after: Option<u64>) -> Self {
        Self { error, message, request_id, retry_after, limit: None, tier: None, key: None, backend: None }
    }
}

fn body(refusal: &Refusal, request_id: &str, told: Told<'_>) -> Vec<u8> {
    let limit = refusal.limit();
    let names_service = matches!(
        refusal,
        Refusal::ServiceUnavailable { .. } | Refusal::BadGateway(_) | Refusal::UpstreamTimeout
    );
    json(&Body {
        limit: limit.map(|state| state.limit),
        tier: told.tier.filter(|_| limit.is_some()),
        key: limit.map(|state| state.key.text()),
        backend: told.service.filter(|_| names_service),
        ..Body::of(refusal.code(), message(refusal), request_id, refusal.retry_after())
    })
}

fn json(body: &Body<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    // Texts and numbers into memory cannot fail.
    let _ = serde_json::to_writer(&mut text, body);
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::{KeyKind, LimitState, UpstreamFault};

    fn text(refusal: &Refusal) -> String {
        let pages = Pages::default();
        let told = Told { service: Some("users"), tier: Some("a \"tier\""), realm: None, pages: &pages };
        String::from_utf8(body(refusal, "id-1", told)).unwrap()
    }

    #[test]
    fn the_error_comes_first_and_names_are_escaped() {
        let state =
            LimitState { key: KeyKind::User, limit: 5, reset: 60, retry_after: 7, ..LimitState::default() };
        assert_eq!(
            text(&Refusal::OverLimit(state)),
            concat!(
                r#"{"error":"rate_limit_exceeded","message":"more than 5 requests; try again in 7 s","#,
                r#""request_id":"id-1","retry_after":7,"limit":5,"tier":"a \"tier\"","key":"user"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_message_of_grpc_is_visible_ascii() {
        assert_eq!(escaped("100 % of \u{e9}\n"), b"100 %25 of %C3%A9%0A");
    }

    #[test]
    fn only_faults_of_a_service_name_it() {
        assert!(text(&Refusal::UpstreamTimeout).ends_with("\"backend\":\"users\"}\n"));
        assert!(text(&Refusal::BadGateway(UpstreamFault::InvalidResponse)).contains("users"));
        let refused = text(&Refusal::NoRoute);
        assert!(!refused.contains("users") && !refused.contains("tier"), "{refused}");
        assert!(refused.ends_with("\"request_id\":\"id-1\"}\n"), "{refused}");
    }
}

//! The gateway's own refusals as JSON: a stable code, a sentence that helps, the request id (requirements RS-3, IN-11).

use std::borrow::Cow;

use serde::Serialize;

use crate::exchange::Exchange;
use crate::refusal::{CredentialKind, Refusal};
use crate::respond::answer::{body_for, end_head};
use crate::respond::policy::Present;
use crate::respond::{Facts, write_ours};

/// Names that the body may tell: those of the caller's own route.
#[derive(Clone, Copy, Default)]
pub struct Told<'a> {
    pub service: Option<&'a str>,
    pub tier: Option<&'a str>,
}

/// What the client would have to do instead, where HTTP has a header for it.
fn write_remedy<E: Exchange>(exchange: &mut E, refusal: &Refusal) {
    match refusal {
        Refusal::Unauthenticated { kind: CredentialKind::Token, .. } => {
            exchange.header(b"www-authenticate", b"Bearer error=\"invalid_token\"");
        }
        Refusal::Unauthenticated { kind: CredentialKind::ApiKey, .. } => {
            exchange.header(b"www-authenticate", b"ApiKey");
        }
        Refusal::Unauthenticated { kind: CredentialKind::Certificate, .. } => {
            exchange.header(b"www-authenticate", b"ClientCertificate");
        }
        Refusal::MethodNotAllowed { allow } => exchange.header(b"allow", allow.as_bytes()),
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
        | Refusal::MissingScope { .. }
        | Refusal::OverLimit(_)
        | Refusal::LimiterUnavailable
        | Refusal::ServiceUnavailable { .. }
        | Refusal::BadGateway(_)
        | Refusal::UpstreamTimeout
        | Refusal::DeadlineExceeded
        | Refusal::Internal => {}
    }
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
    let status = refusal.status();
    let mut body = body(refusal, facts.request.id(), told);
    exchange.begin(status);
    exchange.header_lines(b"content-type: application/json\r\ncache-control: no-store\r\n");
    if let Some(seconds) = refusal.retry_after() {
        exchange.header(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes());
    }
    write_remedy(exchange, refusal);
    write_ours(exchange, facts, Present::default());
    end_head(exchange, facts, status, body.len());
    body.truncate(body_for(facts.request, status, &body).len());
    body
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
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
}

fn body(refusal: &Refusal, request_id: &str, told: Told<'_>) -> Vec<u8> {
    let limit = if let Refusal::OverLimit(state) = refusal { Some(state.limit) } else { None };
    let names_service = matches!(
        refusal,
        Refusal::ServiceUnavailable { .. } | Refusal::BadGateway(_) | Refusal::UpstreamTimeout
    );
    let body = Body {
        error: refusal.code(),
        message: message(refusal),
        request_id,
        retry_after: refusal.retry_after(),
        limit,
        tier: told.tier.filter(|_| limit.is_some()),
        backend: told.service.filter(|_| names_service),
    };
    let mut text = Vec::with_capacity(256);
    // Texts and numbers into memory cannot fail.
    let _ = serde_json::to_writer(&mut text, &body);
    text.push(b'\n');
    text
}

/// What went wrong and what would work, in words for whoever wrote the client. Tells nothing about credentials.
pub fn message(refusal: &Refusal) -> Cow<'static, str> {
    match refusal {
        Refusal::Malformed(malformed) => malformed.text().into(),
        Refusal::Slow(part) => format!("the {part} of the request did not arrive in time").into(),
        Refusal::BodyTooLarge { limit } => format!("the body is longer than {limit} bytes").into(),
        Refusal::UriTooLong { limit } => format!("the URI is longer than {limit} bytes").into(),
        Refusal::HeadersTooLarge { limit } => format!("the headers are longer than {limit} bytes").into(),
        Refusal::Misdirected => "this connection was made for another host; open one for this host".into(),
        Refusal::NoRoute => "no route matches this host, path and headers".into(),
        Refusal::MethodNotAllowed { allow } => format!("this path allows {allow}").into(),
        Refusal::Overloaded { .. } => "the gateway is at its limit; try again later".into(),
        Refusal::Unauthenticated { kind: CredentialKind::Token, .. } => "a valid token is required".into(),
        Refusal::Unauthenticated { kind: CredentialKind::ApiKey, .. } => "a valid API key is required".into(),
        Refusal::Unauthenticated { kind: CredentialKind::Certificate, .. } => {
            "a valid client certificate is required".into()
        }
        Refusal::AuthenticationUnavailable { .. } => {
            "credentials cannot be checked at the moment; try again later".into()
        }
        Refusal::MissingScope { scope } => format!("the scope {scope} is required").into(),
        Refusal::OverLimit(state) => {
            format!("more than {} requests; try again in {} s", state.limit, state.retry_after.max(1)).into()
        }
        Refusal::LimiterUnavailable => "limits cannot be checked at the moment; try again later".into(),
        Refusal::ServiceUnavailable { .. } => "the service is not available; try again later".into(),
        Refusal::BadGateway(_) => "the service could not be reached or gave no valid answer".into(),
        Refusal::UpstreamTimeout => "the service did not answer in time".into(),
        Refusal::DeadlineExceeded => "the deadline of the call has passed".into(),
        Refusal::Internal => "an error of the gateway itself".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::{LimitState, UpstreamFault};

    fn text(refusal: &Refusal) -> String {
        let told = Told { service: Some("users"), tier: Some("a \"tier\"") };
        String::from_utf8(body(refusal, "id-1", told)).unwrap()
    }

    #[test]
    fn the_error_comes_first_and_names_are_escaped() {
        let state = LimitState { tier: 0, limit: 5, remaining: 0, reset: 60, retry_after: 7 };
        assert_eq!(
            text(&Refusal::OverLimit(state)),
            concat!(
                r#"{"error":"rate_limit_exceeded","message":"more than 5 requests; try again in 7 s","#,
                r#""request_id":"id-1","retry_after":7,"limit":5,"tier":"a \"tier\""}"#,
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

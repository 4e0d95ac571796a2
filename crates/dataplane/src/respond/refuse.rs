//! The gateway's own refusals as JSON: a stable code, a sentence that helps, the request id (requirements RS-3, IN-11).

use serde_json::{Map, Value, json};

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

/// Writes the head and gives the body that is to be sent.
pub fn refuse<E: Exchange>(
    exchange: &mut E,
    facts: &Facts<'_>,
    refusal: &Refusal,
    told: Told<'_>,
) -> Vec<u8> {
    let status = refusal.status();
    let body = body(refusal, facts.request.id(), told);
    exchange.begin(status);
    exchange.header_lines(b"content-type: application/json\r\ncache-control: no-store\r\n");
    if let Some(seconds) = refusal.retry_after() {
        exchange.header(b"retry-after", itoa::Buffer::new().format(seconds).as_bytes());
    }
    match refusal {
        Refusal::Unauthenticated { kind: CredentialKind::Token, .. } => {
            exchange.header(b"www-authenticate", b"Bearer error=\"invalid_token\"");
        }
        Refusal::Unauthenticated { kind: CredentialKind::ApiKey, .. } => {
            exchange.header(b"www-authenticate", b"ApiKey");
        }
        Refusal::MethodNotAllowed { allow } => exchange.header(b"allow", allow.as_bytes()),
        Refusal::Malformed(_)
        | Refusal::Slow(_)
        | Refusal::BodyTooLarge { .. }
        | Refusal::UriTooLong { .. }
        | Refusal::HeadersTooLarge { .. }
        | Refusal::NoRoute
        | Refusal::Overloaded { .. }
        | Refusal::AuthenticationUnavailable { .. }
        | Refusal::MissingScope { .. }
        | Refusal::OverLimit(_)
        | Refusal::LimiterUnavailable
        | Refusal::ServiceUnavailable { .. }
        | Refusal::BadGateway(_)
        | Refusal::UpstreamTimeout
        | Refusal::Internal => {}
    }
    write_ours(exchange, facts, Present::default());
    end_head(exchange, facts, status, body.len());
    body_for(facts.request, status, &body).to_vec()
}

fn body(refusal: &Refusal, request_id: &str, told: Told<'_>) -> Vec<u8> {
    let mut fields = Map::new();
    fields.insert("error".to_owned(), json!(refusal.code()));
    fields.insert("message".to_owned(), json!(message(refusal)));
    fields.insert("request_id".to_owned(), json!(request_id));
    if let Some(seconds) = refusal.retry_after() {
        fields.insert("retry_after".to_owned(), json!(seconds));
    }
    if let Refusal::OverLimit(state) = refusal {
        fields.insert("limit".to_owned(), json!(state.limit));
        told.tier.map(|tier| fields.insert("tier".to_owned(), json!(tier)));
    }
    if let Refusal::ServiceUnavailable { .. } | Refusal::BadGateway(_) | Refusal::UpstreamTimeout = refusal {
        told.service.map(|service| fields.insert("backend".to_owned(), json!(service)));
    }
    let mut text = Value::Object(fields).to_string().into_bytes();
    text.push(b'\n');
    text
}

/// What went wrong and what would work, in words for whoever wrote the client. Tells nothing about credentials.
pub fn message(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Malformed(malformed) => malformed.text().to_owned(),
        Refusal::Slow(part) => format!("the {part} of the request did not arrive in time"),
        Refusal::BodyTooLarge { limit } => format!("the body is longer than {limit} bytes"),
        Refusal::UriTooLong { limit } => format!("the URI is longer than {limit} bytes"),
        Refusal::HeadersTooLarge { limit } => format!("the headers are longer than {limit} bytes"),
        Refusal::NoRoute => "no route matches this host, path and headers".to_owned(),
        Refusal::MethodNotAllowed { allow } => format!("this path allows {allow}"),
        Refusal::Overloaded { .. } => "the gateway is at its limit; try again later".to_owned(),
        Refusal::Unauthenticated { kind: CredentialKind::Token, .. } => {
            "a valid token is required".to_owned()
        }
        Refusal::Unauthenticated { kind: CredentialKind::ApiKey, .. } => {
            "a valid API key is required".to_owned()
        }
        Refusal::AuthenticationUnavailable { .. } => {
            "credentials cannot be checked at the moment; try again later".to_owned()
        }
        Refusal::MissingScope { scope } => format!("the scope {scope} is required"),
        Refusal::OverLimit(state) => {
            format!("more than {} requests; try again in {} s", state.limit, state.retry_after.max(1))
        }
        Refusal::LimiterUnavailable => "limits cannot be checked at the moment; try again later".to_owned(),
        Refusal::ServiceUnavailable { .. } => "the service is not available; try again later".to_owned(),
        Refusal::BadGateway(_) => "the service could not be reached or gave no valid answer".to_owned(),
        Refusal::UpstreamTimeout => "the service did not answer in time".to_owned(),
        Refusal::Internal => "an error of the gateway itself".to_owned(),
    }
}

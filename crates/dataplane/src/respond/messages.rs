//! The sentences of refusals.

use std::borrow::Cow;

use crate::refusal::{Barrier, CredentialKind, LimitState, Refusal};

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
        Refusal::Unauthenticated { kind, .. } => demanded(*kind).into(),
        Refusal::Browser(why) => why.text().into(),
        Refusal::AuthenticationUnavailable { .. } => {
            "credentials cannot be checked at the moment; try again later".into()
        }
        Refusal::Forbidden(forbidden) => forbidden.message(),
        Refusal::Tenant { fault, .. } => fault.text().into(),
        Refusal::AddressNotAllowed(_) | Refusal::ChallengeRequired { .. } => kept_out(refusal).into(),
        Refusal::OverLimit(state) | Refusal::Banned(state) => limited(refusal, state).into(),
        Refusal::LimiterUnavailable(_) => "limits cannot be checked at the moment; try again later".into(),
        Refusal::ServiceUnavailable { .. } => "the service is not available; try again later".into(),
        Refusal::BadGateway(_) => "the service could not be reached or gave no valid answer".into(),
        Refusal::UpstreamTimeout => "the service did not answer in time".into(),
        Refusal::DeadlineExceeded => "the deadline of the call has passed".into(),
        Refusal::BadHandshake(fault) => fault.text().into(),
        Refusal::UnknownProtocol => "of extended CONNECT only `websocket` is spoken here".into(),
        Refusal::WebSocketVersion => "only version 13 of WebSocket is spoken here".into(),
        Refusal::TooManyWebSockets { limit } => format!("more than {limit} WebSockets at once").into(),
        Refusal::WebSocketsFull { .. } => "this route has its maximum of WebSockets; try again later".into(),
        Refusal::Gone => "this is no longer served".into(),
        Refusal::NoFile => "there is no such file".into(),
        Refusal::PreconditionFailed => "the file is not the one that the condition names".into(),
        Refusal::RangeNotSatisfiable { length } => format!("the file has {length} bytes").into(),
        Refusal::Internal => "an error of the gateway itself".into(),
    }
}

fn demanded(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Token => "a valid token is required",
        CredentialKind::BoundToken { .. } => "a valid token with a proof of its key is required",
        CredentialKind::ApiKey => "a valid API key is required",
        CredentialKind::Certificate => "a valid client certificate is required",
        CredentialKind::Session => "a login is required",
        CredentialKind::Password => "a valid name and password are required",
        CredentialKind::Signature => "a valid signature of the request is required",
    }
}

/// Which list, or whose reputation, is nothing that the client should learn.
fn kept_out(refusal: &Refusal) -> &'static str {
    if matches!(refusal, Refusal::AddressNotAllowed(Barrier::Caller)) {
        return "this caller may not call from this address";
    }
    if matches!(refusal, Refusal::ChallengeRequired { .. }) {
        return "requests from this network need a proof; open this address in a browser";
    }
    "requests from this address are not served here"
}

/// A ban says nothing of the limit: waiting for that would not help.
fn limited(refusal: &Refusal, state: &LimitState) -> String {
    let seconds = state.retry_after.max(1);
    if matches!(refusal, Refusal::Banned(_)) {
        return format!("refused too often; banned for another {seconds} s");
    }
    format!("more than {} requests; try again in {seconds} s", state.limit)
}

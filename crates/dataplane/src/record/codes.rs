//! The codes under which refusals are counted.

use crate::refusal::{BrowserRefusal, CredentialKind, Demand, Forbidden, Quality, Refusal, TenantFault};

/// In the order of `code_index`.
pub(super) const CODES: [&str; 49] = [
    "bad_request",
    "request_timeout",
    "body_too_large",
    "uri_too_long",
    "headers_too_large",
    "no_route",
    "method_not_allowed",
    "overloaded",
    "invalid_token",
    "invalid_api_key",
    "authentication_unavailable",
    "insufficient_scope",
    "rate_limit_exceeded",
    "limiter_unavailable",
    "service_unavailable",
    "bad_gateway",
    "upstream_timeout",
    "internal_error",
    "misdirected_request",
    "invalid_client_certificate",
    "deadline_exceeded",
    "no_file",
    "precondition_failed",
    "range_not_satisfiable",
    "gone",
    "bad_handshake",
    "websocket_version",
    "too_many_websockets",
    "websockets_full",
    "unknown_protocol",
    "banned",
    "address_not_allowed",
    "tenant_required",
    "tenant_mismatch",
    "tenant_unknown",
    "tenant_disabled",
    "tenant_not_allowed",
    "https_required",
    "insufficient_role",
    "caller_excluded",
    "permission_denied",
    "rule_denied",
    "challenge_required",
    "invalid_session",
    "login_required",
    "login_failed",
    "csrf_failed",
    "invalid_credentials",
    "invalid_signature",
];

/// Where a refusal is counted. An index and not the code's text, so that counting compares no texts.
pub(super) fn code_index(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::Malformed(_) => 0,
        Refusal::Slow(_) => 1,
        Refusal::BodyTooLarge { .. } => 2,
        Refusal::UriTooLong { .. } => 3,
        Refusal::HeadersTooLarge { .. } => 4,
        Refusal::NoRoute => 5,
        Refusal::MethodNotAllowed { .. } => 6,
        Refusal::Overloaded { .. } => 7,
        Refusal::Unauthenticated { kind, .. } => unauthenticated_index(*kind),
        Refusal::AuthenticationUnavailable { .. } => 10,
        Refusal::Forbidden(forbidden) => forbidden_index(forbidden),
        Refusal::OverLimit(_) => 12,
        Refusal::LimiterUnavailable(_) => 13,
        Refusal::ServiceUnavailable { .. } => 14,
        Refusal::BadGateway(_) => 15,
        Refusal::UpstreamTimeout => 16,
        Refusal::Internal => 17,
        Refusal::Misdirected => 18,
        Refusal::DeadlineExceeded => 20,
        Refusal::NoFile => 21,
        Refusal::PreconditionFailed => 22,
        Refusal::RangeNotSatisfiable { .. } => 23,
        Refusal::Gone => 24,
        Refusal::BadHandshake(_) => 25,
        Refusal::WebSocketVersion => 26,
        Refusal::TooManyWebSockets { .. } => 27,
        Refusal::WebSocketsFull { .. } => 28,
        Refusal::UnknownProtocol => 29,
        Refusal::Banned(_) => 30,
        Refusal::AddressNotAllowed(_) => 31,
        Refusal::Tenant { fault: TenantFault::Missing, .. } => 32,
        Refusal::Tenant { fault: TenantFault::Mismatch, .. } => 33,
        Refusal::Tenant { fault: TenantFault::Unknown, .. } => 34,
        Refusal::Tenant { fault: TenantFault::Disabled, .. } => 35,
        Refusal::Tenant { fault: TenantFault::NotAllowed, .. } => 36,
        Refusal::ChallengeRequired { .. } => 42,
        Refusal::Browser(why) => browser_index(*why),
    }
}

fn browser_index(why: BrowserRefusal) -> usize {
    match why {
        BrowserRefusal::LoginRequired { .. } => 44,
        BrowserRefusal::LoginFailed { .. } => 45,
        BrowserRefusal::CrossSite(_) => 46,
    }
}

fn unauthenticated_index(kind: CredentialKind) -> usize {
    match kind {
        CredentialKind::Token | CredentialKind::BoundToken { .. } => 8,
        CredentialKind::ApiKey => 9,
        CredentialKind::Certificate => 19,
        CredentialKind::Session => 43,
        CredentialKind::Password => 47,
        CredentialKind::Signature => 48,
    }
}

fn forbidden_index(forbidden: &Forbidden) -> usize {
    match forbidden {
        Forbidden::Plain { .. } => 37,
        Forbidden::Unqualified { lack, .. } => match (lack.demand, lack.quality) {
            (Demand::All | Demand::Any, Quality::Scope) => 11,
            (Demand::All | Demand::Any, Quality::Role) => 38,
            (Demand::None, _) => 39,
        },
        Forbidden::Unpermitted { .. } => 40,
        Forbidden::Ruled { .. } => 41,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::{
        Barrier, CredentialFault, CrossSiteFault, HandshakeFault, Lack, LimitState, LimiterFault, LoginFault,
        Malformed, Reason, Ruling, Shortage, Ticket, Unavailable, Unjudged, UpstreamFault,
    };
    use std::time::Duration;

    fn lacking(quality: Quality, demand: Demand) -> Refusal {
        let lack = Lack { quality, demand, names: "a".into(), challenge: "a".into() };
        Refusal::Forbidden(Forbidden::Unqualified { lack: lack.into(), is_bearer: true })
    }

    fn every_forbidden() -> [Refusal; 5] {
        [
            Refusal::Forbidden(Forbidden::Plain { location: None }),
            lacking(Quality::Role, Demand::Any),
            lacking(Quality::Role, Demand::None),
            Refusal::Forbidden(Forbidden::Unpermitted { permission: None, by: None }),
            Refusal::Forbidden(Forbidden::Ruled { rule: 0, ruling: Ruling::Denied, message: None }),
        ]
    }

    #[expect(clippy::too_many_lines, reason = "it has one of everything")]
    fn every_refusal() -> Vec<Refusal> {
        let wait = Duration::from_secs(1);
        let ticket = Ticket { seed: "".into(), seconds: 0, difficulty: 1, lifetime: 1, elsewhere: None };
        let shortage = Shortage { reason: Reason::Cpu, value: 61, threshold: 60, resumes: 55 };
        let unauthenticated =
            |kind| Refusal::Unauthenticated { kind, identity: None, fault: CredentialFault::Missing };
        vec![
            Refusal::Malformed(Malformed::ForwardedFor),
            Refusal::Slow("head"),
            Refusal::BodyTooLarge { limit: 1 },
            Refusal::UriTooLong { limit: 1 },
            Refusal::HeadersTooLarge { limit: 1 },
            Refusal::NoRoute,
            Refusal::MethodNotAllowed { allow: "GET".into() },
            Refusal::Overloaded { shortage, retry_after: wait },
            unauthenticated(CredentialKind::Token),
            unauthenticated(CredentialKind::ApiKey),
            Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NoKeys },
            lacking(Quality::Scope, Demand::All),
            Refusal::OverLimit(LimitState::default()),
            Refusal::LimiterUnavailable(LimiterFault::Store),
            Refusal::ServiceUnavailable { cause: Unavailable::NoInstance, retry_after: wait },
            Refusal::BadGateway(UpstreamFault::ConnectionReset),
            Refusal::UpstreamTimeout,
            Refusal::Internal,
            Refusal::Misdirected,
            unauthenticated(CredentialKind::Certificate),
            Refusal::DeadlineExceeded,
            Refusal::NoFile,
            Refusal::PreconditionFailed,
            Refusal::RangeNotSatisfiable { length: 1 },
            Refusal::Gone,
            Refusal::BadHandshake(HandshakeFault::Key),
            Refusal::WebSocketVersion,
            Refusal::TooManyWebSockets { limit: 1 },
            Refusal::WebSocketsFull { limit: 1 },
            Refusal::UnknownProtocol,
            Refusal::Banned(LimitState::default()),
            Refusal::AddressNotAllowed(Barrier::Caller),
            Refusal::ChallengeRequired { score: 1, ticket: Box::new(ticket) },
            unauthenticated(CredentialKind::Password),
            unauthenticated(CredentialKind::Signature),
        ]
    }

    fn of_tenants() -> [Refusal; 5] {
        [
            TenantFault::Missing,
            TenantFault::Mismatch,
            TenantFault::Unknown,
            TenantFault::Disabled,
            TenantFault::NotAllowed,
        ]
        .map(|fault| fault.of(b""))
    }

    fn those_of_browsers() -> Vec<Refusal> {
        let (kind, fault) = (CredentialKind::Session, CredentialFault::Missing);
        vec![
            Refusal::Unauthenticated { kind, identity: None, fault },
            Refusal::Browser(BrowserRefusal::LoginRequired { identity: 0 }),
            Refusal::Browser(BrowserRefusal::LoginFailed { identity: 0, fault: LoginFault::Denied }),
            CrossSiteFault::NoOrigin.into(),
        ]
    }

    #[test]
    fn each_refusal_is_counted_under_its_own_code() {
        let others = of_tenants().into_iter().chain(every_forbidden()).chain(those_of_browsers());
        let all: Vec<_> = every_refusal().into_iter().chain(others).collect();
        assert_eq!(all.len(), CODES.len());
        for refusal in all {
            assert_eq!(CODES[code_index(&refusal)], refusal.code());
        }
    }
}

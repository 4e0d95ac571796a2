//! Every way in which the gateway itself says no. Status, code and message are decided here and nowhere else.

use std::sync::Arc;
use std::time::Duration;

mod authorization;
mod barriers;
mod browser;
mod causes;
mod credentials;
mod tenant;

pub use authorization::*;
pub use barriers::*;
pub use browser::*;
pub use causes::*;
pub use credentials::*;
pub use tenant::TenantFault;

/// Why a head or body was not a request. The texts are part of the contract: docs and tests name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    RequestLine,
    Method,
    Target,
    Fragment,
    PathEscape,
    PathSeparator,
    PathParameters,
    PathControl,
    Query,
    Version,
    BareLineFeed,
    ObsoleteFolding,
    HeaderName,
    HeaderValue,
    TooManyHeaders,
    MissingHost,
    RepeatedHost,
    Host,
    HostDisagrees,
    SchemeDisagrees,
    LengthWithEncoding,
    RepeatedLength,
    Length,
    TransferEncoding,
    EncodingInHttp10,
    Expectation,
    Chunk,
    ChunkTooLong,
    Trailer,
    ForwardedFor,
    BodyLength,
    ExtendedConnect,
}

impl Malformed {
    pub fn text(self) -> &'static str {
        match self {
            Self::RequestLine => "the request line is not `METHOD target HTTP/1.1`",
            Self::Method => "the method is not a token, or not one that is proxied",
            Self::Target => "the target is neither a path nor an absolute `http(s)` URI",
            Self::Fragment => "the target has a fragment",
            Self::PathEscape => {
                "the path has a `%` without two hexadecimal digits, or a doubly escaped separator"
            }
            Self::PathSeparator => "the path has an encoded slash or a backslash",
            Self::PathParameters => "the path has parameters (`;`)",
            Self::PathControl => "the path has a control character or a byte outside ASCII",
            Self::Query => "the query has a control character or a byte outside ASCII",
            Self::Version => "the version is neither HTTP/1.0 nor HTTP/1.1",
            Self::BareLineFeed => "a line does not end with CR LF",
            Self::ObsoleteFolding => "a header line begins with white space",
            Self::HeaderName => "a header name is not a token, or a space stands before its colon",
            Self::HeaderValue => "a header value has a control character",
            Self::TooManyHeaders => "there are more than 100 headers",
            Self::MissingHost => "the Host header is missing",
            Self::RepeatedHost => "the Host header is repeated",
            Self::Host => "the Host header is not `host` or `host:port`",
            Self::HostDisagrees => "the target and the Host header name different hosts",
            Self::SchemeDisagrees => "the target is an `https` URI, and the connection is not secured",
            Self::LengthWithEncoding => "both Content-Length and Transfer-Encoding are present",
            Self::RepeatedLength => "the Content-Length header is repeated",
            Self::Length => "the Content-Length is not a number",
            Self::TransferEncoding => "the Transfer-Encoding is not exactly `chunked`",
            Self::EncodingInHttp10 => "a Transfer-Encoding in HTTP/1.0",
            Self::Expectation => "the Expect header is not `100-continue`",
            Self::Chunk => "a chunk is malformed",
            Self::ChunkTooLong => "a chunk line or the trailers are too long",
            Self::Trailer => "a trailer is malformed",
            Self::BodyLength => "the body is longer or shorter than its Content-Length",
            Self::ExtendedConnect => {
                "an extended CONNECT has ended its stream, or told a length of what follows"
            }
            Self::ForwardedFor => "X-Forwarded-For from a trusted proxy is not a list of addresses",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Malformed(Malformed),
    /// The head or the body did not arrive in time.
    Slow(&'static str),
    BodyTooLarge {
        limit: u64,
    },
    UriTooLong {
        limit: u64,
    },
    HeadersTooLarge {
        limit: u64,
    },
    /// The host is none that the client's TLS connection was made for.
    Misdirected,
    NoRoute,
    MethodNotAllowed {
        allow: Arc<str>,
    },
    Overloaded {
        shortage: Shortage,
        retry_after: Duration,
    },
    /// `identity` is the index in the snapshot of the identity that was tried, if one was.
    Unauthenticated {
        kind: CredentialKind,
        identity: Option<u32>,
        fault: CredentialFault,
    },
    AuthenticationUnavailable {
        identity: u32,
        cause: Unjudged,
    },
    Browser(BrowserRefusal),
    /// The caller, whoever it is, may not do this here.
    Forbidden(Forbidden),
    /// The client's address may not ask here, or not this caller from there.
    AddressNotAllowed(Barrier),
    /// The client's network has a bad reputation, so that a browser has to prove that it means it.
    ChallengeRequired {
        score: u8,
        ticket: Box<Ticket>,
    },
    /// It is for a tenant that it may not be for, or for none. `said` is the name, where one was said.
    Tenant {
        fault: TenantFault,
        said: Box<str>,
    },
    OverLimit(LimitState),
    /// It was refused too often; the time to wait is that of the ban (O6).
    Banned(LimitState),
    /// Nobody can count the request, and the route's `on_failure` is `closed` (O17).
    LimiterUnavailable(LimiterFault),
    ServiceUnavailable {
        cause: Unavailable,
        retry_after: Duration,
    },
    BadGateway(UpstreamFault),
    UpstreamTimeout,
    /// The caller itself said how long it would wait (`grpc-timeout`).
    DeadlineExceeded,
    /// The request asks for a WebSocket, and not as one is asked for.
    BadHandshake(HandshakeFault),
    /// An extended CONNECT for another protocol than `websocket` (RFC 9220 section 3).
    UnknownProtocol,
    /// Of WebSocket only version 13 is spoken.
    WebSocketVersion,
    /// The caller has as many WebSockets on the route as it may.
    TooManyWebSockets {
        limit: u32,
    },
    /// The route has as many WebSockets as it may.
    WebSocketsFull {
        limit: u32,
    },
    /// The route has ended: its day of sunset is over.
    Gone,
    /// A route of files has none of this name.
    NoFile,
    /// The file is not the one that the client means (RFC 9110 section 13.1).
    PreconditionFailed,
    /// The file ends before the part that is asked for.
    RangeNotSatisfiable {
        length: u64,
    },
    Internal,
}

impl Refusal {
    pub fn status(&self) -> u16 {
        match self {
            Self::Browser(BrowserRefusal::LoginRequired { .. }) => 303,
            Self::Browser(BrowserRefusal::LoginFailed { fault, .. }) if *fault != LoginFault::Denied => 400,
            Self::Browser(_) => 403,
            Self::Malformed(_) | Self::BadHandshake(_) => 400,
            Self::Unauthenticated { .. } => 401,
            Self::Forbidden(forbidden) => forbidden.status(),
            Self::AddressNotAllowed(_) | Self::ChallengeRequired { .. } | Self::Tenant { .. } => 403,
            Self::NoRoute | Self::NoFile => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::Slow(_) => 408,
            Self::Gone => 410,
            Self::PreconditionFailed => 412,
            Self::BodyTooLarge { .. } => 413,
            Self::UriTooLong { .. } => 414,
            Self::RangeNotSatisfiable { .. } => 416,
            Self::Misdirected => 421,
            Self::WebSocketVersion => 426,
            Self::OverLimit(_) | Self::Banned(_) | Self::TooManyWebSockets { .. } => 429,
            Self::HeadersTooLarge { .. } => 431,
            Self::Internal => 500,
            Self::UnknownProtocol => 501,
            Self::BadGateway(_) => 502,
            Self::Overloaded { .. }
            | Self::AuthenticationUnavailable { .. }
            | Self::LimiterUnavailable(_)
            | Self::WebSocketsFull { .. }
            | Self::ServiceUnavailable { .. } => 503,
            Self::UpstreamTimeout | Self::DeadlineExceeded => 504,
        }
    }

    /// Which tier said no, where one did.
    pub fn limit(&self) -> Option<LimitState> {
        if let Self::OverLimit(state) | Self::Banned(state) = self { Some(*state) } else { None }
    }

    /// What a caller of gRPC is told in place of the status: a code of its own protocol.
    pub fn grpc_status(&self) -> u8 {
        match self {
            Self::Slow(_) | Self::UpstreamTimeout | Self::DeadlineExceeded => 4,
            Self::Forbidden(_)
            | Self::AddressNotAllowed(_)
            | Self::ChallengeRequired { .. }
            | Self::Tenant { .. } => 7,
            Self::Browser(BrowserRefusal::CrossSite(_)) => 7,
            Self::OverLimit(_)
            | Self::Banned(_)
            | Self::TooManyWebSockets { .. }
            | Self::BodyTooLarge { .. }
            | Self::UriTooLong { .. }
            | Self::HeadersTooLarge { .. } => 8,
            Self::PreconditionFailed => 9,
            Self::RangeNotSatisfiable { .. } => 11,
            Self::NoRoute
            | Self::MethodNotAllowed { .. }
            | Self::Gone
            | Self::NoFile
            | Self::UnknownProtocol => 12,
            Self::Misdirected
            | Self::Malformed(_)
            | Self::BadHandshake(_)
            | Self::WebSocketVersion
            | Self::Internal => 13,
            Self::BadGateway(_)
            | Self::Overloaded { .. }
            | Self::AuthenticationUnavailable { .. }
            | Self::LimiterUnavailable(_)
            | Self::WebSocketsFull { .. }
            | Self::ServiceUnavailable { .. } => 14,
            Self::Unauthenticated { .. } | Self::Browser(_) => 16,
        }
    }

    /// The `error` of the body: stable, documented, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "bad_request",
            Self::Slow(_) => "request_timeout",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::UriTooLong { .. } => "uri_too_long",
            Self::HeadersTooLarge { .. } => "headers_too_large",
            Self::Misdirected => "misdirected_request",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Overloaded { .. } => "overloaded",
            Self::Unauthenticated { kind, .. } => kind.code(),
            Self::AuthenticationUnavailable { .. } => "authentication_unavailable",
            Self::Browser(why) => why.code(),
            Self::Forbidden(forbidden) => forbidden.code(),
            Self::AddressNotAllowed(_) => "address_not_allowed",
            Self::ChallengeRequired { .. } => "challenge_required",
            Self::Tenant { fault, .. } => fault.code(),
            Self::OverLimit(_) => "rate_limit_exceeded",
            Self::Banned(_) => "banned",
            Self::LimiterUnavailable(_) => "limiter_unavailable",
            Self::ServiceUnavailable { .. } => "service_unavailable",
            Self::BadGateway(_) => "bad_gateway",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::BadHandshake(_) => "bad_handshake",
            Self::UnknownProtocol => "unknown_protocol",
            Self::WebSocketVersion => "websocket_version",
            Self::TooManyWebSockets { .. } => "too_many_websockets",
            Self::WebSocketsFull { .. } => "websockets_full",
            Self::Gone => "gone",
            Self::NoFile => "no_file",
            Self::PreconditionFailed => "precondition_failed",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::Internal => "internal_error",
        }
    }

    /// Whole seconds after which trying again may help; goes into `Retry-After`.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::OverLimit(state) | Self::Banned(state) => Some(state.retry_after.max(1)),
            Self::Overloaded { retry_after, .. } | Self::ServiceUnavailable { retry_after, .. } => {
                Some(retry_after.as_secs_f64().ceil().max(1.0) as u64)
            }
            Self::AuthenticationUnavailable { .. }
            | Self::LimiterUnavailable(_)
            | Self::TooManyWebSockets { .. }
            | Self::WebSocketsFull { .. } => Some(5),
            Self::Malformed(_)
            | Self::Slow(_)
            | Self::BodyTooLarge { .. }
            | Self::UriTooLong { .. }
            | Self::HeadersTooLarge { .. }
            | Self::Misdirected
            | Self::NoRoute
            | Self::MethodNotAllowed { .. }
            | Self::Unauthenticated { .. }
            | Self::Browser(_)
            | Self::Forbidden(_)
            | Self::AddressNotAllowed(_)
            | Self::ChallengeRequired { .. }
            | Self::Tenant { .. }
            | Self::BadGateway(_)
            | Self::UpstreamTimeout
            | Self::DeadlineExceeded
            | Self::BadHandshake(_)
            | Self::UnknownProtocol
            | Self::WebSocketVersion
            | Self::Gone
            | Self::NoFile
            | Self::PreconditionFailed
            | Self::RangeNotSatisfiable { .. }
            | Self::Internal => None,
        }
    }
}

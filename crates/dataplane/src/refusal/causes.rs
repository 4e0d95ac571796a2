//! What lies behind a refusal: why a service has nobody to offer, how an attempt at it failed, what the node is short of.

/// What opened a breaker: the rule, and the numbers that it saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interruption {
    pub rule: &'static str,
    pub requests: u32,
    pub failures: u32,
    pub slow: u32,
    pub loaded: u32,
}

/// Why a service has no instance to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    BreakerOpen(Interruption),
    /// The breaker has closed and lets only a share of the requests pass at first.
    BreakerRamp,
    NoHealthyInstance,
    NoInstance,
    PoolExhausted,
    /// The service's `max_pending` on this node.
    TooManyPending,
    /// The service's `max_in_flight` on this node.
    TooManyInFlight,
    /// The service's `max_requests_per_second` on this node.
    TooManyPerSecond,
    /// This process may open no further file: the gateway's own shortage, not the service's fault.
    NoDescriptor,
}

impl Unavailable {
    pub fn text(self) -> &'static str {
        match self {
            Self::BreakerOpen(_) => "breaker_open",
            Self::BreakerRamp => "breaker_ramp",
            Self::NoHealthyInstance => "no_healthy_instance",
            Self::NoInstance => "no_instance",
            Self::PoolExhausted => "pool_exhausted",
            Self::TooManyPending => "too_many_pending",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::TooManyPerSecond => "too_many_per_second",
            Self::NoDescriptor => "no_descriptor",
        }
    }
}

/// How an attempt at a service failed before a response could be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    ConnectionRefused,
    ConnectionTimeout,
    ConnectionFailed,
    ConnectionReset,
    InvalidResponse,
    HeadersTooLarge,
    TlsHandshakeFailed,
    /// The certificate of the instance is past its time, or before it.
    TlsExpired,
    /// No authority that is trusted has signed it.
    TlsUntrusted,
    /// It is for another name.
    TlsWrongName,
    /// Anything else is wrong with it.
    TlsInvalid,
    /// The service gave up this exchange alone (HTTP/2).
    StreamReset,
    /// A WebSocket was asked for, and the service has not said that it takes any over HTTP/2 (RFC 8441 section 3).
    NoExtendedConnect,
}

impl UpstreamFault {
    /// The `error_type` of the record (requirements LG-1, UP-8, UP-9).
    pub fn text(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionTimeout => "connection_timeout",
            Self::ConnectionFailed => "connection_failed",
            Self::ConnectionReset => "connection_reset",
            Self::InvalidResponse => "invalid_response",
            Self::HeadersTooLarge => "upstream_headers_too_large",
            Self::TlsHandshakeFailed => "tls_handshake_failed",
            Self::TlsExpired => "tls_certificate_expired",
            Self::TlsUntrusted => "tls_certificate_untrusted",
            Self::TlsWrongName => "tls_certificate_wrong_name",
            Self::TlsInvalid => "tls_certificate_invalid",
            Self::StreamReset => "stream_reset",
            Self::NoExtendedConnect => "no_extended_connect",
        }
    }
}

/// What a caller was counted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    #[default]
    Global,
    Service,
    Route,
    User,
    ApiKey,
    ClientIp,
    Header,
    Fingerprint,
    Tenant,
    Claim,
    /// By several of these together.
    Several,
}

impl KeyKind {
    /// The word of the configuration for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Service => "service",
            Self::Route => "route",
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::ClientIp => "client_ip",
            Self::Header => "header",
            Self::Fingerprint => "fingerprint",
            Self::Tenant => "tenant",
            Self::Claim => "claim",
            Self::Several => "several",
        }
    }
}

/// Why nobody could count a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimiterFault {
    Full,
    Store,
}

impl LimiterFault {
    pub fn text(self) -> &'static str {
        match self {
            Self::Full => "the counters are full",
            Self::Store => "Redis cannot be asked",
        }
    }
}

/// Who counted a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountedBy {
    /// The node alone, as the tier is configured.
    #[default]
    Node,
    /// The store that nodes share.
    Redis,
    /// The node, of what it has taken ahead there.
    Lease,
    /// The node, within its share of the limit, since the store could not be asked.
    Share,
}

impl CountedBy {
    /// For the record; nothing where it goes without saying.
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Node => None,
            Self::Redis => Some("redis"),
            Self::Lease => Some("lease"),
            Self::Share => Some("share_of_node"),
        }
    }
}

/// What a limited caller is told: `X-RateLimit-*`, `Retry-After`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitState {
    /// Index of the tier in the snapshot.
    pub tier: u32,
    pub key: KeyKind,
    pub limit: u64,
    pub remaining: u64,
    /// Epoch second at which the window resets, or all of the limit is free again (requirement RL-15).
    pub reset: u64,
    /// Whole seconds until the formula admits a request; 0 while admitted.
    pub retry_after: u64,
    pub by: CountedBy,
}

/// What the node is short of when it sheds a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Cpu,
    Memory,
    InFlight,
    Concurrency,
}

impl Reason {
    /// Of `X-Load-Shed`, the record and the metric.
    pub fn text(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::InFlight => "in_flight",
            Self::Concurrency => "concurrency",
        }
    }
}

/// How short. Processor and memory in percent of what the node may use, the others in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub reason: Reason,
    pub value: u32,
    /// What the request's priority is refused from (in flight) or above (all else).
    pub threshold: u32,
    /// Where it is served again.
    pub resumes: u32,
}

/// What was wrong with the opening handshake of a WebSocket (RFC 6455 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    Request,
    Body,
    Connection,
    Key,
    /// Over HTTP/2 the request can be nothing else, so it cannot be served without.
    Route,
}

impl HandshakeFault {
    pub fn text(self) -> &'static str {
        match self {
            Self::Request => "a WebSocket is opened with `GET` and HTTP/1.1",
            Self::Body => "the handshake of a WebSocket has no body",
            Self::Connection => "the Connection header does not name `upgrade`",
            Self::Key => "the Sec-WebSocket-Key is not 16 bytes in Base64, once",
            Self::Route => "the route has no WebSockets",
        }
    }
}

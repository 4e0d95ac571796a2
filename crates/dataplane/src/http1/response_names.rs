//! Which response headers a stage of ours treats in its own way.

/// Found once, when a response is read, so that nobody compares names again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownResponse {
    #[default]
    Other,
    AccessControlAllowCredentials,
    AccessControlAllowHeaders,
    AccessControlAllowMethods,
    AccessControlAllowOrigin,
    AccessControlExposeHeaders,
    AccessControlMaxAge,
    CacheControl,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentSecurityPolicy,
    ContentType,
    Date,
    Deprecation,
    KeepAlive,
    PermissionsPolicy,
    ProxyAuthenticate,
    ProxyConnection,
    ReferrerPolicy,
    RetryAfter,
    Server,
    StrictTransportSecurity,
    Sunset,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    Vary,
    XContentTypeOptions,
    XFrameOptions,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`: on a limited route these are ours.
    XRateLimit,
    XRequestId,
    XResponseTimeMs,
    XXssProtection,
    /// Named in the service's `Connection` header: meant for us alone. Never passed on.
    NamedInConnection,
}

impl KnownResponse {
    /// Meant for this connection alone, framing included.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::ContentLength
                | Self::KeepAlive
                | Self::NamedInConnection
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Belongs to the CORS protocol.
    pub fn is_cors(self) -> bool {
        matches!(
            self,
            Self::AccessControlAllowCredentials
                | Self::AccessControlAllowHeaders
                | Self::AccessControlAllowMethods
                | Self::AccessControlAllowOrigin
                | Self::AccessControlExposeHeaders
                | Self::AccessControlMaxAge
        )
    }

    /// Finds what a lower-case header name means to us.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"cache-control" => Self::CacheControl,
            b"connection" => Self::Connection,
            b"content-encoding" => Self::ContentEncoding,
            b"content-length" => Self::ContentLength,
            b"content-security-policy" => Self::ContentSecurityPolicy,
            b"content-type" => Self::ContentType,
            b"date" => Self::Date,
            b"deprecation" => Self::Deprecation,
            b"keep-alive" => Self::KeepAlive,
            b"permissions-policy" => Self::PermissionsPolicy,
            b"proxy-authenticate" => Self::ProxyAuthenticate,
            b"proxy-connection" => Self::ProxyConnection,
            b"referrer-policy" => Self::ReferrerPolicy,
            b"retry-after" => Self::RetryAfter,
            b"server" => Self::Server,
            b"strict-transport-security" => Self::StrictTransportSecurity,
            b"sunset" => Self::Sunset,
            b"te" => Self::Te,
            b"trailer" => Self::Trailer,
            b"transfer-encoding" => Self::TransferEncoding,
            b"upgrade" => Self::Upgrade,
            b"vary" => Self::Vary,
            _ => Self::from_prefixed_name(name),
        }
    }

    fn from_prefixed_name(name: &[u8]) -> Self {
        match name {
            b"access-control-allow-credentials" => Self::AccessControlAllowCredentials,
            b"access-control-allow-headers" => Self::AccessControlAllowHeaders,
            b"access-control-allow-methods" => Self::AccessControlAllowMethods,
            b"access-control-allow-origin" => Self::AccessControlAllowOrigin,
            b"access-control-expose-headers" => Self::AccessControlExposeHeaders,
            b"access-control-max-age" => Self::AccessControlMaxAge,
            b"x-content-type-options" => Self::XContentTypeOptions,
            b"x-frame-options" => Self::XFrameOptions,
            b"x-ratelimit-limit" | b"x-ratelimit-remaining" | b"x-ratelimit-reset" => Self::XRateLimit,
            b"x-request-id" => Self::XRequestId,
            b"x-response-time-ms" => Self::XResponseTimeMs,
            b"x-xss-protection" => Self::XXssProtection,
            _ => Self::Other,
        }
    }
}

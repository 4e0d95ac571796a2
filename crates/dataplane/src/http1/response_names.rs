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
    /// `RateLimit`, `RateLimit-Policy`: where we write them, they are ours.
    RateLimit,
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
        // By length first: that leaves one to three names to compare.
        match (name.len(), name) {
            (2, b"te") => Self::Te,
            (4, b"date") => Self::Date,
            (4, b"vary") => Self::Vary,
            (6, b"server") => Self::Server,
            (6, b"sunset") => Self::Sunset,
            (7, b"trailer") => Self::Trailer,
            (7, b"upgrade") => Self::Upgrade,
            (10, b"connection") => Self::Connection,
            (10, b"keep-alive") => Self::KeepAlive,
            (11, b"deprecation") => Self::Deprecation,
            (11, b"retry-after") => Self::RetryAfter,
            (12, b"content-type") => Self::ContentType,
            (12, b"x-request-id") => Self::XRequestId,
            (13, b"cache-control") => Self::CacheControl,
            (14, b"content-length") => Self::ContentLength,
            (15, b"referrer-policy") => Self::ReferrerPolicy,
            (15, b"x-frame-options") => Self::XFrameOptions,
            (16, b"content-encoding") => Self::ContentEncoding,
            (16, b"proxy-connection") => Self::ProxyConnection,
            (9, b"ratelimit") | (16, b"ratelimit-policy") => Self::RateLimit,
            (16, b"x-xss-protection") => Self::XXssProtection,
            (17, b"transfer-encoding") => Self::TransferEncoding,
            (17, b"x-ratelimit-limit" | b"x-ratelimit-reset") => Self::XRateLimit,
            (18, b"permissions-policy") => Self::PermissionsPolicy,
            (18, b"proxy-authenticate") => Self::ProxyAuthenticate,
            (18, b"x-response-time-ms") => Self::XResponseTimeMs,
            (21, b"x-ratelimit-remaining") => Self::XRateLimit,
            (22, b"access-control-max-age") => Self::AccessControlMaxAge,
            (22, b"x-content-type-options") => Self::XContentTypeOptions,
            (23, b"content-security-policy") => Self::ContentSecurityPolicy,
            (25, b"strict-transport-security") => Self::StrictTransportSecurity,
            (27, b"access-control-allow-origin") => Self::AccessControlAllowOrigin,
            (28, b"access-control-allow-headers") => Self::AccessControlAllowHeaders,
            (28, b"access-control-allow-methods") => Self::AccessControlAllowMethods,
            (29, b"access-control-expose-headers") => Self::AccessControlExposeHeaders,
            (32, b"access-control-allow-credentials") => Self::AccessControlAllowCredentials,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong length in the table would make a name unknown.
    #[test]
    fn each_name_of_ours_is_found() {
        for name in "te date vary ratelimit ratelimit-policy server sunset trailer upgrade connection keep-alive deprecation \
                     retry-after content-type x-request-id cache-control content-length referrer-policy \
                     x-frame-options content-encoding proxy-connection x-xss-protection transfer-encoding \
                     x-ratelimit-limit x-ratelimit-reset permissions-policy proxy-authenticate \
                     x-response-time-ms x-ratelimit-remaining access-control-max-age \
                     x-content-type-options content-security-policy strict-transport-security \
                     access-control-allow-origin access-control-allow-headers \
                     access-control-allow-methods access-control-expose-headers \
                     access-control-allow-credentials"
            .split_whitespace()
        {
            assert_ne!(KnownResponse::from_name(name.as_bytes()), KnownResponse::Other, "{name}");
        }
    }
}

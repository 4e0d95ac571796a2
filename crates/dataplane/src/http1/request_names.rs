//! Which request headers a stage of ours treats in its own way.

use crate::request::Known;

/// Longer than any name below; a longer name cannot be a spelling of one.
const LONGEST: usize = 32;
const CLIENT_CERTIFICATE: &[u8] = b"x-client-cert";

/// Finds what a lower-case header name means to us.
///
/// CGI, WSGI and their heirs hand a service `X_User.Id` and `X-User-Id` under one name. So every name that becomes one
/// of ours when each mark is read as `-` is `ClientSentIdentity`, which is never forwarded.
pub fn known(name: &[u8]) -> Known {
    let known = exact(name);
    if known != Known::Other || !name.iter().any(|byte| folded(*byte) != *byte) {
        return known;
    }
    if is_client_certificate(name) {
        return Known::ClientSentIdentity;
    }
    let mut plain = [0; LONGEST];
    let Some(plain) = plain.get_mut(..name.len()) else { return Known::Other };
    for (to, &from) in plain.iter_mut().zip(name) {
        *to = folded(from);
    }
    if exact(plain) == Known::Other { Known::Other } else { Known::ClientSentIdentity }
}

/// What a service may read a byte of a name as. Most who fold names do it with `_` and `.` at most; CGI of lighttpd with
/// everything that is neither a letter nor a digit.
pub fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte } else { b'-' }
}

/// Are these names one to a service that folds them?
pub fn is_spelling(name: &[u8], own: &[u8]) -> bool {
    name.len() == own.len() && name.iter().zip(own).all(|(one, other)| folded(*one) == folded(*other))
}

/// Begins `X-Client-Cert` in any spelling.
fn is_client_certificate(name: &[u8]) -> bool {
    name.get(..CLIENT_CERTIFICATE.len()).is_some_and(|begin| is_spelling(begin, CLIENT_CERTIFICATE))
}

/// The same for a name without marks but `-`.
pub(crate) fn exact(name: &[u8]) -> Known {
    // By length first: that leaves one to three names to compare.
    match (name.len(), name) {
        (2, b"te") => Known::Te,
        (4, b"host") => Known::Host,
        // `Proxy` becomes HTTP_PROXY in a CGI service and sends its own calls elsewhere (CVE-2016-5385).
        (5, b"proxy") => Known::ClientSentIdentity,
        (6, b"cookie") => Known::Cookie,
        (6, b"expect") => Known::Expect,
        (6, b"origin") => Known::Origin,
        (7, b"trailer") => Known::Trailer,
        (7, b"upgrade") => Known::Upgrade,
        (9, b"forwarded") => Known::Forwarded,
        (9, b"x-real-ip") => Known::XRealIp,
        (9, b"x-user-id") => Known::ClientSentIdentity,
        (11, b"x-tenant-id") => Known::ClientSentIdentity,
        (10, b"user-agent") => Known::UserAgent,
        (10, b"connection") => Known::Connection,
        (10, b"keep-alive") => Known::KeepAlive,
        (10, b"tracestate") => Known::Tracestate,
        (11, b"traceparent") => Known::Traceparent,
        (12, b"x-request-id") => Known::XRequestId,
        (12, b"x-partner-id") => Known::ClientSentIdentity,
        (12, b"x-user-roles") => Known::ClientSentIdentity,
        (13, b"authorization") => Known::Authorization,
        (13, b"x-user-scopes") => Known::ClientSentIdentity,
        (14, b"content-length") => Known::ContentLength,
        (14, b"http2-settings") => Known::Upgrade,
        (15, b"x-forwarded-for") => Known::XForwardedFor,
        (16, b"x-forwarded-host") => Known::XForwardedHost,
        (16, b"x-forwarded-port") => Known::XForwardedPort,
        (16, b"proxy-connection") => Known::ProxyConnection,
        (17, b"x-forwarded-proto") => Known::XForwardedProto,
        (17, b"transfer-encoding") => Known::TransferEncoding,
        (19, b"proxy-authorization") => Known::ProxyAuthorization,
        // What a certificate proved is ours to say, under whatever name a service may look for it.
        (13.., _) if name.starts_with(CLIENT_CERTIFICATE) => Known::ClientSentIdentity,
        _ => Known::Other,
    }
}

/// May a trailer of this lower-case name go on? Not one that frames, routes, authenticates or controls
/// (RFC 9110 section 6.5.1): stages have already decided by the head.
pub fn may_be_trailer(name: &[u8]) -> bool {
    let decided_by_the_head = matches!(
        name,
        b"content-encoding"
            | b"content-type"
            | b"content-range"
            | b"cache-control"
            | b"set-cookie"
            | b"location"
            | b"proxy-authenticate"
            | b"www-authenticate"
            | b"x-api-key"
            | b"range"
            | b"max-forwards"
            | b"age"
            | b"expires"
            | b"date"
            | b"vary"
            | b"retry-after"
            | b"if-match"
            | b"if-none-match"
            | b"if-range"
            | b"if-modified-since"
            | b"if-unmodified-since"
            | b"pragma"
            | b"access-control-allow-origin"
            | b"access-control-allow-credentials"
    );
    !decided_by_the_head && known(name) == Known::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_are_found_in_every_spelling() {
        for name in [
            "x-user-id",
            "x_user_id",
            "x.user.id",
            "x-user_id",
            "x_user-scopes",
            "x.partner_id",
            "x-user-roles",
            "x_user.roles",
            "x!user~id",
            "x'partner|id",
            "x+client*cert^subject",
            "proxy",
            "x-client-cert",
            "x-client-cert-subject",
            "x_client_cert_san",
            "x.client-cert_fingerprint",
            "x_client_cert_under_a_name_that_is_longer_than_any_of_ours",
        ] {
            assert_eq!(known(name.as_bytes()), Known::ClientSentIdentity, "{name}");
        }
    }

    #[test]
    fn spellings_of_headers_that_we_set_are_dropped_like_identity() {
        for name in ["x_forwarded_for", "x.request.id", "content_length", "transfer_encoding", "x_real.ip"] {
            assert_eq!(known(name.as_bytes()), Known::ClientSentIdentity, "{name}");
        }
    }

    /// A wrong length in the table would make a name unknown.
    #[test]
    fn each_name_of_ours_is_found() {
        for name in "te host proxy cookie expect origin trailer upgrade forwarded x-real-ip x-user-id user-agent \
                     connection keep-alive tracestate traceparent x-request-id x-partner-id x-tenant-id x-user-roles authorization \
                     x-user-scopes content-length http2-settings x-forwarded-for x-forwarded-host \
                     x-forwarded-port proxy-connection x-forwarded-proto transfer-encoding proxy-authorization"
            .split_whitespace()
        {
            assert_ne!(known(name.as_bytes()), Known::Other, "{name}");
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in ["x-user", "x-user-idx", "my_header", "a.b", "x-user-id-", "_", "x__user_id"] {
            assert_eq!(known(name.as_bytes()), Known::Other, "{name}");
        }
        assert_eq!(known("x_".repeat(40).as_bytes()), Known::Other);
    }

    #[test]
    fn trailers_cannot_frame_route_or_authenticate() {
        for name in ["content-length", "host", "authorization", "x-user-id", "x_user_id", "te", "set-cookie"]
        {
            assert!(!may_be_trailer(name.as_bytes()), "{name}");
        }
        assert!(may_be_trailer(b"grpc-status") && may_be_trailer(b"x-checksum"));
    }
}

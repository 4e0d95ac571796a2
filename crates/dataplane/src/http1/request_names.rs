//! Which request headers a stage of ours treats in its own way.

use crate::request::Known;

/// Longer than any name below; a longer name cannot be a spelling of one.
const LONGEST: usize = 32;

/// Finds what a lower-case header name means to us.
///
/// CGI, WSGI and their heirs hand a service `X_User.Id` and `X-User-Id` under one name. So every name that becomes one
/// of ours when `_` and `.` are read as `-` is `ClientSentIdentity`, which is never forwarded.
pub fn known(name: &[u8]) -> Known {
    let known = exact(name);
    if known != Known::Other || !name.iter().any(|byte| matches!(byte, b'_' | b'.')) {
        return known;
    }
    let mut folded = [0; LONGEST];
    let Some(folded) = folded.get_mut(..name.len()) else { return Known::Other };
    for (to, &from) in folded.iter_mut().zip(name) {
        *to = if from == b'_' || from == b'.' { b'-' } else { from };
    }
    if exact(folded) == Known::Other { Known::Other } else { Known::ClientSentIdentity }
}

fn exact(name: &[u8]) -> Known {
    match name {
        b"host" => Known::Host,
        b"accept" | b"accept-encoding" | b"accept-language" | b"content-type" | b"referer" => Known::Other,
        b"user-agent" => Known::UserAgent,
        b"authorization" => Known::Authorization,
        b"connection" => Known::Connection,
        b"content-length" => Known::ContentLength,
        b"cookie" => Known::Cookie,
        b"expect" => Known::Expect,
        b"forwarded" => Known::Forwarded,
        b"keep-alive" => Known::KeepAlive,
        b"origin" => Known::Origin,
        b"proxy-authorization" => Known::ProxyAuthorization,
        b"proxy-connection" => Known::ProxyConnection,
        b"te" => Known::Te,
        b"traceparent" => Known::Traceparent,
        b"tracestate" => Known::Tracestate,
        b"trailer" => Known::Trailer,
        b"transfer-encoding" => Known::TransferEncoding,
        b"upgrade" | b"http2-settings" => Known::Upgrade,
        b"x-forwarded-for" => Known::XForwardedFor,
        b"x-forwarded-host" => Known::XForwardedHost,
        b"x-forwarded-port" => Known::XForwardedPort,
        b"x-forwarded-proto" => Known::XForwardedProto,
        b"x-real-ip" => Known::XRealIp,
        b"x-request-id" => Known::XRequestId,
        // `Proxy` becomes HTTP_PROXY in a CGI service and sends its own calls elsewhere (CVE-2016-5385).
        b"x-user-id" | b"x-user-scopes" | b"x-partner-id" | b"proxy" => Known::ClientSentIdentity,
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
        for name in
            ["x-user-id", "x_user_id", "x.user.id", "x-user_id", "x_user-scopes", "x.partner_id", "proxy"]
        {
            assert_eq!(known(name.as_bytes()), Known::ClientSentIdentity, "{name}");
        }
    }

    #[test]
    fn spellings_of_headers_that_we_set_are_dropped_like_identity() {
        for name in ["x_forwarded_for", "x.request.id", "content_length", "transfer_encoding", "x_real.ip"] {
            assert_eq!(known(name.as_bytes()), Known::ClientSentIdentity, "{name}");
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

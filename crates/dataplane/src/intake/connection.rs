//! The Connection header: what it says of the connection, and which headers it says are for us alone.

use crate::http1::fields::{is_token, list};
use crate::intake::headers::Tally;
use crate::refusal::Malformed;
use crate::request::{Known, Request, Span, Version};

/// Sets `keep_alive` and marks the headers that are named. Refuses a list with an element that is no header name.
///
/// Runs last: what intake has read of a header stands, whether a client names that header here or not.
pub(super) fn settle(tally: &Tally, request: &mut Request) -> Result<(), Malformed> {
    request.keep_alive = request.version == Version::Http11;
    if tally.connection.count == 0 {
        return Ok(());
    }
    let (mut closes, mut keeps_alive) = (false, false);
    for at in 0..request.headers.len() {
        let Some(header) = request.headers.get(at).filter(|header| header.known == Known::Connection) else {
            continue;
        };
        let value = header.value;
        let Request { text, headers, .. } = &mut *request;
        let slice = |span: Span| text.get(span.start as usize..span.end as usize).unwrap_or_default();
        for option in list(slice(value)) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                keeps_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                closes = true;
            } else if is_token(option) {
                let named =
                    headers.iter_mut().filter(|header| slice(header.name).eq_ignore_ascii_case(option));
                named.filter(|header| may_be_named(header.known)).for_each(|header| {
                    header.known = Known::NamedInConnection;
                });
            } else {
                return Err(Malformed::HeaderValue);
            }
        }
    }
    request.keep_alive = !closes && (request.version == Version::Http11 || keeps_alive);
    Ok(())
}

/// A client must not take away what frames or names its request (CVE-2024-45410, CVE-2026-29054). Hop-by-hop headers keep
/// their own mark: they do not go on either way.
fn may_be_named(known: Known) -> bool {
    match known {
        Known::Host
        | Known::ContentLength
        | Known::TransferEncoding
        | Known::XRequestId
        | Known::ClientSentIdentity
        | Known::NamedInConnection
        | Known::Connection
        | Known::Expect
        | Known::KeepAlive
        | Known::ProxyConnection
        | Known::Te
        | Known::Trailer
        | Known::Upgrade => false,
        Known::Other
        | Known::Authorization
        | Known::Cookie
        | Known::Forwarded
        | Known::Origin
        | Known::ProxyAuthorization
        | Known::Traceparent
        | Known::Tracestate
        | Known::UserAgent
        | Known::XForwardedFor
        | Known::XForwardedHost
        | Known::XForwardedPort
        | Known::XForwardedProto
        | Known::XRealIp => true,
    }
}

//! What of a request is hashed, so that alike requests meet the same instance.

use std::net::IpAddr;

use super::ask::Ask;
use super::maglev::hash;
use crate::snapshot::document::KeyDocument;

/// The hash of a request's key; `None` where the request has none.
pub(super) fn of(key: &KeyDocument, ask: &Ask<'_>) -> Option<u64> {
    match key {
        KeyDocument::Header(name) => ask.request.values(name.as_bytes()).next().map(hash),
        KeyDocument::Cookie(name) => ask.request.cookies(name).next().map(hash),
        KeyDocument::Caller => {
            let caller = ask.caller;
            let name = [&caller.user, &caller.partner, &caller.key_id].into_iter().flatten().next();
            name.map(|name| hash(name.as_bytes()))
        }
        KeyDocument::ClientIp => Some(match ask.request.client {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        }),
        KeyDocument::Path => Some(hash(ask.request.path().as_bytes())),
    }
}

/// The word for records. The key itself is never told: a cookie or a header may be a secret.
pub(super) fn text(key: &KeyDocument) -> &'static str {
    match key {
        KeyDocument::Header(_) => "header",
        KeyDocument::Cookie(_) => "cookie",
        KeyDocument::Caller => "caller",
        KeyDocument::ClientIp => "client_ip",
        KeyDocument::Path => "path",
    }
}

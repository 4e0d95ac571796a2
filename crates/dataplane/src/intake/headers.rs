//! Copies the head once, its header names in lower case, marks what each means to us, and counts those that intake itself reads.

use crate::http1::fields::{copy_head, lower_case};
use crate::http1::request_names;
use crate::request::{Header, Known, Request, Span};

/// One kind of header: how often it was sent, and its last value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) count: u32,
    pub(super) value: Span,
}

/// The headers that intake decides by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) host: Sent,
    pub(super) content_length: Sent,
    pub(super) transfer_encoding: Sent,
    pub(super) expect: Sent,
    pub(super) request_id: Sent,
    pub(super) connection: Sent,
    pub(super) forwarded_for: Sent,
    pub(super) forwarded_proto: Sent,
}

impl Tally {
    #[inline]
    pub(super) fn count(&mut self, known: Known, value: Span) {
        let sent = match known {
            Known::Host => &mut self.host,
            Known::ContentLength => &mut self.content_length,
            Known::TransferEncoding => &mut self.transfer_encoding,
            Known::Expect => &mut self.expect,
            Known::XRequestId => &mut self.request_id,
            Known::Connection => &mut self.connection,
            Known::XForwardedFor => &mut self.forwarded_for,
            Known::XForwardedProto => &mut self.forwarded_proto,
            Known::Other
            | Known::Authorization
            | Known::Cookie
            | Known::Forwarded
            | Known::KeepAlive
            | Known::Origin
            | Known::ProxyAuthorization
            | Known::ProxyConnection
            | Known::Te
            | Known::Traceparent
            | Known::Tracestate
            | Known::Trailer
            | Known::Upgrade
            | Known::UserAgent
            | Known::XForwardedHost
            | Known::XForwardedPort
            | Known::XRealIp
            | Known::ClientSentIdentity
            | Known::NamedInConnection => return,
        };
        sent.count += 1;
        sent.value = value;
    }
}

/// The text of the request becomes the head, and what is not canonical yet is written behind it.
pub(super) fn copy(head: &[u8], fields: &[httparse::Header<'_>], request: &mut Request) -> Tally {
    let copied = copy_head(head, &mut request.text);
    let mut tally = Tally::default();
    for field in fields {
        let (name, value) = (copied.span(field.name.as_bytes()), copied.span(field.value));
        let known = request_names::known(lower_case(&mut request.text, name));
        tally.count(known, value);
        request.headers.push(Header { name, value, known });
    }
    tally
}

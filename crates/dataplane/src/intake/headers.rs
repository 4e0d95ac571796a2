//! Copies the headers once, in lower case, marks what each means to us, and counts those that intake itself reads.

use crate::http1::fields::copy_block;
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
    fn count(&mut self, known: Known, value: Span) {
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

pub(super) fn copy(head: &[u8], fields: &[httparse::Header<'_>], request: &mut Request) -> Tally {
    // Path, method, host and id come behind the headers.
    request.text.reserve(head.len() * 2 + 64);
    let block = copy_block(head, fields, &mut request.text);
    let mut tally = Tally::default();
    for field in fields {
        let name = block.lower_case_span(field.name.as_bytes(), &mut request.text);
        let value = block.span(field.value);
        let known = request_names::known(request.slice(name));
        tally.count(known, value);
        request.headers.push(Header { name, value, known });
    }
    tally
}

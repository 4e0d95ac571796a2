//! The head that goes to the service, written from the canonical request and never copied from the wire.

use std::net::IpAddr;

use crate::caller::Caller;
use crate::proxy::trace::Trace;
use crate::request::{Framing, Known, Request, Scheme};

/// What a route changes in the headers of a request or a response. Applied in the order remove, set, add.
#[derive(Debug, Default)]
pub struct HeaderChanges {
    /// Names whose own value does not go on: those removed and those set. Lower case.
    pub dropped: Vec<Box<[u8]>>,
    /// `name: value CR LF` for each that is set or added.
    pub lines: Vec<u8>,
}

impl HeaderChanges {
    pub fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|dropped| **dropped == *name)
    }
}

/// Everything the outgoing head is made of.
pub struct OutgoingHead<'a> {
    pub request: &'a Request,
    /// Canonical, after `strip_prefix` and `rewrite`.
    pub path: &'a [u8],
    /// `None`: the client's own.
    pub host: Option<&'a [u8]>,
    pub caller: &'a Caller,
    pub trace: &'a Trace,
    pub changes: &'a HeaderChanges,
    /// Headers that carry credentials which the route does not forward.
    pub withheld: &'a [Box<[u8]>],
}

impl OutgoingHead<'_> {
    pub fn write(&self, out: &mut Vec<u8>) {
        let request = self.request;
        out.extend_from_slice(request.slice(request.method_text));
        out.push(b' ');
        out.extend_from_slice(self.path);
        if let Some(query) = request.query {
            out.push(b'?');
            out.extend_from_slice(request.slice(query));
        }
        own(out, b" HTTP/1.1\r\nhost: ", self.host.unwrap_or(request.slice(request.authority)));
        self.write_forwarded(out);
        self.write_identity(out);
        self.write_framing(out);
        self.write_headers(out);
        out.extend_from_slice(&self.changes.lines);
        out.extend_from_slice(b"\r\n");
    }

    fn write_headers(&self, out: &mut Vec<u8>) {
        let request = self.request;
        for header in &request.headers {
            let name = request.slice(header.name);
            let goes_on = match header.known {
                Known::Other | Known::Authorization => {
                    !self.withheld.iter().any(|withheld| **withheld == *name)
                }
                Known::Cookie | Known::Origin | Known::UserAgent => true,
                Known::Tracestate => self.trace.continues,
                // `TE` is ours to say; only `trailers` can be passed on, as we pass the trailers on.
                Known::Te => false,
                Known::Connection
                | Known::ContentLength
                | Known::Expect
                | Known::Forwarded
                | Known::Host
                | Known::KeepAlive
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::Traceparent
                | Known::Trailer
                | Known::TransferEncoding
                | Known::Upgrade
                | Known::XForwardedFor
                | Known::XForwardedHost
                | Known::XForwardedPort
                | Known::XForwardedProto
                | Known::XRealIp
                | Known::XRequestId
                | Known::ClientSentIdentity
                | Known::NamedInConnection => false,
            };
            if goes_on && !self.changes.drops(name) {
                match request.line(header) {
                    Some(whole) => out.extend_from_slice(whole),
                    None => line(out, name, request.slice(header.value)),
                }
            }
        }
    }

    fn write_forwarded(&self, out: &mut Vec<u8>) {
        let request = self.request;
        out.extend_from_slice(b"x-forwarded-for: ");
        if request.peer_is_trusted {
            for value in request.headers.iter().filter(|header| header.known == Known::XForwardedFor) {
                out.extend_from_slice(request.slice(value.value));
                out.extend_from_slice(b", ");
            }
            write_address(out, request.peer);
        } else {
            write_address(out, request.client);
        }
        out.extend_from_slice(b"\r\n");
        match request.scheme {
            Scheme::Http => out.extend_from_slice(b"x-forwarded-proto: http\r\n"),
            Scheme::Https => out.extend_from_slice(b"x-forwarded-proto: https\r\n"),
        }
        let host = request.known(Known::XForwardedHost).filter(|_| request.peer_is_trusted);
        own(out, b"x-forwarded-host: ", host.unwrap_or(request.slice(request.authority)));
        own(out, b"x-request-id: ", request.slice(request.id));
        own(out, b"traceparent: ", &self.trace.outgoing);
    }

    fn write_identity(&self, out: &mut Vec<u8>) {
        if let Some(user) = &self.caller.user {
            own(out, b"x-user-id: ", user.as_bytes());
            own(out, b"x-user-scopes: ", self.caller.scopes_text.as_bytes());
        }
        if let Some(partner) = &self.caller.partner {
            own(out, b"x-partner-id: ", partner.as_bytes());
        }
        if let Some(secured) = &self.request.secured {
            out.extend_from_slice(secured.lines());
        }
    }

    fn write_framing(&self, out: &mut Vec<u8>) {
        match self.request.framing {
            Framing::None => {}
            Framing::Length(length) => {
                own(out, b"content-length: ", itoa::Buffer::new().format(length).as_bytes());
            }
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        if self.request.accepts_trailers() {
            out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
        }
    }
}

/// A line of ours; `prefix` ends with `: `.
fn own(out: &mut Vec<u8>, prefix: &[u8], value: &[u8]) {
    out.reserve(prefix.len() + value.len() + 2);
    out.extend_from_slice(prefix);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

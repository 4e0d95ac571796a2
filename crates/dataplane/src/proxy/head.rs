//! The head that goes to the service, written from the canonical request and never copied from the wire.

use std::net::IpAddr;

use crate::addresses::Country;
use crate::caller::Caller;
use crate::io::address::Dotted;
use crate::proxy::trace::Trace;
use crate::proxy::withheld::Withheld;
use crate::request::{Framing, Header, Known, Request, Scheme};
use crate::websocket::handshake::Handshake;

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
    /// Becomes `X-Tenant-ID`.
    pub tenant: Option<&'a str>,
    pub trace: &'a Trace,
    pub changes: &'a HeaderChanges,
    /// Where the request asks for a WebSocket.
    pub handshake: Option<&'a Handshake>,
    /// Where the client is, if the service is told.
    pub country: Option<CountryHeader<'a>>,
    /// Credentials that the route does not forward.
    pub withheld: &'a Withheld,
}

/// Tells a service where the client is.
#[derive(Clone, Copy, Debug)]
pub struct CountryHeader<'a> {
    /// Lower case.
    pub name: &'a [u8],
    pub country: Option<Country>,
}

impl CountryHeader<'_> {
    fn line(&self, country: &Country) -> Vec<u8> {
        [self.name, b": ", country.text().as_bytes(), b"\r\n"].concat()
    }
}

/// Where an outgoing head goes, in the words of one protocol. What goes is decided by `OutgoingHead` alone.
pub trait HeadSink {
    /// The first thing said.
    fn target(&mut self, request: &Request, path: &[u8], query: Option<&[u8]>, authority: &[u8]);

    /// Begins a header of ours; `prefix` is `name: `. The pieces of its value follow, then `end`.
    fn begin(&mut self, prefix: &'static [u8]);

    fn piece(&mut self, bytes: &[u8]);

    fn end(&mut self);

    /// A header of the client's goes on as it is.
    fn pass(&mut self, request: &Request, header: &Header);

    /// Header lines that never change, as HTTP/1.1 bytes: `name: value CR LF`, any number.
    fn lines(&mut self, lines: &[u8]);

    fn framing(&mut self, framing: Framing);

    /// The request asks for a WebSocket.
    fn upgrades(&mut self, handshake: &Handshake);

    /// The client takes trailers, so the service may send some.
    fn accepts_trailers(&mut self);

    /// The last thing said.
    fn finish(&mut self);

    /// A whole header of ours.
    fn own<const LENGTH: usize>(&mut self, prefix: &'static [u8; LENGTH], value: &[u8]) {
        self.begin(prefix);
        self.piece(value);
        self.end();
    }
}

impl OutgoingHead<'_> {
    pub fn write<S: HeadSink>(&self, sink: &mut S) {
        let request = self.request;
        let query = self.withheld.query(request);
        let authority = self.host.unwrap_or(request.slice(request.authority));
        sink.target(request, self.path, query.as_deref(), authority);
        self.write_forwarded(sink);
        self.write_identity(sink);
        sink.framing(request.framing);
        if let Some(handshake) = self.handshake {
            sink.upgrades(handshake);
        } else if request.accepts_trailers() {
            sink.accepts_trailers();
        }
        self.write_headers(sink);
        sink.lines(&self.changes.lines);
        sink.finish();
    }

    fn write_headers<S: HeadSink>(&self, sink: &mut S) {
        let request = self.request;
        for header in &request.headers {
            let name = request.slice(header.name);
            let goes_on = match header.known {
                Known::Other | Known::Authorization => self.is_clients(name),
                Known::Cookie if self.withheld.has_cookies() => {
                    if !self.changes.drops(name) {
                        self.withheld.pass_cookies(sink, request, header);
                    }
                    false
                }
                Known::Cookie | Known::Origin | Known::UserAgent => true,
                Known::Tracestate => self.trace.keeps_state(),
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
                sink.pass(request, header);
            }
        }
    }

    /// Nobody keeps this header from the service, and none of ours takes its place.
    fn is_clients(&self, name: &[u8]) -> bool {
        !self.withheld.has_header(name) && !self.trace.replaces(name)
    }

    fn write_forwarded<S: HeadSink>(&self, sink: &mut S) {
        let request = self.request;
        sink.begin(b"x-forwarded-for: ");
        if request.peer_is_trusted {
            for value in request.headers.iter().filter(|header| header.known == Known::XForwardedFor) {
                sink.piece(request.slice(value.value));
                sink.piece(b", ");
            }
            write_address(sink, request.peer);
        } else {
            write_address(sink, request.client);
        }
        sink.end();
        match request.scheme {
            Scheme::Http => sink.own(b"x-forwarded-proto: ", b"http"),
            Scheme::Https => sink.own(b"x-forwarded-proto: ", b"https"),
        }
        let host = request.known(Known::XForwardedHost).filter(|_| request.peer_is_trusted);
        sink.own(b"x-forwarded-host: ", host.unwrap_or(request.slice(request.authority)));
        sink.own(b"x-request-id: ", request.slice(request.id));
        self.trace.write(sink);
    }

    fn write_identity<S: HeadSink>(&self, sink: &mut S) {
        if let Some(user) = &self.caller.user {
            sink.own(b"x-user-id: ", user.as_bytes());
            sink.own(b"x-user-scopes: ", self.caller.scopes_text.as_bytes());
        }
        if let Some(roles) = &self.caller.roles {
            sink.own(b"x-user-roles: ", roles.text.as_bytes());
        }
        if let Some(lines) = &self.caller.header_lines {
            sink.lines(lines);
        }
        if let Some(partner) = &self.caller.partner {
            sink.own(b"x-partner-id: ", partner.as_bytes());
        }
        if let Some(tenant) = self.tenant {
            sink.own(b"x-tenant-id: ", tenant.as_bytes());
        }
        if let Some(secured) = &self.request.secured {
            sink.lines(secured.lines());
        }
        if let Some(header) = &self.country
            && let Some(country) = &header.country
        {
            sink.lines(&header.line(country));
        }
    }
}

fn write_address<S: HeadSink>(sink: &mut S, address: IpAddr) {
    match address {
        IpAddr::V4(address) => sink.piece(Dotted::new(address).bytes()),
        IpAddr::V6(address) => sink.piece(address.to_string().as_bytes()),
    }
}

//! The one canonical request. `intake` builds it; every later stage reads only this, and the head that goes to the
//! service is written from it. There is no second, raw form.

use std::net::IpAddr;
use std::sync::Arc;

use crate::query;
use crate::tls::Secured;

/// A range of bytes inside the request's own text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A method by RFC 9110. `Other` keeps its text in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
    Other,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 section 9.1): `get` is `Other`.
    pub fn from_bytes(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// May be sent twice with the effect of once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace => true,
            Self::Post | Self::Patch | Self::Connect | Self::Other => false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

/// How the body of a message is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
}

/// Headers that a stage of ours treats in its own way; found once, at intake, so that nobody compares names again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    #[default]
    Other,
    Authorization,
    Connection,
    ContentLength,
    Cookie,
    Expect,
    Forwarded,
    Host,
    KeepAlive,
    Origin,
    ProxyAuthorization,
    ProxyConnection,
    Te,
    Traceparent,
    Tracestate,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XRealIp,
    XRequestId,
    /// `X-User-ID`, `X-User-Scopes`, `X-User-Roles`, `X-Partner-ID`, `X-Tenant-ID`, `X-Client-Cert-*` in every spelling: case, and `_` or `.` for `-`. Never forwarded.
    ClientSentIdentity,
    /// Named in the client's `Connection` header: meant for us alone (RFC 9110 section 7.6.1). Never forwarded.
    NamedInConnection,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Header {
    /// Lower case.
    pub name: Span,
    /// Without surrounding white space; no CR, LF or NUL.
    pub value: Span,
    pub known: Known,
}

/// The other end of a connection, for each of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// What TLS proved about it.
    pub secured: Option<Arc<Secured>>,
}

/// A validated, canonical request. Made by `intake` (from a wire or from a document), read by all.
#[derive(Clone, Debug)]
pub struct Request {
    /// What every `Span` of this request points into.
    pub text: Vec<u8>,
    pub headers: Vec<Header>,
    pub method: Method,
    pub method_text: Span,
    /// Canonical path: starts with `/`, ASCII, dot segments resolved, `//` merged, unreserved characters decoded,
    /// all other escapes in upper case. What is matched is what is authorised is what is forwarded.
    pub path: Span,
    /// Without the `?`. Kept as sent, after validation: visible ASCII only.
    pub query: Option<Span>,
    /// Lower case, without port and without a final dot; IPv6 in brackets. Empty only in HTTP/1.0.
    pub host: Span,
    /// `host` with the port as sent, where one was sent.
    pub authority: Span,
    pub id: Span,
    pub version: Version,
    pub scheme: Scheme,
    pub framing: Framing,
    /// An extended CONNECT, which asks for a WebSocket on its stream (RFC 8441). The method is `GET`, as in HTTP/1.1.
    pub extended: bool,
    /// May the client's connection be used again after this request?
    pub keep_alive: bool,
    pub expects_continue: bool,
    /// The address that limits, records and `X-Forwarded-For` speak of (requirement IN-13).
    pub client: IpAddr,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The peer is one of the listener's `trusted_proxies`, so its forwarding headers count.
    pub peer_is_trusted: bool,
    /// What TLS proved about the client; `None` on a plain connection. Belongs to the connection and stays.
    pub secured: Option<Arc<Secured>>,
    /// Bytes of the head as received, for the record.
    pub head_bytes: u32,
}

impl Request {
    /// An empty request to be filled; its buffers are meant to be used again by the next request of a connection.
    pub fn new(peer: IpAddr) -> Self {
        let (text, headers) = (Vec::with_capacity(1024), Vec::with_capacity(24));
        Self { text, headers, ..Self::blank(peer) }
    }

    fn blank(peer: IpAddr) -> Self {
        Self {
            text: Vec::new(),
            headers: Vec::new(),
            method: Method::Get,
            method_text: Span::default(),
            path: Span::default(),
            query: None,
            host: Span::default(),
            authority: Span::default(),
            id: Span::default(),
            version: Version::Http11,
            scheme: Scheme::Http,
            framing: Framing::None,
            extended: false,
            keep_alive: true,
            expects_continue: false,
            client: peer,
            peer,
            peer_is_trusted: false,
            secured: None,
            head_bytes: 0,
        }
    }

    /// Forgets the last request, keeps the buffers and what belongs to the connection. Each part by itself: this is
    /// done for every request, and a whole one would be made and moved.
    pub fn clear(&mut self) {
        // Without `..`, so that no part can be forgotten here.
        #[rustfmt::skip]
        let Self {
            text, headers, method, method_text, path, query, host, authority, id, version, scheme, framing, extended,
            keep_alive, expects_continue, client, peer, peer_is_trusted, secured: _, head_bytes,
        } = self;
        text.clear();
        headers.clear();
        (*method, *version, *scheme, *framing) = Default::default();
        (*method_text, *path, *host, *authority, *id) = Default::default();
        *query = None;
        (*extended, *expects_continue, *peer_is_trusted) = (false, false, false);
        *keep_alive = true;
        *client = *peer;
        *head_bytes = 0;
    }

    /// Appends bytes to the text and says where they are.
    pub fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { start, end: self.text.len() as u32 }
    }

    pub fn slice(&self, span: Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// For parts that intake has proved to be ASCII: path, host, id, method, header names.
    pub fn str(&self, span: Span) -> &str {
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    pub fn path(&self) -> &str {
        self.str(self.path)
    }

    pub fn query(&self) -> &str {
        self.query.map_or("", |span| self.str(span))
    }

    pub fn host(&self) -> &str {
        self.str(self.host)
    }

    pub fn method(&self) -> &str {
        self.str(self.method_text)
    }

    pub fn id(&self) -> &str {
        self.str(self.id)
    }

    /// The whole line of a header, end included, where it stands in the text as it would be written.
    pub fn line(&self, header: &Header) -> Option<&[u8]> {
        line_of(&self.text, header.name, header.value)
    }

    /// The value of the first header of this kind.
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        self.headers.iter().find(|header| header.known == known).map(|header| self.slice(header.value))
    }

    /// The client takes trailers behind a chunked response (RFC 9110 section 10.1.4).
    pub fn accepts_trailers(&self) -> bool {
        self.known(Known::Te).is_some_and(|value| {
            value
                .split(|byte| *byte == b',')
                .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        })
    }

    /// A call of gRPC, by its content type. No WebSocket is one: a refusal with status 200 would open it.
    pub fn is_grpc(&self) -> bool {
        let is_grpc = |kind: &[u8]| {
            let codec = kind.strip_prefix(b"application/grpc");
            codec.is_some_and(|rest| rest.first().is_none_or(|byte| matches!(byte, b'+' | b';')))
        };
        !self.extended && self.values(b"content-type").next().is_some_and(is_grpc)
    }

    /// Every value of the cookie with this name, in the order sent.
    pub fn cookies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.headers.iter().filter(|header| header.known == Known::Cookie);
        headers
            .flat_map(|header| self.slice(header.value).split(|byte| *byte == b';'))
            .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// Every value of the query's parameter with this name, in the order sent and still encoded.
    pub fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let query = self.query.map_or(&[][..], |span| self.slice(span));
        query::pairs(query).filter(|(own, _)| query::is_text(own, name.as_bytes())).map(|(_, value)| value)
    }

    /// Every value of the header with this lower-case name, in the order sent.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |header| self.slice(header.name) == name)
            .map(|header| self.slice(header.value))
    }
}

/// `name: value CR LF` as one slice, where a copied head has the two spans laid out just so.
pub(crate) fn line_of(text: &[u8], name: Span, value: Span) -> Option<&[u8]> {
    let line = text.get(name.start as usize..value.end as usize + 2)?;
    let is_plain = name.end + 2 == value.start
        && text.get(name.end as usize..value.start as usize) == Some(b": ")
        && line.ends_with(b"\r\n");
    is_plain.then_some(line)
}

//! A request from HTTP/2: pseudo-headers and fields, which become the same text and the same request as a head of
//! HTTP/1.1 would. What HPACK expanded is measured as that text.

use std::net::IpAddr;

use h2::ext::Protocol;
use http::request::Parts;

use crate::http1::fields::{MAX_HEADERS, trim};
use crate::http1::request_names;
use crate::intake::headers::Tally;
use crate::intake::target::{Target, TargetAuthority};
use crate::intake::{Limits, client, framing, host, identifier, identify, set_method, target};
use crate::refusal::{Malformed, Refusal};
use crate::request::{Framing, Header, Known, Method, Request, Scheme, Span, Version};

/// What a line of HTTP/1.1 has beside name and value.
const PER_LINE: usize = 4;

/// Fills `request` from a decoded head; `ends`: no body follows.
///
/// What RFC 9113 calls malformed in names and in the order of pseudo-headers the codec has refused already. On a refusal
/// the request has an id and whatever was understood.
pub fn read_fields(
    head: &Parts,
    ends: bool,
    limits: &Limits<'_>,
    peer: IpAddr,
    request: &mut Request,
) -> Result<(), Refusal> {
    request.clear();
    request.version = Version::Http2;
    request.peer = peer.to_canonical();
    request.client = request.peer;
    request.scheme = limits.scheme;
    let line = Line::of(head);
    let answer = fill(&line, head, ends, limits, request);
    if answer.is_err() {
        fill_what_is_known(&line, limits, request);
    }
    answer
}

/// What a request line would say.
struct Line<'h> {
    /// What the stream is to become (RFC 8441).
    protocol: Option<&'h str>,
    method: &'h [u8],
    target: &'h [u8],
    authority: Option<&'h [u8]>,
    scheme: Option<&'h str>,
}

impl<'h> Line<'h> {
    fn of(head: &'h Parts) -> Self {
        let uri = &head.uri;
        let protocol = head.extensions.get::<Protocol>().map(Protocol::as_str);
        // The handshake of a WebSocket is this request in HTTP/1.1, and every later stage knows it as that.
        let method = if protocol.is_some_and(is_websocket) { "GET" } else { head.method.as_str() };
        Self {
            protocol,
            method: method.as_bytes(),
            target: uri.path_and_query().map_or("", |target| target.as_str()).as_bytes(),
            authority: uri.authority().map(|authority| authority.as_str().as_bytes()),
            scheme: uri.scheme_str(),
        }
    }

    /// The codec keeps the scheme only beside an authority, and there it matters: it implies the port.
    fn target_authority(&self) -> Result<Option<TargetAuthority<'h>>, Malformed> {
        let scheme = match self.scheme {
            None | Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) => return Err(Malformed::Target),
        };
        Ok(self.authority.map(|text| TargetAuthority { text, scheme }))
    }
}

fn fill(
    line: &Line<'_>,
    head: &Parts,
    ends: bool,
    limits: &Limits<'_>,
    request: &mut Request,
) -> Result<(), Refusal> {
    if line.protocol.is_some_and(|protocol| !is_websocket(protocol)) {
        return Err(Refusal::UnknownProtocol);
    }
    if line.target.len() > limits.max_uri_bytes as usize {
        return Err(Refusal::UriTooLong { limit: u64::from(limits.max_uri_bytes) });
    }
    let tally = write(line, head, request).map_err(Refusal::Malformed)?;
    request.head_bytes = request.text.len() as u32;
    if request.head_bytes > limits.max_header_bytes {
        return Err(Refusal::HeadersTooLarge { limit: u64::from(limits.max_header_bytes) });
    }
    settle(line, &tally, ends, limits, request).map_err(Refusal::Malformed)
}

/// Writes the text that a head of HTTP/1.1 would be, so that every later stage finds it as it is used to.
fn write(line: &Line<'_>, head: &Parts, request: &mut Request) -> Result<Tally, Malformed> {
    let Request { text, headers, .. } = request;
    for part in [line.method, b" ", line.target, b" HTTP/2\r\n"] {
        text.extend_from_slice(part);
    }
    if let Some(authority) = line.authority {
        // For its size alone: the field beside it, where there is one, is the host that is read.
        for part in [b":authority: ", authority, b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    let mut tally = Tally::default();
    for (name, value) in &head.headers {
        let value = value.as_bytes();
        if trim(value).len() != value.len() {
            return Err(Malformed::HeaderValue);
        }
        let known = request_names::known(name.as_str().as_bytes());
        if known == Known::Cookie && join_crumb(text, headers, value) {
            continue;
        }
        if headers.len() == MAX_HEADERS {
            return Err(Malformed::TooManyHeaders);
        }
        let header = append(text, name.as_str().as_bytes(), value, known);
        tally.count(known, header.value);
        headers.push(header);
    }
    Ok(tally)
}

fn append(text: &mut Vec<u8>, name: &[u8], value: &[u8], known: Known) -> Header {
    let start = text.len();
    text.reserve(name.len() + value.len() + PER_LINE);
    for part in [name, b": ", value, b"\r\n"] {
        text.extend_from_slice(part);
    }
    let (name_end, end) = (start + name.len(), text.len() - 2);
    Header {
        name: Span { start: start as u32, end: name_end as u32 },
        value: Span { start: name_end as u32 + 2, end: end as u32 },
        known,
    }
}

/// Cookies may come in crumbs, which HTTP/1.1 must have as one line (RFC 9113 section 8.2.3). False for the first of
/// them. They come one behind the other, so the line is still the last of the text.
fn join_crumb(text: &mut Vec<u8>, headers: &mut [Header], value: &[u8]) -> bool {
    let Some(cookie) = headers.last_mut().filter(|header| header.known == Known::Cookie) else {
        return false;
    };
    text.truncate(cookie.value.end as usize);
    for part in [b"; ", value] {
        text.extend_from_slice(part);
    }
    cookie.value.end = text.len() as u32;
    text.extend_from_slice(b"\r\n");
    true
}

fn settle(
    line: &Line<'_>,
    tally: &Tally,
    ends: bool,
    limits: &Limits<'_>,
    request: &mut Request,
) -> Result<(), Malformed> {
    identifier::settle(tally, request);
    let method = Span { start: 0, end: line.method.len() as u32 };
    set_method(Method::from_bytes(line.method), method, request)?;
    if line.target.first() != Some(&b'/') {
        return Err(Malformed::Target);
    }
    let authority = line.target_authority()?;
    let scheme = authority.as_ref().map(|authority| authority.scheme);
    let target = Target { text: line.target, start: line.method.len() + 1 };
    target::read(target, limits.path_parameters, request)?;
    host::settle(tally, authority, request)?;
    framing::settle_streamed(tally, ends, request)?;
    if line.protocol.is_some() {
        extend(request)?;
    }
    client::settle(tally, limits.trusted_proxies, request)?;
    client::agree(scheme, request)
}

fn is_websocket(protocol: &str) -> bool {
    protocol.eq_ignore_ascii_case("websocket")
}

/// What follows an extended CONNECT is no body. Refuses one that ended its stream, or told a length.
fn extend(request: &mut Request) -> Result<(), Malformed> {
    if request.framing != Framing::Chunked {
        return Err(Malformed::ExtendedConnect);
    }
    (request.framing, request.extended, request.expects_continue) = (Framing::None, true, false);
    let Request { text, headers, .. } = request;
    for header in headers {
        let name = text.get(header.name.start as usize..header.name.end as usize);
        // Means nothing here (RFC 8441 section 5), and the one that a service is told is ours.
        if name == Some(b"sec-websocket-key") {
            header.known = Known::NamedInConnection;
        }
    }
    Ok(())
}

/// For the record of a refusal: an id always, method and path where they are within bounds.
#[cold]
fn fill_what_is_known(line: &Line<'_>, limits: &Limits<'_>, request: &mut Request) {
    identify(request);
    if request.method_text.is_empty() {
        let text = request.append(line.method);
        // A refused method stays in the record; only its text may be too long for it.
        let _ = set_method(Method::from_bytes(line.method), text, request);
    }
    if request.path.is_empty() && line.target.first() == Some(&b'/') {
        let target = Target { text: line.target, start: request.append(line.target).start as usize };
        // The refusal itself has been decided; a target that is at fault leaves no path.
        let _ = target::read(target, limits.path_parameters, request);
    }
}

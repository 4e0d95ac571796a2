//! Intake: is this ONE request, and which?
//! Takes the bytes of a head and the peer. Gives a canonical `Request`. Refuses with `Malformed`, `UriTooLong`, `HeadersTooLarge`,
//! `Misdirected`.

mod client;
mod connection;
mod document;
mod framing;
mod headers;
mod host;
mod http2;
mod identifier;
mod path;
mod target;

use std::net::IpAddr;

use ipnet::IpNet;

pub use self::document::from_document;
pub use self::host::directed;
pub use self::http2::read_fields;
pub use self::identifier::identify;
pub use self::path::canonical_path;

use crate::http1::fields::{is_token_byte, slots};
use crate::http1::head_end;
use crate::http1::request_head::tokenise;
use crate::http1::request_names;
use crate::http1::usual::{self, RequestLine};
use crate::intake::headers::Tally;
use crate::intake::target::Target;
use crate::refusal::{Malformed, Refusal};
use crate::request::{Header, Method, Request, Scheme, Span, Version};
use crate::snapshot::document::PathParameters;

/// Longer methods are refused; the longest registered one has 17 bytes.
const MAX_METHOD_BYTES: u32 = 32;

/// What the listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Bytes of the whole head, request line and empty line included. A buffer must hold one byte more.
    pub max_header_bytes: u32,
    /// Bytes of the target as sent.
    pub max_uri_bytes: u32,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` count.
    pub trusted_proxies: &'a [IpNet],
    pub path_parameters: PathParameters,
    /// How the peer reached us.
    pub scheme: Scheme,
}

/// Reads one head from the front of `bytes` into `request`; gives its length, or `None` while it is incomplete.
///
/// `bytes` must begin with what the last call for this request saw; `scanned` must be 0 before the first and is 0 again
/// after every answer but `None`. The answer does not depend on how the bytes were cut.
/// On a refusal, the request has an id and whatever was understood, and its connection must be closed.
pub fn read(
    bytes: &[u8],
    scanned: &mut usize,
    limits: &Limits<'_>,
    peer: IpAddr,
    request: &mut Request,
) -> Result<Option<usize>, Refusal> {
    request.clear();
    request.peer = peer.to_canonical();
    request.client = request.peer;
    request.scheme = limits.scheme;
    // Only the first look: bytes that come one by one must not be read from the start each time.
    let usual = if *scanned == 0 { read_usual(bytes, limits, request) } else { None };
    let answer = match usual {
        Some(answer) => answer,
        None => match find_head(bytes, scanned, limits) {
            Ok(None) => return Ok(None),
            Ok(Some(head)) => fill(head, limits, request).map(|()| leading_line(bytes) + head.len()),
            Err(refusal) => Err(refusal),
        },
    };
    *scanned = 0;
    match answer {
        Ok(length) => {
            request.head_bytes = length as u32;
            Ok(Some(length))
        }
        Err(refusal) => {
            fill_what_is_known(bytes, limits, request);
            Err(refusal)
        }
    }
}

/// Reads a head of the usual form. `None` where `find_head` and the tokeniser must look; nothing is changed then.
fn read_usual(bytes: &[u8], limits: &Limits<'_>, request: &mut Request) -> Option<Result<usize, Refusal>> {
    let limit = limits.max_header_bytes as usize;
    let visible = usual::likely_head(bytes.get(..bytes.len().min(limit)).unwrap_or_default())?;
    let (line, fields_start) = usual::request_line(visible)?;
    if line.target.len() > limits.max_uri_bytes as usize {
        return None;
    }
    let mut tally = Tally::default();
    let Request { text, headers, .. } = &mut *request;
    text.extend_from_slice(visible);
    let length = usual::fields(text, fields_start, |text, name, value| {
        let known = request_names::exact(text);
        tally.count(known, value);
        headers.push(Header { name, value, known });
    });
    let Some(length) = length else {
        text.clear();
        headers.clear();
        return None;
    };
    text.truncate(length);
    let answer = settle(&line, &tally, limits, request);
    Some(answer.map(|()| length).map_err(Refusal::Malformed))
}

/// One empty line in front of a request is skipped (RFC 9112 section 2.2); more are refused.
fn leading_line(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 0 }
}

fn find_head<'b>(
    bytes: &'b [u8],
    scanned: &mut usize,
    limits: &Limits<'_>,
) -> Result<Option<&'b [u8]>, Refusal> {
    let start = leading_line(bytes);
    match bytes.get(start) {
        None => return Ok(None),
        Some(b'\r') if start == 0 && bytes.len() == 1 => return Ok(None),
        // A TLS hello on a plain port, or a body that nobody read: there is no use in waiting for its end.
        Some(&byte) if !is_token_byte(byte) => return Err(Refusal::Malformed(Malformed::RequestLine)),
        Some(_) => {}
    }
    let limit = limits.max_header_bytes as usize;
    // Only one byte beyond the limit is looked at, so that the answer is that of bytes which come one by one.
    let visible = bytes.get(..bytes.len().min(limit.saturating_add(1))).unwrap_or_default();
    let found = head_end::find(visible, scanned);
    let line = visible.get(start..).unwrap_or_default();
    // Asked first: bytes that come one by one show a long target before anything that is wrong behind it.
    if line.len() > limits.max_uri_bytes as usize && target_length(line) > limits.max_uri_bytes as usize {
        return Err(Refusal::UriTooLong { limit: u64::from(limits.max_uri_bytes) });
    }
    match found {
        Err(fault) => Err(Refusal::Malformed(fault)),
        Ok(Some(end)) if end <= limit => Ok(visible.get(start..end)),
        Ok(None) if visible.len() <= limit => Ok(None),
        Ok(Some(_) | None) => Err(too_large(line, limits)),
    }
}

/// Bytes of the target so far, also where the head is incomplete.
fn target_length(line: &[u8]) -> usize {
    let mut parts = line.split(|&byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let method = parts.next().map_or(0, <[u8]>::len);
    if line.get(method) != Some(&b' ') {
        return 0;
    }
    parts.next().map_or(0, <[u8]>::len)
}

/// A request line that alone fills the head is the URI's fault.
fn too_large(line: &[u8], limits: &Limits<'_>) -> Refusal {
    if line.contains(&b'\n') {
        return Refusal::HeadersTooLarge { limit: u64::from(limits.max_header_bytes) };
    }
    Refusal::UriTooLong { limit: u64::from(limits.max_uri_bytes.min(limits.max_header_bytes)) }
}

fn fill(head: &[u8], limits: &Limits<'_>, request: &mut Request) -> Result<(), Refusal> {
    let mut slots = slots();
    let tokens = tokenise(head, &mut slots);
    if let Some(fault) = tokens.fault {
        return Err(Refusal::Malformed(fault));
    }
    let method = tokens.method.unwrap_or_default().as_bytes();
    let line = RequestLine {
        method,
        kind: Method::from_bytes(method),
        target: tokens.target.unwrap_or_default(),
        version: tokens.version.unwrap_or(Version::Http11),
    };
    let tally = headers::copy(head, tokens.fields, request);
    settle(&line, &tally, limits, request).map_err(Refusal::Malformed)
}

/// What both ways to read a head have in common. The text of the request is the head, which begins with the line.
fn settle(
    line: &RequestLine<'_>,
    tally: &Tally,
    limits: &Limits<'_>,
    request: &mut Request,
) -> Result<(), Malformed> {
    request.version = line.version;
    identifier::settle(tally, request);
    set_method(line.kind, Span { start: 0, end: line.method.len() as u32 }, request)?;
    let target = Target { text: line.target, start: line.method.len() + 1 };
    let authority = target::read(target, limits.path_parameters, request)?;
    let scheme = authority.as_ref().map(|authority| authority.scheme);
    host::settle(tally, authority, request)?;
    framing::settle(tally, request)?;
    client::settle(tally, limits.trusted_proxies, request)?;
    client::agree(scheme, request)?;
    connection::settle(tally, request)
}

fn set_method(kind: Method, text: Span, request: &mut Request) -> Result<(), Malformed> {
    request.method = kind;
    if text.end - text.start > MAX_METHOD_BYTES {
        return Err(Malformed::Method);
    }
    request.method_text = text;
    match request.method {
        // TRACE shows headers to whoever asks, and CONNECT would make us a tunnel.
        Method::Trace | Method::Connect => Err(Malformed::Method),
        Method::Get
        | Method::Head
        | Method::Post
        | Method::Put
        | Method::Patch
        | Method::Delete
        | Method::Options
        | Method::Other => Ok(()),
    }
}

/// For the record of a refusal: an id always, method and path where the first line has them.
#[cold]
fn fill_what_is_known(bytes: &[u8], limits: &Limits<'_>, request: &mut Request) {
    request.keep_alive = false;
    identify(request);
    request.head_bytes = bytes.len().min(limits.max_header_bytes as usize) as u32;
    let mut slots = slots();
    let visible = bytes.get(leading_line(bytes)..request.head_bytes as usize).unwrap_or_default();
    let tokens = tokenise(visible, &mut slots);
    if request.method_text.is_empty() {
        let method = tokens.method.unwrap_or_default().as_bytes();
        let text = request.append(method);
        // A refused method stays in the record; only its text may be too long for it.
        let _ = set_method(Method::from_bytes(method), text, request);
    }
    if request.path.is_empty() {
        let text = tokens.target.unwrap_or_default();
        let target = Target { text, start: request.append(text).start as usize };
        // The refusal itself has been decided; a target that is at fault leaves no path.
        let _ = target::read(target, limits.path_parameters, request);
    }
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod generated_tests;
#[cfg(test)]
mod target_tests;
#[cfg(test)]
mod tests;

//! The opening handshake (RFC 6455 section 4): what a client must have sent, and what proves that the service agreed.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;

use crate::http1::fields::list;
use crate::http1::response_framing::ResponseFraming;
use crate::http1::response_head::ResponseHead;
use crate::http1::response_names::KnownResponse;
use crate::refusal::{HandshakeFault, Refusal};
use crate::request::{Framing, Known, Method, Request, Version};

const PROTOCOL: &[u8] = b"websocket";
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ACCEPT: &[u8] = b"sec-websocket-accept";
const KEY_BYTES: usize = 16;

/// A valid handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What `Sec-WebSocket-Key` a service has to be told where the client had none to send: over HTTP/2.
    key: Option<String>,
    /// What `Sec-WebSocket-Accept` of an answer to the key has to be.
    accept: String,
}

/// The handshake that a request is, where it asks for WebSocket at all. `random` is for the key that a client of HTTP/2
/// does not send.
pub fn read(request: &Request, random: u64) -> Result<Option<Handshake>, Refusal> {
    let asks = || values(request, Known::Upgrade).flat_map(list).any(is_protocol);
    if request.extended {
        version(request)?;
        let key = STANDARD.encode(Rng::with_seed(random).u128(..).to_be_bytes());
        return Ok(Some(Handshake { accept: accept(key.as_bytes()), key: Some(key) }));
    }
    if !asks() {
        return Ok(None);
    }
    let fault = |fault| Err(Refusal::BadHandshake(fault));
    if request.method != Method::Get || request.version != Version::Http11 {
        return fault(HandshakeFault::Request);
    }
    match request.framing {
        Framing::None | Framing::Length(0) => {}
        Framing::Length(_) | Framing::Chunked => return fault(HandshakeFault::Body),
    }
    let mut options = values(request, Known::Connection).flat_map(list);
    if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
        return fault(HandshakeFault::Connection);
    }
    version(request)?;
    let key = only(request, b"sec-websocket-key").filter(|key| is_key(key));
    key.map_or_else(
        || fault(HandshakeFault::Key),
        |key| Ok(Some(Handshake { key: None, accept: accept(key) })),
    )
}

/// One that `Connection` names does not go on, so the service would not have it.
fn version(request: &Request) -> Result<(), Refusal> {
    let version = only(request, b"sec-websocket-version");
    if version == Some(b"13") { Ok(()) } else { Err(Refusal::WebSocketVersion) }
}

impl Handshake {
    /// The key that a service of HTTP/1.1 is told beside the client's headers.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// It is an extended CONNECT.
    pub fn is_extended(&self) -> bool {
        self.key.is_some()
    }

    /// Whether a 101 is the answer to this handshake, and not to another one or to none.
    pub fn is_accepted_by(&self, response: &ResponseHead) -> bool {
        let all = |name: &'static [u8]| {
            let named = response.headers.iter().filter(move |header| response.slice(header.name) == name);
            named.map(|header| response.slice(header.value))
        };
        let mut accepts = all(ACCEPT);
        let is_ours = accepts.next() == Some(self.accept.as_bytes()) && accepts.next().is_none();
        let mut protocols = all(b"upgrade");
        let is_websocket = protocols.next().is_some_and(is_protocol) && protocols.next().is_none();
        let mut options = all(b"connection").flat_map(list);
        is_ours && is_websocket && options.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
    }

    /// Makes of a service's consent, however its protocol said that, what the client of this handshake is to be told.
    pub fn settle(&self, response: &mut ResponseHead) {
        response.status = 101;
        (response.framing, response.content_length) = (ResponseFraming::None, None);
        let ResponseHead { headers, text, .. } = &mut *response;
        let accepts = headers
            .iter_mut()
            .filter(|header| text.get(header.name.start as usize..header.name.end as usize) == Some(ACCEPT));
        accepts.for_each(|header| header.known = KnownResponse::NamedInConnection);
        if !self.is_extended() {
            response.add(ACCEPT, self.accept.as_bytes());
        }
    }
}

fn is_protocol(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(PROTOCOL)
}

fn values(request: &Request, known: Known) -> impl Iterator<Item = &[u8]> {
    let headers = request.headers.iter().filter(move |header| header.known == known);
    headers.map(|header| request.slice(header.value))
}

/// The value of a header that goes on and is there once.
fn only<'r>(request: &'r Request, name: &[u8]) -> Option<&'r [u8]> {
    let mut found = request.headers.iter().filter(|header| request.slice(header.name) == name);
    let first = found.next().filter(|header| header.known == Known::Other)?;
    found.next().is_none().then(|| request.slice(first.value))
}

fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES)
}

fn accept(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for wrong in
            [&b""[..], b"dGhlIHNhbXBsZSBub25j", b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZQ=!"]
        {
            assert!(!is_key(wrong));
        }
    }
}

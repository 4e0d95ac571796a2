//! A request from a document, for `decide` and `explain`: written as a head and read like one from the wire.

use crate::http1::fields::is_token;
use crate::intake::{Limits, identify, read};
use crate::refusal::{Malformed, Refusal};
use crate::request::Request;
use crate::snapshot::document::RequestDocument;

/// Fills `request` exactly as `read` would from the bytes that this document stands for.
///
/// Refuses what `read` refuses, and every CR, LF or NUL in a field: a document is one request and never two.
pub fn from_document(
    document: &RequestDocument,
    limits: &Limits<'_>,
    request: &mut Request,
) -> Result<(), Refusal> {
    request.clear();
    if let Err(fault) = check(document) {
        request.peer = document.peer.to_canonical();
        request.client = request.peer;
        request.keep_alive = false;
        identify(request);
        return Err(Refusal::Malformed(fault));
    }
    let head = write(document);
    match read(&head, &mut 0, limits, document.peer, request)? {
        Some(length) if length == head.len() => Ok(()),
        Some(_) | None => Err(Refusal::Malformed(Malformed::RequestLine)),
    }
}

fn check(document: &RequestDocument) -> Result<(), Malformed> {
    if !is_token(document.method.as_bytes()) {
        return Err(Malformed::Method);
    }
    if breaks_a_line(&document.target) {
        return Err(Malformed::Target);
    }
    if breaks_a_line(&document.host) {
        return Err(Malformed::Host);
    }
    for (name, value) in &document.headers {
        if !is_token(name.as_bytes()) {
            return Err(Malformed::HeaderName);
        }
        if breaks_a_line(value) {
            return Err(Malformed::HeaderValue);
        }
    }
    Ok(())
}

fn breaks_a_line(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

fn write(document: &RequestDocument) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    for part in [&document.method, " ", &document.target, " HTTP/1.1\r\nhost: ", &document.host, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &document.headers {
        for part in [name, ": ", value, "\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    if let Some(length) = document.content_length {
        head.extend_from_slice(b"content-length: ");
        head.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

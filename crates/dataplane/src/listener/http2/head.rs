//! The head of a response: collected as the lines of HTTP/1.1 that the stages write, then cut into fields.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use memchr::memmem;

use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;

/// Fields that most responses have.
const USUAL: usize = 16;

#[derive(Debug, Default)]
pub struct Head {
    status: u16,
    lines: Vec<u8>,
}

impl Head {
    pub fn begin(&mut self, status: u16) {
        self.status = status;
        self.lines.clear();
        self.lines.reserve(512);
    }

    /// What HTTP/1.1 says with 101 (RFC 8441 section 5).
    pub fn consent(&mut self) {
        self.status = 200;
    }

    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, b": ", value, b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
    }

    pub fn add_lines(&mut self, lines: &[u8]) {
        self.lines.extend_from_slice(lines);
    }

    /// Bytes as HTTP/1.1 would have sent them; what HPACK makes of them only the codec knows.
    pub fn length(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Values share the memory of the lines.
    pub fn finish(&mut self) -> Response<()> {
        let text = Bytes::from(std::mem::take(&mut self.lines));
        let mut response = response(self.status);
        let fields = response.headers_mut();
        fields.reserve(USUAL);
        let mut at = 0;
        while let Some(length) = memmem::find(text.get(at..).unwrap_or_default(), b"\r\n") {
            add_line(&text.slice(at..at + length), fields);
            at += length + 2;
        }
        response
    }
}

fn add_line(line: &Bytes, fields: &mut HeaderMap) {
    let Some(colon) = memchr::memchr(b':', line) else { return };
    let (name, value) = line.split_at(colon);
    let start = colon + 1 + value.iter().skip(1).take_while(|byte| **byte == b' ').count();
    let value = line.slice(start.min(line.len())..);
    // Intake and the service's parser have let nothing through that could fail here.
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(value)) {
        fields.append(name, value);
    }
}

fn response(status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// An interim response of a service.
pub fn interim(head: &ResponseHead) -> Response<()> {
    let mut response = response(head.status);
    for header in head.end_to_end() {
        add(head.slice(header.name), head.slice(header.value), response.headers_mut());
    }
    response
}

pub fn go_on() -> Response<()> {
    response(100)
}

pub fn trailers(trailers: &Trailers) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in trailers.iter() {
        add(name, value, &mut fields);
    }
    fields
}

fn add(name: &[u8], value: &[u8], fields: &mut HeaderMap) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        fields.append(name, value);
    }
}

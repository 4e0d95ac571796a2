//! The outgoing head as HTTP/2 says it: pseudo headers, and no word about the connection.

use std::ops::Range;

use bytes::Bytes;
use h2::ext::Protocol;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri};

use crate::proxy::head::HeadSink;
use crate::request::{Framing, Header, Request as Canonical};
use crate::websocket::handshake::Handshake;

/// A head while it is written: one text, and where in it everything is.
#[derive(Debug, Default)]
pub struct RequestHead {
    text: Vec<u8>,
    method: Range<usize>,
    path: Range<usize>,
    authority: Range<usize>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    name: Range<usize>,
    is_websocket: bool,
}

impl RequestHead {
    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.append(name), self.append(value));
        self.fields.push((name, value));
    }

    /// `None` where a part cannot be said in HTTP/2, which nothing that intake has let through should be.
    pub fn finish(self, is_secure: bool) -> Option<Request<()>> {
        let text = Bytes::from(self.text);
        let part = |range: &Range<usize>| text.slice(range.clone());
        let scheme = if is_secure { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(Authority::from_maybe_shared(part(&self.authority)).ok()?)
            .path_and_query(path_and_query(part(&self.path))?)
            .build()
            .ok()?;
        let mut headers = HeaderMap::try_with_capacity(self.fields.len()).ok()?;
        for (name, value) in &self.fields {
            let name = HeaderName::from_bytes(&part(name)).ok()?;
            headers.try_append(name, HeaderValue::from_maybe_shared(part(value)).ok()?).ok()?;
        }
        let mut request = Request::new(());
        if self.is_websocket {
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(Protocol::from_static("websocket"));
            headers.remove("sec-websocket-key");
        } else {
            *request.method_mut() = Method::from_bytes(&part(&self.method)).ok()?;
        }
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        *request.version_mut() = http::Version::HTTP_2;
        Some(request)
    }
}

/// A query is kept as the client sent it, and may hold what a URI may not: that is escaped here, which means the same.
fn path_and_query(target: Bytes) -> Option<PathAndQuery> {
    if let Ok(parsed) = PathAndQuery::from_maybe_shared(target.clone()) {
        return Some(parsed);
    }
    let mut escaped = Vec::with_capacity(target.len() + 16);
    for byte in target {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                escaped.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            other => escaped.push(other),
        }
    }
    PathAndQuery::from_maybe_shared(Bytes::from(escaped)).ok()
}

impl HeadSink for RequestHead {
    fn target(&mut self, request: &Canonical, path: &[u8], query: Option<&[u8]>, authority: &[u8]) {
        self.method = self.append(request.slice(request.method_text));
        self.path = self.append(path);
        if let Some(query) = query {
            self.append(b"?");
            self.path.end = self.append(query).end;
        }
        self.authority = self.append(authority);
    }

    fn begin(&mut self, prefix: &'static [u8]) {
        let name = prefix.strip_suffix(b": ").unwrap_or(prefix);
        self.name = self.append(name);
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        let value = self.name.end..self.text.len();
        self.fields.push((self.name.clone(), value));
    }

    fn pass(&mut self, request: &Canonical, header: &Header) {
        self.field(request.slice(header.name), request.slice(header.value));
    }

    fn lines(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = line.split_at(colon);
            self.field(name, value.strip_prefix(b": ").unwrap_or_default());
        }
    }

    fn framing(&mut self, framing: Framing) {
        match framing {
            // The end of the stream is the end of a body, so nothing need be said where the length is not known.
            Framing::None | Framing::Chunked => {}
            Framing::Length(length) => {
                self.field(b"content-length", itoa::Buffer::new().format(length).as_bytes());
            }
        }
    }

    /// The key and its answer prove nothing here (RFC 8441 section 5).
    fn upgrades(&mut self, _: &Handshake) {
        self.is_websocket = true;
    }

    fn accepts_trailers(&mut self) {
        self.field(b"te", b"trailers");
    }

    fn finish(&mut self) {}
}

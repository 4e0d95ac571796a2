//! The head of a service's response, as strict as that of a request: a service may be in an attacker's hands too.

use crate::http1::fields::{self, copy_head, list, lower_case};
use crate::http1::head_end;
use crate::http1::response_framing::{Framers, ResponseFraming};
use crate::http1::response_names::KnownResponse;
use crate::http1::usual;
use crate::refusal::UpstreamFault;
use crate::request::{Method, Span, Version, line_of};

#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseHeader {
    /// Lower case.
    pub name: Span,
    /// Without surrounding white space; no CR, LF or NUL.
    pub value: Span,
    pub known: KnownResponse,
}

/// A validated response head. Its buffers are meant to be used again by the next response of a connection.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// What every `Span` of this head points into.
    pub text: Vec<u8>,
    pub headers: Vec<ResponseHeader>,
    /// 100 to 599. The caller must refuse a 101 that nobody asked for.
    pub status: u16,
    pub version: Version,
    pub framing: ResponseFraming,
    /// What `Content-Length` says, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// May the connection be used again once the body has been read to its end?
    pub keep_alive: bool,
    scanned: usize,
}

impl ResponseHead {
    pub fn new() -> Self {
        Self { text: Vec::with_capacity(1024), headers: Vec::with_capacity(24), ..Self::default() }
    }

    /// Forgets the last response, keeps the buffers. Needed before the first `parse` of each response.
    pub fn clear(&mut self) {
        self.text.clear();
        self.headers.clear();
        self.status = 0;
        self.version = Version::default();
        self.framing = ResponseFraming::default();
        self.content_length = None;
        self.keep_alive = false;
        self.scanned = 0;
    }

    pub fn slice(&self, span: Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The whole line of a header, end included, where it stands in the text as it would be written.
    pub fn line(&self, header: &ResponseHeader) -> Option<&[u8]> {
        line_of(&self.text, header.name, header.value)
    }

    /// The value of the first header of this kind.
    pub fn known(&self, known: KnownResponse) -> Option<&[u8]> {
        self.headers.iter().find(|header| header.known == known).map(|header| self.slice(header.value))
    }

    /// The value of the first header with this name, which is in lower case.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|header| self.slice(header.name) == name)
            .map(|header| self.slice(header.value))
    }

    /// The headers that are for the client, not for us alone (RFC 9110 section 7.6.1).
    pub fn end_to_end(&self) -> impl Iterator<Item = &ResponseHeader> {
        self.headers.iter().filter(|header| !header.known.is_hop_by_hop())
    }

    /// Reads a head of the usual form; gives its length, or `None` where `read` must look.
    fn read_usual(&mut self, bytes: &[u8], framers: &mut Framers) -> Option<usize> {
        let bytes = usual::likely_head(bytes)?;
        let (version, status, fields_start) = usual::status_line(bytes)?;
        (self.version, self.status) = (version, status);
        self.text.extend_from_slice(bytes);
        let headers = &mut self.headers;
        usual::fields(&mut self.text, fields_start, |text, name, value| {
            let known = KnownResponse::from_name(text);
            framers.count(known, bytes.get(value.start as usize..value.end as usize).unwrap_or_default());
            headers.push(ResponseHeader { name, value, known });
        })
    }

    fn read(&mut self, head: &[u8], framers: &mut Framers) -> Result<(), UpstreamFault> {
        let mut slots = fields::slots();
        let mut parsed = httparse::Response::new(&mut []);
        let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            head,
            &mut slots,
        );
        match outcome {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) | Err(_) => return Err(UpstreamFault::InvalidResponse),
        }
        self.status = parsed.code.unwrap_or_default();
        self.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let head = copy_head(head, &mut self.text);
        for field in parsed.headers.iter() {
            let (name, value) = (head.span(field.name.as_bytes()), head.span(field.value));
            let known = KnownResponse::from_name(lower_case(&mut self.text, name));
            framers.count(known, field.value);
            self.headers.push(ResponseHeader { name, value, known });
        }
        Ok(())
    }

    /// Takes a head that another protocol has delimited; what `parse` refuses is refused here too. `limit` is in bytes
    /// as HTTP/1.1 would have them. A body of no known length is `Chunked`.
    pub fn adopt<'h>(
        &mut self,
        status: u16,
        fields: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        method: Method,
        limit: usize,
    ) -> Result<(), UpstreamFault> {
        self.clear();
        self.status = status;
        let mut framers = Framers::default();
        for (name, value) in fields {
            if self.text.len() + name.len() + value.len() + 4 > limit {
                return Err(UpstreamFault::HeadersTooLarge);
            }
            let known = KnownResponse::from_name(name);
            framers.count(known, value);
            let (name, value) = (self.append(name, b": "), self.append(value, b"\r\n"));
            self.headers.push(ResponseHeader { name, value, known });
        }
        self.settle(&framers, method)?;
        self.keep_alive = true;
        if self.framing == ResponseFraming::UntilClose {
            self.framing = ResponseFraming::Chunked;
        }
        Ok(())
    }

    /// Adds one of ours; its name is in lower case.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.append(name, b": "), self.append(value, b"\r\n"));
        self.headers.push(ResponseHeader { name, value, known: KnownResponse::Other });
    }

    /// The bytes are a span of the text, and what stands behind them is none.
    fn append(&mut self, bytes: &[u8], behind: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        let end = self.text.len() as u32;
        self.text.extend_from_slice(behind);
        Span { start, end }
    }

    /// Decides by what was read.
    fn settle(&mut self, framers: &Framers, method: Method) -> Result<(), UpstreamFault> {
        if !(100..=599).contains(&self.status) {
            return Err(UpstreamFault::InvalidResponse);
        }
        let following = framers.decide(method, self.version, self.status)?;
        self.framing = following.framing;
        self.content_length = following.content_length;
        self.keep_alive = following.keep_alive;
        if framers.names_headers {
            self.mark_named();
        }
        Ok(())
    }

    /// `Connection` names headers that are meant for us alone. It may not take away those that frame the body.
    fn mark_named(&mut self) {
        let Self { headers, text, .. } = self;
        let slice = |span: Span| text.get(span.start as usize..span.end as usize).unwrap_or_default();
        for at in 0..headers.len() {
            let Some(connection) = headers.get(at).filter(|header| header.known == KnownResponse::Connection)
            else {
                continue;
            };
            for option in list(slice(connection.value)) {
                let named = headers.iter_mut().filter(|header| !is_protected(header.known));
                named
                    .filter(|header| slice(header.name).eq_ignore_ascii_case(option))
                    .for_each(|header| header.known = KnownResponse::NamedInConnection);
            }
        }
    }
}

fn is_protected(known: KnownResponse) -> bool {
    matches!(
        known,
        KnownResponse::Connection
            | KnownResponse::ContentLength
            | KnownResponse::ContentType
            | KnownResponse::ContentEncoding
            | KnownResponse::TransferEncoding
    )
}

/// Reads a response head from the front of `bytes`; gives its length, or `None` while it is incomplete.
///
/// `bytes` must begin with what the last call for this response saw; `into` must have been cleared before the first.
/// `limit` is in bytes. Refuses with `HeadersTooLarge` beyond it, with `InvalidResponse` for all else: bare LF, folded
/// lines, control characters, a status outside 100 to 599, two lengths, a length beside an encoding, an encoding other
/// than `chunked`, any encoding in HTTP/1.0.
pub fn parse(
    bytes: &[u8],
    request_method: Method,
    limit: usize,
    into: &mut ResponseHead,
) -> Result<Option<usize>, UpstreamFault> {
    // The tokeniser would skip empty lines in front; a service that sends them is out of step.
    if bytes.first().is_some_and(|&byte| byte != b'H') {
        return Err(UpstreamFault::InvalidResponse);
    }
    let visible = bytes.get(..bytes.len().min(limit.saturating_add(1))).unwrap_or_default();
    // Only the first look: bytes that come one by one must not be read from the start each time.
    if into.scanned == 0 {
        into.clear();
        let mut framers = Framers::default();
        if let Some(length) = into.read_usual(visible, &mut framers).filter(|length| *length <= limit) {
            return into.settle(&framers, request_method).map(|()| Some(length));
        }
        into.clear();
    }
    let length = match head_end::find(visible, &mut into.scanned) {
        Ok(Some(length)) if length <= limit => length,
        Ok(None) if visible.len() <= limit => return Ok(None),
        Ok(Some(_) | None) => return Err(UpstreamFault::HeadersTooLarge),
        Err(_) => return Err(UpstreamFault::InvalidResponse),
    };
    into.clear();
    let mut framers = Framers::default();
    into.read(bytes.get(..length).unwrap_or_default(), &mut framers)?;
    into.settle(&framers, request_method)?;
    Ok(Some(length))
}

#[cfg(test)]
#[path = "response_head_tests.rs"]
mod tests;

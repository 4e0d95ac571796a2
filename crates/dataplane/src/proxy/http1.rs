//! The HTTP/1.1 leg: one connection, which carries one exchange at a time.

use std::task::{Context, Poll, ready};

use tokio::sync::OwnedSemaphorePermit;

use crate::http1::body::Reader;
use crate::http1::chunk_writer::{write_chunk, write_last_chunk};
use crate::http1::response_head::{self, ResponseHead};
use crate::http1::trailers::Trailers;
use crate::io::buffer::{Buffers, SMALL};
use crate::proxy::fault::Fault;
use crate::proxy::head::{HeadSink, OutgoingHead};
use crate::proxy::upstream::Upstream;
use crate::proxy::writing::{Broken, UPLOAD_WINDOW, Write};
use crate::proxy::{Forward, Links};
use crate::refusal::UpstreamFault;
use crate::request::{Framing, Header, Method, Request};
use crate::websocket::handshake::Handshake;
use crate::websocket::side::Side;

#[derive(Debug)]
pub struct Http1 {
    upstream: Box<Upstream>,
    outgoing: Vec<u8>,
    written: usize,
    is_chunked: bool,
    reader: Reader,
    /// A longer head of a response is refused.
    head_limit: usize,
    /// The service has answered something, so it has seen the request.
    was_heard: bool,
}

impl Http1 {
    /// `outgoing` is memory to be used; what is in it does not matter.
    pub fn new(upstream: Box<Upstream>, outgoing: Vec<u8>, head_limit: usize) -> Self {
        let (reader, was_heard) = (Reader::none(), false);
        Self { upstream, outgoing, written: 0, is_chunked: false, reader, head_limit, was_heard }
    }

    pub fn begin(&mut self, head: &OutgoingHead<'_>, body: &[u8], is_whole: bool) {
        self.is_chunked = head.request.framing == Framing::Chunked;
        self.outgoing.clear();
        head.write(&mut HeadLines(&mut self.outgoing));
        if !self.is_chunked {
            self.outgoing.extend_from_slice(body);
            return;
        }
        if !body.is_empty() {
            write_chunk(&mut self.outgoing, body);
        }
        if is_whole {
            write_last_chunk(&mut self.outgoing, &Trailers::default());
        }
    }

    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<Write, Broken>> {
        let rest = self.outgoing.get(self.written..).unwrap_or_default();
        if rest.is_empty() {
            return Poll::Ready(Ok(Write::Done));
        }
        match ready!(self.upstream.poll_write(context, rest)) {
            Ok(count) if count > 0 => {
                self.written += count;
                Poll::Ready(Ok(Write::Moved))
            }
            Ok(_) | Err(_) => Poll::Ready(Err(Broken)),
        }
    }

    /// Copied, to be written next: there is always room for one piece.
    pub fn poll_send(&mut self, _: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        let data = data.get(..UPLOAD_WINDOW).unwrap_or(data);
        self.forget_written();
        if self.is_chunked {
            write_chunk(&mut self.outgoing, data);
        } else {
            self.outgoing.extend_from_slice(data);
        }
        Poll::Ready(Ok(data.len()))
    }

    pub fn end_body(&mut self, trailers: Option<&Trailers>) {
        if self.is_chunked {
            self.forget_written();
            write_last_chunk(&mut self.outgoing, trailers.unwrap_or(&Trailers::default()));
        }
    }

    fn forget_written(&mut self) {
        if self.is_written() {
            self.outgoing.clear();
            self.written = 0;
        }
    }

    fn is_written(&self) -> bool {
        self.written == self.outgoing.len()
    }

    pub fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        method: Method,
        into: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        loop {
            if self.parse_head(method, into)? {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.upstream.poll_fill(context)) {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return Poll::Ready(Err(self.closed_early())),
            }
        }
    }

    fn parse_head(&mut self, method: Method, into: &mut ResponseHead) -> Result<bool, Fault> {
        let data = self.upstream.input.data();
        if data.is_empty() {
            return Ok(false);
        }
        let parsed = response_head::parse(data, method, self.head_limit, into);
        let Some(consumed) = parsed.map_err(Fault::Upstream)? else {
            self.make_room();
            return Ok(false);
        };
        self.upstream.input.consume(consumed);
        self.was_heard = true;
        self.reader = Reader::of_response(into.framing);
        Ok(true)
    }

    /// One byte more than a head may have, so that one that is too long is told from one that is not complete.
    fn make_room(&mut self) {
        if self.upstream.input.room().is_empty() {
            self.upstream.input.grow(self.head_limit + 1);
        }
    }

    pub fn was_silent(&self) -> bool {
        self.upstream.input.is_empty() && !self.was_heard
    }

    fn closed_early(&self) -> Fault {
        if self.upstream.reused && self.was_silent() {
            return Fault::Stale;
        }
        Fault::Upstream(UpstreamFault::ConnectionReset)
    }

    pub fn body(&mut self) -> Result<&[u8], Fault> {
        let decoded = self.reader.decode(&mut self.upstream.input);
        let length = decoded.map_err(|_| Fault::Upstream(UpstreamFault::InvalidResponse))?;
        Ok(self.upstream.input.data().get(..length).unwrap_or_default())
    }

    pub fn consume(&mut self, count: usize) {
        self.reader.consume(&mut self.upstream.input, count);
    }

    pub fn body_is_complete(&self) -> bool {
        self.reader.is_complete()
    }

    pub fn poll_more(&mut self, context: &mut Context<'_>, buffers: &mut Buffers) -> Poll<Result<(), Fault>> {
        self.widen(buffers);
        let ended_well = match ready!(self.upstream.poll_fill(context)) {
            Ok(count) if count > 0 => true,
            Ok(_) => self.reader.end_of_stream(),
            Err(_) => false,
        };
        Poll::Ready(ended_well.then_some(()).ok_or(Fault::Upstream(UpstreamFault::ConnectionReset)))
    }

    /// A long body is read in larger steps.
    fn widen(&mut self, buffers: &mut Buffers) {
        let input = &mut self.upstream.input;
        let is_long = self.reader.left().is_none_or(|left| left > SMALL as u64);
        if is_long && input.is_empty() && !input.is_large() {
            let large = buffers.large();
            buffers.give_back(std::mem::replace(input, large));
        }
    }

    pub fn trailers(&self) -> Option<&Trailers> {
        self.reader.trailers()
    }

    pub fn take_place(&mut self) -> Option<OwnedSemaphorePermit> {
        self.upstream.place.take()
    }

    /// The service agrees to use the connection otherwise. `None` where the request has not gone out whole. The service's
    /// requests have their pool for themselves again.
    pub fn upgrade(&mut self) -> Option<Box<dyn Side + '_>> {
        if !self.is_written() {
            return None;
        }
        self.upstream.place = None;
        Some(Box::new(self.upstream.raw()))
    }

    pub fn finish(self, forward: &Forward<'_>, links: &Links, is_clean: bool) -> Vec<u8> {
        let is_reusable = is_clean && self.is_written() && self.upstream.input.is_empty();
        let Self { mut upstream, outgoing, .. } = self;
        links.buffers.borrow_mut().give_back(std::mem::take(&mut upstream.input));
        if is_reusable {
            links.pools.borrow_mut().put(forward.instance, upstream, forward.now);
        }
        outgoing
    }
}

/// The outgoing head as HTTP/1.1 says it.
struct HeadLines<'a>(&'a mut Vec<u8>);

impl HeadSink for HeadLines<'_> {
    fn target(&mut self, request: &Request, path: &[u8], query: Option<&[u8]>, authority: &[u8]) {
        self.piece(request.slice(request.method_text));
        self.0.push(b' ');
        self.piece(path);
        if let Some(query) = query {
            self.0.push(b'?');
            self.piece(query);
        }
        self.own(b" HTTP/1.1\r\nhost: ", authority);
    }

    fn begin(&mut self, prefix: &'static [u8]) {
        self.0.extend_from_slice(prefix);
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.0.extend_from_slice(b"\r\n");
    }

    fn pass(&mut self, request: &Request, header: &Header) {
        match request.line(header) {
            Some(whole) => self.0.extend_from_slice(whole),
            None => {
                let (name, value) = (request.slice(header.name), request.slice(header.value));
                self.0.reserve(name.len() + value.len() + 4);
                self.piece(name);
                self.piece(b": ");
                self.piece(value);
                self.end();
            }
        }
    }

    fn lines(&mut self, lines: &[u8]) {
        self.0.extend_from_slice(lines);
    }

    fn framing(&mut self, framing: Framing) {
        match framing {
            Framing::None => {}
            Framing::Length(length) => {
                self.own(b"content-length: ", itoa::Buffer::new().format(length).as_bytes());
            }
            Framing::Chunked => self.piece(b"transfer-encoding: chunked\r\n"),
        }
    }

    fn upgrades(&mut self, handshake: &Handshake) {
        self.piece(b"connection: Upgrade\r\nupgrade: websocket\r\n");
        if let Some(key) = handshake.key() {
            self.own(b"sec-websocket-key: ", key.as_bytes());
        }
    }

    fn accepts_trailers(&mut self) {
        self.piece(b"te: trailers\r\nconnection: te\r\n");
    }

    fn finish(&mut self) {
        self.end();
    }

    /// Inlined, so that a prefix of known length becomes a few stores.
    #[inline(always)]
    fn own<const LENGTH: usize>(&mut self, prefix: &'static [u8; LENGTH], value: &[u8]) {
        self.0.reserve(LENGTH + value.len() + 2);
        self.piece(prefix);
        self.piece(value);
        self.end();
    }
}

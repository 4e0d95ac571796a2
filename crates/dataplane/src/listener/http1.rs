//! The HTTP/1.1 side of `Exchange`: a client's socket, what was read from it, and what is still to be written to it.

mod writing;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::exchange::{BodyFault, Exchange, Piece, ResponseBody};
use crate::http1::body::Reader;
use crate::http1::chunk_writer::{write_chunk, write_last_chunk};
use crate::http1::reason;
use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::io::buffer::{Buffer, SMALL};
use crate::io::replay::Replay;
use crate::io::stream::Stream;
use crate::refusal::Refusal;
use crate::request::{Framing, Request, Version};
use crate::websocket::side::Side;

/// Body data up to this size is copied behind what waits to be written, so that it leaves in the same packet.
const COPIED: usize = 16 * 1024;
/// An idle connection keeps at most this much memory for what it writes.
const KEPT: usize = 4 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    Absent,
    Length,
    Chunked,
    UntilClose,
}

/// A client's connection while it serves requests one after the other.
#[derive(Debug)]
pub struct Http1 {
    stream: Stream,
    pub input: Buffer,
    output: Vec<u8>,
    written: usize,
    incoming: Reader,
    /// The last look found nothing to read: whoever looked is woken when something comes.
    is_watched: bool,
    body_limit: u64,
    outgoing: Outgoing,
    version: Version,
    keep_alive: bool,
    continue_owed: bool,
    is_broken: bool,
    sent: u64,
}

impl Http1 {
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: Buffer::default(),
            output: Vec::new(),
            written: 0,
            incoming: Reader::none(),
            is_watched: false,
            body_limit: u64::MAX,
            outgoing: Outgoing::Absent,
            version: Version::Http11,
            keep_alive: true,
            continue_owed: false,
            is_broken: false,
            sent: 0,
        }
    }

    /// Makes ready for the body and the answer of a request whose head was just read.
    pub fn expect(&mut self, request: &Request) {
        self.incoming = Reader::new(request.framing);
        self.body_limit = u64::MAX;
        self.version = request.version;
        self.keep_alive = request.keep_alive;
        self.continue_owed = request.expects_continue && request.framing != Framing::None;
        self.sent = 0;
    }

    /// Makes ready for the answer to something that is no request: nothing more is read, and the connection ends.
    pub fn expect_nothing(&mut self) {
        self.incoming = Reader::none();
        self.keep_alive = false;
        self.continue_owed = false;
        self.sent = 0;
    }

    /// The response cannot be completed: the connection is cut, so that the client does not take it for complete.
    pub fn give_up(&mut self) {
        self.keep_alive = false;
        self.is_broken = true;
        if self.outgoing == Outgoing::UntilClose {
            // An orderly end would be the end of the body.
            self.stream.cut();
        }
    }

    /// The bytes of the connection as they came, those that have been read already included.
    pub fn raw(&mut self) -> Replay<'_> {
        Replay { input: &mut self.input, stream: &mut self.stream }
    }

    /// Gives memory of a long answer back before the connection idles.
    pub fn rest(&mut self) {
        if self.is_flushed() && self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
    }

    /// The last answer is complete and worth waiting for.
    pub fn may_linger(&self) -> bool {
        !self.is_broken
    }

    /// The request was received whole, and nothing behind it.
    pub fn is_read_to_its_end(&self) -> bool {
        self.incoming.is_complete() && self.input.is_empty()
    }

    pub fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Consumes what is left of a body that nobody wanted, if all of it is in hand already.
    pub fn discard_body_in_hand(&mut self) {
        while let Ok(length @ 1..) = self.incoming.decode(&mut self.input) {
            self.incoming.consume(&mut self.input, length);
        }
    }

    /// May another request follow on this connection, as far as this side can tell?
    fn can_continue(&mut self) -> bool {
        if !self.continue_owed {
            self.discard_body_in_hand();
        }
        self.keep_alive && self.incoming.is_complete()
    }

    /// Reads once into `input`; ready with the number of bytes, 0 at the end of the stream.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let filled = self.input.poll_fill(&mut self.stream, context);
        self.is_watched = filled.is_pending();
        filled
    }

    /// Nothing has come since the last look, as far as the runtime has told, and it will tell. Of TLS nobody knows: a look
    /// there is more than one at the socket.
    pub fn is_watched(&self) -> bool {
        self.is_watched && !self.stream.is_secure()
    }

    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// A long body is read in larger steps.
    fn widen(&mut self) {
        let is_long = self.incoming.left().is_none_or(|left| left > SMALL as u64);
        if is_long && self.input.is_empty() && !self.input.is_large() {
            self.input.enlarge();
        }
    }
}

impl Exchange for Http1 {
    fn body_is_complete(&self) -> bool {
        self.incoming.is_complete()
    }

    fn body_in_hand(&self) -> usize {
        self.input.data().len()
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece<'_>, BodyFault>> {
        loop {
            let length = match self.incoming.decode(&mut self.input) {
                Ok(length) => length,
                Err(malformed) => {
                    // Nobody knows where the next request would begin.
                    self.keep_alive = false;
                    return Poll::Ready(Err(BodyFault::Refused(Refusal::Malformed(malformed))));
                }
            };
            if self.incoming.received() + length as u64 > self.body_limit {
                let limit = self.body_limit;
                return Poll::Ready(Err(BodyFault::Refused(Refusal::BodyTooLarge { limit })));
            }
            if length > 0 {
                let data = self.input.data().get(..length).unwrap_or_default();
                return Poll::Ready(Ok(Piece::Data(data)));
            }
            if self.incoming.is_complete() {
                return Poll::Ready(Ok(Piece::End));
            }
            if std::mem::take(&mut self.continue_owed) {
                self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            if let Poll::Ready(Err(_)) = self.poll_write_output(context) {
                return Poll::Ready(Err(BodyFault::Gone));
            }
            self.widen();
            match ready!(self.poll_fill(context)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(BodyFault::Gone)),
                Ok(_) => {}
            }
        }
    }

    fn limit_body(&mut self, limit: u64) {
        self.body_limit = limit;
    }

    fn consume_body(&mut self, count: usize) {
        self.incoming.consume(&mut self.input, count);
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.incoming.trailers()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // What arrives here is the next request, sent early; once the buffer is full nobody listens any more.
        while !self.input.room().is_empty() {
            match ready!(self.poll_fill(context)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    fn begin(&mut self, status: u16) {
        if status == 200 {
            return self.put(b"HTTP/1.1 200 OK\r\n");
        }
        let mut digits = itoa::Buffer::new();
        self.put(b"HTTP/1.1 ");
        self.put(digits.format(status).as_bytes());
        self.put(b" ");
        self.put(reason::phrase(status));
        self.put(b"\r\n");
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        self.put_header(name, value);
    }

    fn header_lines(&mut self, lines: &[u8]) {
        self.put(lines);
    }

    fn end_head(&mut self, body: ResponseBody, close: bool) {
        self.choose_framing(body);
        if body == ResponseBody::WebSocket {
            self.keep_alive = false;
            return self.put(b"connection: Upgrade\r\nupgrade: websocket\r\n\r\n");
        }
        if close || !self.can_continue() {
            self.keep_alive = false;
        }
        if let ResponseBody::Length(length) = body {
            let mut digits = itoa::Buffer::new();
            self.put_header(b"content-length", digits.format(length).as_bytes());
        }
        if self.outgoing == Outgoing::Chunked {
            self.put(b"transfer-encoding: chunked\r\n");
        }
        if !self.keep_alive {
            self.put(b"connection: close\r\n");
        } else if self.version == Version::Http10 {
            self.put(b"connection: keep-alive\r\n");
        }
        self.put(b"\r\n");
        // The final answer has been given: a `100` behind it would be taken for a part of its body.
        self.continue_owed = false;
    }

    fn interim(&mut self, head: &ResponseHead) {
        if self.version == Version::Http10 {
            return;
        }
        self.begin(head.status);
        for header in head.end_to_end() {
            self.put_header(head.slice(header.name), head.slice(header.value));
        }
        self.put(b"\r\n");
    }

    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.output.len() > COPIED * 2 {
            ready!(self.poll_write_output(context))?;
        }
        if self.outgoing == Outgoing::Absent {
            return Poll::Ready(Ok(data.len()));
        }
        if self.outgoing == Outgoing::Chunked {
            self.append(|output| write_chunk(output, data));
            return Poll::Ready(Ok(data.len()));
        }
        if self.output.len() + data.len() <= COPIED {
            self.put(data);
            return Poll::Ready(Ok(data.len()));
        }
        let count = ready!(self.poll_write_through(context, data))?;
        self.sent += count as u64;
        Poll::Ready(Ok(count))
    }

    fn end(&mut self, trailers: Option<&Trailers>) {
        if self.outgoing == Outgoing::Chunked {
            let none = Trailers::default();
            self.append(|output| write_last_chunk(output, trailers.unwrap_or(&none)));
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_output(context)
    }

    fn upgrade(&mut self) -> Box<dyn Side + '_> {
        Box::new(self.raw())
    }

    fn bytes_sent(&self) -> u64 {
        self.sent
    }

    fn body_received(&self) -> u64 {
        self.incoming.received()
    }
}

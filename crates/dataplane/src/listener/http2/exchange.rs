//! The HTTP/2 side of `Exchange`: one stream. Windows are opened only for what has been consumed, and nothing is sent
//! that the client has not made room for.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};

use crate::exchange::{BodyFault, Exchange, Piece as BodyPiece, ResponseBody};
use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::io::buffer::Buffers;
use crate::listener::http2::head::{self, Head};
use crate::listener::http2::outgoing::{Broken, Outgoing};
use crate::listener::http2::piece::{Piece, Pieces};
use crate::refusal::{Malformed, Refusal};
use crate::request::{Framing, Request};
use crate::websocket::side::{self, Side};

/// What is left of the request's body.
#[derive(Debug)]
enum Incoming {
    Complete,
    /// Ends after this many bytes more.
    Length(u64),
    /// Ends where the client says so.
    Stream,
}

pub struct Http2 {
    outgoing: Outgoing,
    body: RecvStream,
    /// Received, not yet consumed.
    chunk: Bytes,
    incoming: Incoming,
    received: u64,
    body_limit: u64,
    trailers: Option<Trailers>,
    continue_owed: bool,
    head: Head,
    sent: u64,
}

impl Http2 {
    pub fn new(body: RecvStream, respond: SendResponse<Piece>, pieces: &Rc<Pieces>) -> Self {
        Self {
            outgoing: Outgoing::new(respond, pieces),
            body,
            chunk: Bytes::new(),
            incoming: Incoming::Complete,
            received: 0,
            body_limit: u64::MAX,
            trailers: None,
            continue_owed: false,
            head: Head::default(),
            sent: 0,
        }
    }

    /// Makes ready for the body of a request whose head was accepted.
    pub fn expect(&mut self, request: &Request) {
        self.incoming = match request.framing {
            // What follows an extended CONNECT is no body.
            Framing::None => Incoming::Complete,
            Framing::Length(length) => self.incoming(length),
            Framing::Chunked => Incoming::Stream,
        };
        self.continue_owed = request.expects_continue && request.framing != Framing::None;
    }

    /// The response cannot be completed: the stream is reset, so that the client does not take it for complete.
    pub fn give_up(&mut self) {
        self.outgoing.reset(Reason::INTERNAL_ERROR);
    }

    /// What is to come where so many bytes are: behind the last of them trailers may be.
    fn incoming(&self, left: u64) -> Incoming {
        match left {
            0 if self.body.is_end_stream() => Incoming::Complete,
            0 => Incoming::Stream,
            left => Incoming::Length(left),
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        match ready!(self.body.poll_data(context)) {
            Some(Ok(chunk)) => {
                self.chunk = chunk;
                Poll::Ready(Ok(()))
            }
            Some(Err(error)) => Poll::Ready(Err(fault(&error))),
            None => self.poll_end(context),
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        if let Some(fields) = ready!(self.body.poll_trailers(context)).map_err(|error| fault(&error))? {
            let mut trailers = Trailers::default();
            for (name, value) in &fields {
                let added = trailers.add(name.as_str().as_bytes(), value.as_bytes());
                added.map_err(|malformed| BodyFault::Refused(Refusal::Malformed(malformed)))?;
            }
            self.trailers = Some(trailers);
        }
        self.incoming = Incoming::Complete;
        Poll::Ready(Ok(()))
    }

    /// Takes bytes from what is in hand, and lets the client send as many more.
    fn take(&mut self, count: usize) -> usize {
        let count = count.min(self.chunk.len());
        self.chunk.advance(count);
        // Fails only for more than was received.
        let _ = self.body.flow_control().release_capacity(count);
        count
    }

    fn say_continue(&mut self) {
        if std::mem::take(&mut self.continue_owed) {
            self.outgoing.inform(head::go_on());
        }
    }
}

/// What the codec finds wrong with a body it resets by itself; that is the client's fault and no hang-up.
fn fault(error: &h2::Error) -> BodyFault {
    if error.is_library() && error.is_reset() {
        return BodyFault::Refused(Refusal::Malformed(Malformed::BodyLength));
    }
    BodyFault::Gone
}

impl Exchange for Http2 {
    fn body_is_complete(&self) -> bool {
        matches!(self.incoming, Incoming::Complete)
    }

    fn limit_body(&mut self, limit: u64) {
        self.body_limit = limit;
    }

    fn body_in_hand(&self) -> usize {
        self.chunk.len()
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyPiece<'_>, BodyFault>> {
        while self.chunk.is_empty() {
            if self.body_is_complete() {
                return Poll::Ready(Ok(BodyPiece::End));
            }
            self.say_continue();
            ready!(self.poll_chunk(context))?;
        }
        if self.received + self.chunk.len() as u64 > self.body_limit {
            let limit = self.body_limit;
            return Poll::Ready(Err(BodyFault::Refused(Refusal::BodyTooLarge { limit })));
        }
        Poll::Ready(Ok(BodyPiece::Data(&self.chunk)))
    }

    fn consume_body(&mut self, count: usize) {
        let count = self.take(count);
        self.received += count as u64;
        if let Incoming::Length(left) = self.incoming {
            self.incoming = self.incoming(left.saturating_sub(count as u64));
        }
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.trailers.as_ref()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.body_is_complete() {
            self.outgoing.poll_reset(context)
        } else {
            self.outgoing.poll_given_up(context)
        }
    }

    fn begin(&mut self, status: u16) {
        self.head.begin(status);
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        self.head.add(name, value);
    }

    fn header_lines(&mut self, lines: &[u8]) {
        self.head.add_lines(lines);
    }

    fn end_head(&mut self, body: ResponseBody, _close: bool) {
        self.continue_owed = false;
        if body == ResponseBody::WebSocket {
            self.head.consent();
        }
        if let ResponseBody::Length(length) = body {
            self.head.add(b"content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        self.sent += self.head.length();
        let head = self.head.finish();
        match body {
            ResponseBody::Absent => self.outgoing.send_bare(head),
            ResponseBody::Length(length) => self.outgoing.send_head(head, Some(length)),
            ResponseBody::Stream | ResponseBody::WebSocket => self.outgoing.send_head(head, None),
        }
    }

    fn interim(&mut self, head: &ResponseHead) {
        self.outgoing.inform(head::interim(head));
    }

    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.outgoing.poll_send(context, data)).map_err(broken_pipe)?;
        self.sent += count as u64;
        Poll::Ready(Ok(count))
    }

    fn end(&mut self, trailers: Option<&Trailers>) {
        self.outgoing.end(trailers.filter(|trailers| !trailers.is_empty()).map(head::trailers));
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.release();
        // Asked first: a reset stream has no pieces left either.
        if self.outgoing.poll_reset(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.outgoing.poll_written(context).map(Ok)
    }

    fn upgrade(&mut self) -> Box<dyn Side + '_> {
        Box::new(self)
    }

    fn bytes_sent(&self) -> u64 {
        self.sent
    }

    fn body_received(&self) -> u64 {
        self.received
    }
}

/// The stream as a tunnel (RFC 8441): its DATA frames are the bytes of a connection, and their end is its end.
impl Side for &mut Http2 {
    fn data(&self) -> &[u8] {
        &self.chunk
    }

    fn consume(&mut self, count: usize) {
        self.take(count);
    }

    fn poll_fill(&mut self, context: &mut Context<'_>, _: &RefCell<Buffers>) -> Poll<bool> {
        match ready!(self.body.poll_data(context)) {
            Some(Ok(more)) => {
                side::join(&mut self.chunk, more);
                Poll::Ready(true)
            }
            Some(Err(_)) | None => Poll::Ready(false),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.outgoing.poll_send(context, data).map_err(broken_pipe)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_written(context).map(Ok)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.end(None);
        self.outgoing.poll_written(context).map(Ok)
    }

    /// A matter of the connection, which cares for it.
    fn keep_alive(&self, _: Duration) {}
}

fn broken_pipe(_: Broken) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

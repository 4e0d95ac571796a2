//! The HTTP/2 side of `Exchange`: one stream. Windows are opened only for what has been consumed, and nothing is sent
//! that the client has not made room for.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};

use crate::exchange::{BodyFault, Exchange, Piece as BodyPiece, ResponseBody};
use crate::http1::response_head::ResponseHead;
use crate::http1::trailers::Trailers;
use crate::io::replay::Replay;
use crate::listener::http2::head::{self, Head};
use crate::listener::http2::piece::{Ledger, PIECE, Piece, Pieces};
use crate::refusal::{Malformed, Refusal};
use crate::request::{Framing, Request};

/// What is left of the request's body.
#[derive(Debug)]
enum Incoming {
    Complete,
    /// Ends after this many bytes more.
    Length(u64),
    /// Ends where the client says so.
    Stream,
}

/// What may still be sent.
enum Outgoing {
    /// The head.
    Head(SendResponse<Piece>),
    /// The body, of a known length or not.
    Body(SendStream<Piece>, Option<u64>),
    /// Nothing; kept because dropping it would reset the stream before all was written.
    Ended(Option<SendStream<Piece>>),
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
    ledger: Rc<Ledger>,
    pieces: Rc<Pieces>,
    is_gone: bool,
    sent: u64,
}

impl Http2 {
    pub fn new(body: RecvStream, respond: SendResponse<Piece>, pieces: &Rc<Pieces>) -> Self {
        Self {
            outgoing: Outgoing::Head(respond),
            body,
            chunk: Bytes::new(),
            incoming: Incoming::Complete,
            received: 0,
            body_limit: u64::MAX,
            trailers: None,
            continue_owed: false,
            head: Head::default(),
            ledger: Rc::default(),
            pieces: Rc::clone(pieces),
            is_gone: false,
            sent: 0,
        }
    }

    /// Makes ready for the body of a request whose head was accepted.
    pub fn expect(&mut self, request: &Request) {
        self.incoming = match request.framing {
            Framing::None | Framing::Length(0) => Incoming::Complete,
            Framing::Length(length) => Incoming::Length(length),
            Framing::Chunked => Incoming::Stream,
        };
        self.continue_owed = request.expects_continue && request.framing != Framing::None;
    }

    /// The response cannot be completed: the stream is reset, so that the client does not take it for complete.
    pub fn give_up(&mut self) {
        match &mut self.outgoing {
            Outgoing::Head(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Outgoing::Body(stream, _) | Outgoing::Ended(Some(stream)) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
            Outgoing::Ended(None) => {}
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

    fn say_continue(&mut self) {
        if let (true, Outgoing::Head(respond)) = (std::mem::take(&mut self.continue_owed), &mut self.outgoing)
        {
            // Where this fails the stream is over, and the next look at the body says so.
            let _ = respond.send_informational(head::go_on());
        }
    }

    fn send_head(&mut self, body: ResponseBody) {
        let Outgoing::Head(respond) = &mut self.outgoing else { return };
        let (ends, left) = match body {
            ResponseBody::Absent | ResponseBody::WebSocket | ResponseBody::Length(0) => (true, None),
            ResponseBody::Length(length) => (false, Some(length)),
            ResponseBody::Stream => (false, None),
        };
        self.sent += self.head.length();
        self.outgoing = match respond.send_response(self.head.finish(), ends) {
            Ok(stream) if ends => Outgoing::Ended(Some(stream)),
            Ok(stream) => Outgoing::Body(stream, left),
            Err(_) => {
                self.is_gone = true;
                Outgoing::Ended(None)
            }
        };
    }

    /// Ends the body with its last byte where its length is known.
    fn send_piece(&mut self, data: &[u8]) -> io::Result<usize> {
        let piece = Piece::copy(data, &self.ledger, &self.pieces);
        let Outgoing::Body(stream, left) = &mut self.outgoing else { return Ok(data.len()) };
        let count = piece.remaining();
        let left = left.map(|left| left.saturating_sub(count as u64));
        let sent = stream.send_data(piece, left == Some(0));
        self.settle(left == Some(0), left);
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.sent += count as u64;
        Ok(count)
    }

    fn settle(&mut self, ends: bool, left: Option<u64>) {
        let outgoing = std::mem::replace(&mut self.outgoing, Outgoing::Ended(None));
        self.outgoing = match outgoing {
            Outgoing::Body(stream, _) if ends => Outgoing::Ended(Some(stream)),
            Outgoing::Body(stream, _) => Outgoing::Body(stream, left),
            other @ (Outgoing::Head(_) | Outgoing::Ended(_)) => other,
        };
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
        let count = count.min(self.chunk.len());
        self.chunk.advance(count);
        self.received += count as u64;
        // Fails only for more than was received.
        let _ = self.body.flow_control().release_capacity(count);
        if let Incoming::Length(left) = &mut self.incoming {
            *left = left.saturating_sub(count as u64);
            if *left == 0 {
                self.incoming = Incoming::Complete;
            }
        }
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.trailers.as_ref()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.outgoing {
            Outgoing::Head(respond) => respond.poll_reset(context),
            Outgoing::Body(stream, _) | Outgoing::Ended(Some(stream)) => stream.poll_reset(context),
            Outgoing::Ended(None) => return if self.is_gone { Poll::Ready(()) } else { Poll::Pending },
        };
        reset.map(|_| self.is_gone = true)
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
        if let ResponseBody::Length(length) = body {
            self.head.add(b"content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        self.send_head(body);
    }

    fn interim(&mut self, head: &ResponseHead) {
        if let Outgoing::Head(respond) = &mut self.outgoing {
            // Where this fails the stream is over, and the final response will say so.
            let _ = respond.send_informational(head::interim(head));
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let Outgoing::Body(stream, _) = &mut self.outgoing else {
            return Poll::Ready(if self.is_gone {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                Ok(data.len())
            });
        };
        ready!(self.ledger.poll_room(context));
        stream.reserve_capacity(data.len().min(PIECE));
        let mut capacity = stream.capacity();
        while capacity == 0 {
            match ready!(stream.poll_capacity(context)) {
                Some(Ok(more)) => capacity = more,
                Some(Err(_)) | None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let data = data.get(..capacity).unwrap_or(data);
        Poll::Ready(self.send_piece(data))
    }

    fn end(&mut self, trailers: Option<&Trailers>) {
        let Outgoing::Body(stream, _) = &mut self.outgoing else { return };
        let sent = match trailers.filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => stream.send_trailers(head::trailers(trailers)),
            None => stream.send_data(Piece::copy(&[], &self.ledger, &self.pieces), true),
        };
        self.is_gone |= sent.is_err();
        self.settle(true, None);
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Asked first: a reset stream has no pieces left either.
        if self.is_gone || self.poll_gone(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.ledger.poll_empty(context).map(Ok)
    }

    /// A stream is no connection; RFC 8441 is not spoken.
    fn upgrade(&mut self) -> Option<Replay<'_>> {
        None
    }

    fn bytes_sent(&self) -> u64 {
        self.sent
    }

    fn body_received(&self) -> u64 {
        self.received
    }
}

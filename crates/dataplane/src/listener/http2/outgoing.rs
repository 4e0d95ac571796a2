//! The answer's half of a stream. What may be the last of a body whose length is known is held back until it is clear
//! whether it is: then it ends the stream by itself, and costs no frame of its own, or trailers follow it.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Response};

use crate::listener::http2::piece::{Ledger, PIECE, Piece, Pieces};

/// The stream takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What may still be sent.
enum State {
    /// The head.
    Head(SendResponse<Piece>),
    /// The head of an empty body waits.
    Empty(SendResponse<Piece>, Response<()>),
    Body(SendStream<Piece>, Body),
    /// Nothing; kept because dropping it would reset the stream before all was written.
    Ended(SendStream<Piece>),
    Broken,
}

#[derive(Debug, Default)]
struct Body {
    /// Bytes that have not been given, where the length is known.
    left: Option<u64>,
    /// The last of them waits.
    held: Option<Piece>,
}

pub struct Outgoing {
    state: State,
    ledger: Rc<Ledger>,
    pieces: Rc<Pieces>,
}

impl Outgoing {
    pub fn new(respond: SendResponse<Piece>, pieces: &Rc<Pieces>) -> Self {
        Self { state: State::Head(respond), ledger: Rc::default(), pieces: Rc::clone(pieces) }
    }

    pub fn inform(&mut self, interim: Response<()>) {
        if let State::Head(respond) = &mut self.state {
            // Where this fails the stream is over, and the final response, or a look at the body, says so.
            let _ = respond.send_informational(interim);
        }
    }

    /// A head behind which nothing follows, by rule.
    pub fn send_bare(&mut self, head: Response<()>) {
        self.change(|state| match state {
            State::Head(mut respond) => ended(respond.send_response(head, true)),
            other @ (State::Empty(..) | State::Body(..) | State::Ended(_) | State::Broken) => other,
        });
    }

    pub fn send_head(&mut self, head: Response<()>, length: Option<u64>) {
        self.change(|state| match state {
            State::Head(respond) if length == Some(0) => State::Empty(respond, head),
            State::Head(respond) => begun(respond, head, length),
            other @ (State::Empty(..) | State::Body(..) | State::Ended(_) | State::Broken) => other,
        });
    }

    /// Ready with how much of `data` was taken. Waits while the client makes no room.
    pub fn poll_send(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        let (stream, body) = match &mut self.state {
            State::Body(stream, body) if body.left != Some(0) => (stream, body),
            State::Broken => return Poll::Ready(Err(Broken)),
            // More than was announced goes nowhere.
            State::Head(_) | State::Empty(..) | State::Body(..) | State::Ended(_) => {
                return Poll::Ready(Ok(data.len()));
            }
        };
        ready!(self.ledger.poll_room(context));
        stream.reserve_capacity(data.len().min(PIECE));
        let mut capacity = stream.capacity();
        while capacity == 0 {
            match ready!(stream.poll_capacity(context)) {
                Some(Ok(more)) => capacity = more,
                Some(Err(_)) | None => return Poll::Ready(Err(Broken)),
            }
        }
        let data = data.get(..capacity.min(PIECE)).unwrap_or(data);
        let piece = Piece::copy(data, &self.ledger, &self.pieces);
        body.left = body.left.map(|left| left.saturating_sub(data.len() as u64));
        if body.left == Some(0) {
            body.held = Some(piece);
            return Poll::Ready(Ok(data.len()));
        }
        Poll::Ready(stream.send_data(piece, false).map(|()| data.len()).map_err(|_| Broken))
    }

    pub fn end(&mut self, trailers: Option<HeaderMap>) {
        if trailers.is_some() {
            self.release();
        }
        let last = || Piece::copy(&[], &self.ledger, &self.pieces);
        let state = std::mem::replace(&mut self.state, State::Broken);
        self.state = match (state, trailers) {
            (State::Empty(mut respond, head), None) => ended(respond.send_response(head, true)),
            (State::Body(mut stream, body), None) => {
                let sent = stream.send_data(body.held.unwrap_or_else(last), true);
                ended(sent.map(|()| stream))
            }
            (State::Body(mut stream, _), Some(trailers)) => {
                let sent = stream.send_trailers(trailers);
                ended(sent.map(|()| stream))
            }
            (other, _) => other,
        };
    }

    /// Nothing more is at hand: what was held back must wait no longer.
    pub fn release(&mut self) {
        self.change(|state| match state {
            State::Empty(respond, head) => begun(respond, head, Some(0)),
            State::Body(mut stream, mut body) => {
                let sent = body.held.take().map_or(Ok(()), |piece| stream.send_data(piece, false));
                sent.map_or(State::Broken, |()| State::Body(stream, body))
            }
            other @ (State::Head(_) | State::Ended(_) | State::Broken) => other,
        });
    }

    /// Ready when the codec has written everything.
    pub fn poll_written(&self, context: &mut Context<'_>) -> Poll<()> {
        self.ledger.poll_empty(context)
    }

    /// Ready once the stream is given up, by the client or by the codec.
    pub fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_reason(context).map(|_| self.state = State::Broken)
    }

    /// The same while not all of the body was read. What the codec finds wrong with a body is not told here: who reads
    /// it is to say so, and hears, too, of a client that gives up in the same words.
    pub fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if ready!(self.poll_reason(context)) == Some(Reason::PROTOCOL_ERROR) {
            return Poll::Pending;
        }
        self.state = State::Broken;
        Poll::Ready(())
    }

    fn poll_reason(&mut self, context: &mut Context<'_>) -> Poll<Option<Reason>> {
        let reset = match &mut self.state {
            State::Head(respond) | State::Empty(respond, _) => respond.poll_reset(context),
            State::Body(stream, _) | State::Ended(stream) => stream.poll_reset(context),
            State::Broken => return Poll::Ready(None),
        };
        reset.map(Result::ok)
    }

    pub fn reset(&mut self, reason: Reason) {
        match &mut self.state {
            State::Head(respond) | State::Empty(respond, _) => respond.send_reset(reason),
            State::Body(stream, _) | State::Ended(stream) => stream.send_reset(reason),
            State::Broken => {}
        }
    }

    fn change(&mut self, change: impl FnOnce(State) -> State) {
        self.state = change(std::mem::replace(&mut self.state, State::Broken));
    }
}

fn begun(mut respond: SendResponse<Piece>, head: Response<()>, left: Option<u64>) -> State {
    let body = Body { left, held: None };
    respond.send_response(head, false).map_or(State::Broken, |stream| State::Body(stream, body))
}

fn ended(sent: Result<SendStream<Piece>, h2::Error>) -> State {
    sent.map_or(State::Broken, State::Ended)
}

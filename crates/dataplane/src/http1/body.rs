//! Bodies as they arrive, for both sides: where the data lies in the buffer, and when it ends.

use crate::http1::chunked::{Decoder, Event};
use crate::http1::response_framing::ResponseFraming;
use crate::http1::trailers::Trailers;
use crate::io::buffer::Buffer;
use crate::refusal::Malformed;
use crate::request::Framing;

#[derive(Debug)]
enum State {
    Complete,
    Length {
        left: u64,
    },
    /// `ready` bytes of data lie at the front of the buffer.
    Chunked {
        ready: usize,
    },
    UntilClose,
}

/// Reads one body. Never copies: `decode` strips framing until data lies at the front of the buffer.
#[derive(Debug)]
pub struct Reader {
    state: State,
    received: u64,
    decoder: Option<Box<Decoder>>,
}

impl Reader {
    pub fn none() -> Self {
        Self { state: State::Complete, received: 0, decoder: None }
    }

    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::none(),
            Framing::Length(left) => Self { state: State::Length { left }, ..Self::none() },
            Framing::Chunked => {
                Self { state: State::Chunked { ready: 0 }, decoder: Some(Box::default()), ..Self::none() }
            }
        }
    }

    /// For the body of a response, which may end with its connection.
    pub fn of_response(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None => Self::none(),
            ResponseFraming::Length(length) => Self::new(Framing::Length(length)),
            ResponseFraming::Chunked => Self::new(Framing::Chunked),
            ResponseFraming::UntilClose => Self { state: State::UntilClose, ..Self::none() },
        }
    }

    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// Data bytes consumed so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self.state {
            State::Complete => Some(0),
            State::Length { left } => Some(left),
            State::Chunked { .. } | State::UntilClose => None,
        }
    }

    /// What came behind a chunked body, once it is complete.
    pub fn trailers(&self) -> Option<&Trailers> {
        self.decoder.as_ref().map(|decoder| decoder.trailers())
    }

    /// How many bytes at the front of the buffer are data; 0 when more must be read, or the body is complete.
    pub fn decode(&mut self, buffer: &mut Buffer) -> Result<usize, Malformed> {
        match &mut self.state {
            State::Complete => Ok(0),
            State::Length { left } => {
                Ok(usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.data().len()))
            }
            State::UntilClose => Ok(buffer.data().len()),
            State::Chunked { .. } => self.decode_chunk(buffer),
        }
    }

    fn decode_chunk(&mut self, buffer: &mut Buffer) -> Result<usize, Malformed> {
        let (State::Chunked { ready }, Some(decoder)) = (&mut self.state, &mut self.decoder) else {
            return Ok(0);
        };
        if *ready == 0 {
            let step = decoder.decode(buffer.data())?;
            match step.event {
                Event::Data(range) => {
                    buffer.consume(range.start);
                    *ready = range.len();
                }
                Event::NeedMore => buffer.consume(step.consumed),
                Event::End => {
                    buffer.consume(step.consumed);
                    self.state = State::Complete;
                    return Ok(0);
                }
            }
        }
        Ok(*ready)
    }

    /// `count` bytes of data were used.
    pub fn consume(&mut self, buffer: &mut Buffer, count: usize) {
        buffer.consume(count);
        self.received += count as u64;
        match &mut self.state {
            State::Complete | State::UntilClose => {}
            State::Chunked { ready, .. } => *ready -= count.min(*ready),
            State::Length { left } => {
                *left = left.saturating_sub(count as u64);
                if *left == 0 {
                    self.state = State::Complete;
                }
            }
        }
    }

    /// The connection ended: right for a body without framing, wrong for every other that is not complete.
    pub fn end_of_stream(&mut self) -> bool {
        if self.ends_with_connection() {
            self.state = State::Complete;
        }
        self.is_complete()
    }
}

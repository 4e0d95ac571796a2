//! Reads the chunked coding (RFC 9112 section 7.1) without copying data: it says which bytes of the input are body.

use std::ops::Range;

use crate::http1::trailers::{MAX_TRAILER_BYTES, Trailers};
use crate::refusal::Malformed;

/// Bytes of one chunk line, its CR LF not counted.
const MAX_LINE_BYTES: u32 = 256;
/// Bytes of extensions in a whole body: a peer that hides ten bytes behind each byte of data costs us as much as ten.
const MAX_EXTENSION_BYTES: u32 = 16 * 1024;
/// Sixteen digits fill 64 bits exactly, so a size cannot overflow.
const MAX_SIZE_DIGITS: u32 = 16;

/// What one call found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are done with, data included. The next call gets the bytes behind them.
    pub consumed: usize,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This range of the input is body. Never empty; never beyond `consumed`.
    Data(Range<usize>),
    /// All input is used up and the body goes on.
    NeedMore,
    /// The body and its trailers are complete; bytes after `consumed` belong to the next message.
    End,
}

/// Where in the coding the decoder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { value: u64, digits: u32 },
    Extension { value: u64, length: u32 },
    SizeLineFeed { value: u64 },
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
    Trailers,
    End,
}

/// One body in the chunked coding. Extensions are checked and dropped; trailers are kept as `Trailers` keeps them.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    extension_bytes: u32,
    section: Vec<u8>,
    trailers: Trailers,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Allocates nothing until trailers come.
    pub fn new() -> Self {
        Self { state: BEGINNING, extension_bytes: 0, section: Vec::new(), trailers: Trailers::default() }
    }

    /// Ready for the next body; buffers are kept.
    pub fn clear(&mut self) {
        self.state = BEGINNING;
        self.extension_bytes = 0;
        self.section.clear();
        self.trailers.clear();
    }

    /// The trailers, once `End` was given.
    pub fn trailers(&self) -> &Trailers {
        &self.trailers
    }

    /// True once the body is complete: only then may the connection be used again.
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// Reads on to the next piece of data, the end, or the end of the input. After `End` it gives `End` again.
    ///
    /// Refuses with `Chunk`, `ChunkTooLong` and `Trailer`; the connection must then be closed.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut at = 0;
        loop {
            match self.state {
                State::End => return Ok(Step { consumed: at, event: Event::End }),
                State::Data { left } => {
                    let Some(step) = self.data(input, at, left) else { break };
                    return Ok(step);
                }
                State::Trailers => {
                    let Some(&byte) = input.get(at) else { break };
                    at += 1;
                    self.trailer_byte(byte)?;
                }
                State::Size { .. }
                | State::Extension { .. }
                | State::SizeLineFeed { .. }
                | State::DataReturn
                | State::DataLineFeed => {
                    let Some(&byte) = input.get(at) else { break };
                    at += 1;
                    self.state = self.after(byte)?;
                }
            }
        }
        Ok(Step { consumed: at, event: Event::NeedMore })
    }

    fn data(&mut self, input: &[u8], at: usize, left: u64) -> Option<Step> {
        let here = input.len().saturating_sub(at);
        if here == 0 {
            return None;
        }
        let length = usize::try_from(left).map_or(here, |left| left.min(here));
        let left = left - length as u64;
        self.state = if left == 0 { State::DataReturn } else { State::Data { left } };
        let consumed = at + length;
        Some(Step { consumed, event: Event::Data(at..consumed) })
    }

    /// The state after one byte of framing.
    fn after(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == MAX_SIZE_DIGITS {
                    return Err(Malformed::ChunkTooLong);
                }
                Ok(State::Size { value: value << 4 | digit(byte), digits: digits + 1 })
            }
            (State::Size { value, digits: 1.. }, b'\r') => Ok(State::SizeLineFeed { value }),
            (State::Size { value, digits: digits @ 1.. }, b';') => {
                Ok(State::Extension { value, length: digits + 1 })
            }
            (State::Extension { value, .. }, b'\r') => Ok(State::SizeLineFeed { value }),
            // A quoted CR LF would end the line for one reader and not for another, so no control is allowed.
            (State::Extension { value, length }, b'\t' | b' '..=b'~') => {
                self.extension_byte(value, length + 1)
            }
            (State::SizeLineFeed { value: 0 }, b'\n') => Ok(State::Trailers),
            (State::SizeLineFeed { value }, b'\n') => Ok(State::Data { left: value }),
            (State::DataReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(BEGINNING),
            _ => Err(Malformed::Chunk),
        }
    }

    fn extension_byte(&mut self, value: u64, length: u32) -> Result<State, Malformed> {
        self.extension_bytes += 1;
        if length > MAX_LINE_BYTES || self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(Malformed::ChunkTooLong);
        }
        Ok(State::Extension { value, length })
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.section.len() == MAX_TRAILER_BYTES {
            return Err(Malformed::ChunkTooLong);
        }
        self.section.push(byte);
        if byte != b'\n' {
            return Ok(());
        }
        match self.section.as_slice() {
            [b'\r', b'\n'] => self.state = State::End,
            [.., b'\r', b'\n', b'\r', b'\n'] => {
                self.trailers.read(&self.section)?;
                self.state = State::End;
            }
            [.., b'\r', b'\n'] => {}
            _ => return Err(Malformed::Trailer),
        }
        Ok(())
    }
}

const BEGINNING: State = State::Size { value: 0, digits: 0 };

fn digit(byte: u8) -> u64 {
    char::from(byte).to_digit(16).map_or(0, u64::from)
}

#[cfg(test)]
#[path = "chunked_tests.rs"]
mod tests;

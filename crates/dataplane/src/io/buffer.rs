//! Read buffers, lent by the worker while a connection has something to do, so that an idle one holds none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::io::stream::Stream;

/// For heads and small bodies.
pub const SMALL: usize = 16 * 1024;
/// For bodies that do not fit into a small one. Half of it costs the kernel half as much again for a body of 1 MiB, and
/// twice as much saves little more.
pub const LARGE: usize = 128 * 1024;
/// Bytes of buffers of each size that a worker keeps for the next connection; more are given back to the allocator.
const KEPT: usize = 8 * 1024 * 1024;

/// Bytes received and not yet consumed: `bytes[start..end]` of memory that is always initialised.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn is_large(&self) -> bool {
        self.bytes.len() > SMALL
    }

    /// Where the next read goes; moves what is left to the front when the end is reached.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 && (self.is_empty() || self.end == self.bytes.len()) {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// For heads longer than a small buffer: room for twice as much, up to `limit` bytes in all.
    pub fn grow(&mut self, limit: usize) {
        let length = self.bytes.len();
        self.bytes.resize((length * 2).min(limit).max(length), 0);
    }

    /// Reads once; ready with the number of bytes, 0 at the end of the stream. An error where there is no room.
    pub fn poll_fill(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.room();
        if room.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        let mut target = ReadBuf::new(room);
        ready!(Pin::new(stream).poll_read(context, &mut target))?;
        let count = target.filled().len();
        self.filled(count);
        Poll::Ready(Ok(count))
    }

    /// Makes a large buffer of an empty one.
    pub fn enlarge(&mut self) {
        if self.is_empty() && !self.is_large() {
            *self = Self { bytes: vec![0; LARGE], start: 0, end: 0 };
        }
    }

    /// Keeps what has not been consumed in memory of its size, and gives the memory that it was in.
    pub fn fit(&mut self) -> Self {
        let bytes = self.data().to_vec();
        let end = bytes.len();
        std::mem::replace(self, Self { bytes, start: 0, end })
    }

    /// `count` bytes of `room` were filled.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Bytes that were read before there was a buffer.
    pub fn put(&mut self, bytes: &[u8]) {
        let count = bytes.len();
        if let Some(room) = self.room().get_mut(..count) {
            room.copy_from_slice(bytes);
            self.filled(count);
        }
    }

    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }
}

/// The free lists of one worker.
#[derive(Debug, Default)]
pub struct Buffers {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

impl Buffers {
    pub fn small(&mut self) -> Buffer {
        Buffer { bytes: self.small.pop().unwrap_or_else(|| vec![0; SMALL]), start: 0, end: 0 }
    }

    pub fn large(&mut self) -> Buffer {
        Buffer { bytes: self.large.pop().unwrap_or_else(|| vec![0; LARGE]), start: 0, end: 0 }
    }

    pub fn give_back(&mut self, buffer: Buffer) {
        let list = match buffer.bytes.len() {
            SMALL => &mut self.small,
            LARGE => &mut self.large,
            // None, or one that grew.
            _ => return,
        };
        if list.len() * buffer.bytes.len() < KEPT {
            list.push(buffer.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_at_the_end_is_made_by_moving_what_is_left_to_the_front() {
        let mut buffer = Buffers::default().small();
        let length = buffer.room().len();
        buffer.room().fill(7);
        buffer.filled(length);
        buffer.consume(length - 3);
        assert_eq!(buffer.room().len(), SMALL - 3);
        assert_eq!(buffer.data(), [7, 7, 7]);
    }

    #[test]
    fn consuming_more_than_there_is_consumes_all_that_there_is() {
        let mut buffer = Buffers::default().small();
        buffer.filled(10);
        buffer.consume(5);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
        assert_eq!(buffer.room().len(), SMALL);
    }

    #[test]
    fn a_buffer_grows_to_its_limit_and_is_then_not_kept() {
        let mut buffers = Buffers::default();
        let mut buffer = buffers.small();
        buffer.filled(SMALL);
        buffer.grow(SMALL * 2 - 1);
        assert_eq!((buffer.data().len(), buffer.room().len()), (SMALL, SMALL - 1));
        buffer.grow(SMALL);
        assert_eq!(buffer.room().len(), SMALL - 1);
        buffers.give_back(buffer);
        assert!(buffers.small.is_empty() && buffers.large.is_empty());
    }

    #[test]
    fn a_buffer_given_back_is_lent_again_without_its_old_bytes() {
        let mut buffers = Buffers::default();
        let mut buffer = buffers.small();
        buffer.filled(10);
        buffers.give_back(buffer);
        assert!(buffers.small().is_empty());
        assert!(buffers.small.is_empty());
    }
}

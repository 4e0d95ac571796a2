//! One side of a tunnel: bytes both ways, be they a connection's or a stream's among others on one.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::io::buffer::{Buffer, Buffers};
use crate::io::replay::Replay;

pub trait Side {
    /// What came and was not consumed.
    fn data(&self) -> &[u8];

    /// The other side has taken so much: only then is there room for more.
    fn consume(&mut self, count: usize);

    /// Reads once, behind what is there already; ready with whether this side goes on.
    fn poll_fill(&mut self, context: &mut Context<'_>, buffers: &RefCell<Buffers>) -> Poll<bool>;

    /// Takes as much as there is room for; ready with how much. Waits while this side does not read.
    fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells this side that nothing follows, and does no harm where it was told so before.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Finds out in time where the other end has vanished.
    fn keep_alive(&self, time: Duration);
}

impl Side for Replay<'_> {
    fn data(&self) -> &[u8] {
        self.input.data()
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }

    /// While nothing comes, no buffer is held.
    fn poll_fill(&mut self, context: &mut Context<'_>, buffers: &RefCell<Buffers>) -> Poll<bool> {
        if self.input.room().is_empty() && self.input.is_empty() {
            *self.input = buffers.borrow_mut().small();
        }
        let filled = self.input.poll_fill(self.stream, context);
        if filled.is_pending() && self.input.is_empty() {
            buffers.borrow_mut().give_back(std::mem::take::<Buffer>(self.input));
        }
        filled.map(|result| result.is_ok_and(|count| count > 0))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(context, data)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }

    fn keep_alive(&self, time: Duration) {
        // Where this fails the connection is broken, and reading from it will say so.
        let _ = self.stream.prepare(time);
    }
}

/// Puts what came behind what is left, which is no more than a part of a frame's header.
pub fn join(rest: &mut Bytes, more: Bytes) {
    *rest = if rest.is_empty() { more } else { [&**rest, &*more].concat().into() };
}

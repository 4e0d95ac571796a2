//! One direction of a tunnel: bytes of one side go to the other as they come, frame headers are read as they pass, and a
//! close frame of ours is put in where a frame ends.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::io::buffer::Buffers;
use crate::record::Closed;
use crate::websocket::frames::Frames;
use crate::websocket::side::Side;

/// What a lane does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Relaying,
    /// The source has ended: the other side is told once it has everything.
    Ending,
    /// The frame that is passing goes on to its end; then follows our close frame.
    Finishing,
    /// Our close frame is under way.
    Closing,
    /// The source has not answered our close frame yet; what else it sends goes nowhere.
    Discarding,
    Done,
}

#[derive(Debug)]
pub struct Lane {
    frames: Frames,
    /// Bytes at the front of the source's input that may go on.
    passed: usize,
    /// Why no more may.
    excess: Option<Closed>,
    close: Vec<u8>,
    written: usize,
    moved: u64,
    needs_flush: bool,
    has_ended: bool,
    state: State,
}

impl Lane {
    pub fn new(frames: Frames) -> Self {
        Self {
            frames,
            passed: 0,
            excess: None,
            close: Vec::new(),
            written: 0,
            moved: 0,
            needs_flush: false,
            has_ended: false,
            state: State::Relaying,
        }
    }

    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Bytes of the source that the other side has taken.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// What came exceeds a limit: nothing moves until `close`.
    pub fn excess(&self) -> Option<Closed> {
        self.excess
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The source sends nothing any more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Our close frame has gone out, or none will.
    pub fn has_told(&self) -> bool {
        matches!(self.state, State::Discarding | State::Done)
    }

    /// Ends this direction with a frame of ours, where the source has not sent such a frame itself.
    pub fn close(&mut self, frame: Vec<u8>) {
        self.excess = None;
        self.frames.unlimited();
        if self.state == State::Relaying {
            self.close = if self.frames.has_closed() { Vec::new() } else { frame };
            self.state = State::Finishing;
        }
    }

    /// Moves what can be moved. Ready where nothing will any more.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut dyn Side,
        to: &mut dyn Side,
        buffers: &RefCell<Buffers>,
    ) -> Poll<()> {
        while self.state != State::Done && self.excess.is_none() {
            let step = match self.state {
                State::Relaying | State::Finishing => self.poll_relay(context, from, to, buffers),
                State::Ending => self.poll_end(context, to),
                State::Closing => self.poll_close(context, to),
                State::Discarding => self.poll_discard(context, from, buffers),
                State::Done => return Poll::Ready(()),
            };
            match step {
                Poll::Ready(Ok(())) => {}
                // Nobody takes anything of this direction any more.
                Poll::Ready(Err(_)) => self.state = State::Done,
                Poll::Pending => return self.poll_flush(context, to),
            }
        }
        Poll::Ready(())
    }

    /// One step of passing bytes on.
    fn poll_relay(
        &mut self,
        context: &mut Context<'_>,
        from: &mut dyn Side,
        to: &mut dyn Side,
        buffers: &RefCell<Buffers>,
    ) -> Poll<io::Result<()>> {
        if self.passed > 0 {
            let data = from.data().get(..self.passed).unwrap_or_default();
            return write(to, context, data).map_ok(|count| {
                from.consume(count);
                self.passed -= count;
                self.moved += count as u64;
                self.needs_flush = true;
            });
        }
        if self.state == State::Finishing {
            self.passed = self.frames.finish(from.data());
            if self.passed == 0 && self.frames.is_between_frames() {
                self.state = State::Closing;
            }
            if self.passed > 0 || self.state == State::Closing {
                return Poll::Ready(Ok(()));
            }
        } else if !from.data().is_empty() {
            (self.passed, self.excess) = self.frames.pass(from.data(), Instant::now());
            if self.passed > 0 || self.excess.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        from.poll_fill(context, buffers).map(|is_open| {
            if !is_open {
                (self.state, self.has_ended) = (State::Ending, true);
            }
            Ok(())
        })
    }

    /// The other side learns that nothing follows.
    fn poll_end(&mut self, context: &mut Context<'_>, to: &mut dyn Side) -> Poll<io::Result<()>> {
        to.poll_shutdown(context).map_ok(|()| self.state = State::Done)
    }

    fn poll_close(&mut self, context: &mut Context<'_>, to: &mut dyn Side) -> Poll<io::Result<()>> {
        let rest = self.close.get(self.written..).unwrap_or_default();
        if !rest.is_empty() {
            return write(to, context, rest).map_ok(|count| self.written += count);
        }
        to.poll_flush(context).map_ok(|()| self.state = State::Discarding)
    }

    fn poll_discard(
        &mut self,
        context: &mut Context<'_>,
        from: &mut dyn Side,
        buffers: &RefCell<Buffers>,
    ) -> Poll<io::Result<()>> {
        let (passed, malformed) = self.frames.pass(from.data(), Instant::now());
        from.consume(passed);
        if malformed.is_some() || (self.frames.has_closed() && self.frames.is_between_frames()) {
            self.state = State::Done;
            return Poll::Ready(Ok(()));
        }
        from.poll_fill(context, buffers).map(|is_open| {
            if !is_open {
                self.state = State::Done;
            }
            Ok(())
        })
    }

    fn poll_flush(&mut self, context: &mut Context<'_>, to: &mut dyn Side) -> Poll<()> {
        if self.needs_flush && to.poll_flush(context).is_ready() {
            self.needs_flush = false;
        }
        Poll::Pending
    }
}

fn write(to: &mut dyn Side, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
    to.poll_write(context, data).map(|result| match result {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        other => other,
    })
}

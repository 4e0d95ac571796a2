//! Body data on its way to a client: memory that is lent to the codec and comes back when it has been written.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Buf;

/// The largest piece, and the memory of every piece that is not short.
pub const PIECE: usize = 16 * 1024;
/// A shorter piece gets memory of its own, so that many short ones do not hold many long buffers.
const SHORT: usize = 1024;
/// Pieces of one stream that the codec may hold. More wait until the client has taken some.
const AFLOAT: u32 = 4;
/// Buffers that a worker keeps.
const KEPT: usize = 64;

/// The pieces of one stream that the codec has not written yet.
#[derive(Debug, Default)]
pub struct Ledger {
    afloat: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

impl Ledger {
    /// Ready when there is room for one more piece.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_below(context, AFLOAT)
    }

    /// Ready when everything has been written.
    pub fn poll_empty(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_below(context, 1)
    }

    fn poll_below(&self, context: &mut Context<'_>, limit: u32) -> Poll<()> {
        if self.afloat.get() < limit {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }

    fn leave(&self) {
        self.afloat.set(self.afloat.get().saturating_sub(1));
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Memory for pieces, which belongs to one worker.
#[derive(Debug, Default)]
pub struct Pieces {
    free: RefCell<Vec<Vec<u8>>>,
}

/// Bytes that the codec reads once, from front to back.
#[derive(Debug)]
pub struct Piece {
    bytes: Vec<u8>,
    at: usize,
    ledger: Rc<Ledger>,
    home: Rc<Pieces>,
}

impl Piece {
    /// Copies at most `PIECE` bytes; an empty one ends a body.
    pub fn copy(data: &[u8], ledger: &Rc<Ledger>, home: &Rc<Pieces>) -> Self {
        let data = data.get(..PIECE).unwrap_or(data);
        let mut bytes = if data.len() <= SHORT { Vec::new() } else { home.take() };
        bytes.extend_from_slice(data);
        ledger.afloat.set(ledger.afloat.get() + 1);
        Self { bytes, at: 0, ledger: Rc::clone(ledger), home: Rc::clone(home) }
    }
}

impl Pieces {
    fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(PIECE))
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if bytes.capacity() >= PIECE && free.len() < KEPT {
            bytes.clear();
            free.push(bytes);
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.bytes.len());
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
        self.ledger.leave();
    }
}

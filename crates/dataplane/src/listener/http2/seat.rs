//! Memory that the streams of a worker use one after the other, so that a new stream allocates little.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use crate::listener::http2::piece::Pieces;
use crate::pipeline::Local;
use crate::request::{Peer, Request};
use crate::worker::Leave;

/// Seats that a worker keeps; more are given back to the allocator.
const KEPT: usize = 128;

/// What one request needs beside its exchange.
pub struct Seat {
    pub request: Request,
    pub local: Local,
}

/// The free seats of one worker, and its memory for bodies.
#[derive(Default)]
pub struct Seats {
    // A seat is large and changes hands twice: a pointer is moved instead.
    #[expect(clippy::vec_box, reason = "moved to a task and back as it is")]
    free: RefCell<Vec<Box<Seat>>>,
    pub pieces: Rc<Pieces>,
}

impl Seats {
    /// `leave`: of the connection.
    pub fn take(&self, peer: Peer, leave: Rc<Leave>) -> Box<Seat> {
        let free = self.free.borrow_mut().pop();
        let mut seat = free.unwrap_or_else(|| {
            Box::new(Seat { request: Request::new(peer.address), local: Local::new(Instant::now()) })
        });
        (seat.request.peer, seat.request.secured) = (peer.address, peer.secured);
        seat.local.leave = leave;
        seat.local.timer.moved();
        seat
    }

    pub fn give_back(&self, mut seat: Box<Seat>) {
        let Ok(mut free) = self.free.try_borrow_mut() else { return };
        if free.len() < KEPT {
            seat.local.rest();
            free.push(seat);
        }
    }
}

//! Requests to one service that wait for a connection, on all workers and for all instances together.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::refusal::Unavailable;

/// Counts them. Requests that find a connection at once never come here.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicU32,
}

/// A place in the queue, given up when this is dropped.
#[derive(Debug)]
pub struct Queued<'q> {
    queue: &'q Queue,
}

impl Queue {
    /// Fails where `most` wait already.
    pub fn enter(&self, most: usize) -> Result<Queued<'_>, Unavailable> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let queued = Queued { queue: self };
        if (before as usize) < most { Ok(queued) } else { Err(Unavailable::TooManyPending) }
    }

    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_takes_nobody_until_somebody_leaves() {
        let queue = Queue::default();
        let (first, second) = (queue.enter(2).unwrap(), queue.enter(2).unwrap());
        assert_eq!(queue.enter(2).unwrap_err(), Unavailable::TooManyPending);
        assert_eq!(queue.waiting(), 2);
        drop(first);
        assert!(queue.enter(2).is_ok());
        drop(second);
        assert_eq!(queue.waiting(), 0);
        assert!(queue.enter(0).is_err());
    }
}

//! The requests that leaky buckets let wait: so many at one time, all tiers and workers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(super) struct Waiting {
    now: AtomicU32,
    maximum: AtomicU32,
    refused: AtomicU64,
}

/// The seat of a request that waits; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    waiting: Arc<Waiting>,
}

impl Waiting {
    pub(super) fn set_maximum(&self, maximum: u32) {
        self.maximum.store(maximum, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> (u32, u64) {
        (self.now.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// `None`, and counted, where all seats are taken.
    pub(super) fn sit(self: &Arc<Self>) -> Option<Seat> {
        let before = self.now.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { waiting: Arc::clone(self) };
        if before >= self.maximum.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.waiting.now.fetch_sub(1, Ordering::Relaxed);
    }
}

//! What all workers know of the node's load: numbers that are read for each request, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::concurrency::Concurrency;
use super::pressure::Pressure;
use super::settings::share;
use crate::snapshot::document::Priority;

/// Requests in flight and the pressure on the whole node.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
    /// A `Pressure`, packed. Written by the control thread.
    pressure: AtomicU64,
    refused: AtomicU32,
    memory_bytes: AtomicU64,
    memory_limit: AtomicU64,
}

/// One request in flight.
#[derive(Debug)]
pub struct Admission {
    load: Arc<Load>,
    concurrency: Option<Arc<Concurrency>>,
}

impl Load {
    /// A load that is only said to be there, for `explain`.
    pub fn stated(pressure: Pressure, in_flight: u32) -> Self {
        let load = Self::default();
        load.set_pressure(pressure);
        load.in_flight.store(in_flight, Ordering::Relaxed);
        load
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn pressure(&self) -> Pressure {
        Pressure::unpack(self.pressure.load(Ordering::Relaxed))
    }

    pub fn set_pressure(&self, pressure: Pressure) {
        self.pressure.store(pressure.pack(), Ordering::Relaxed);
    }

    /// Resident bytes and how many there may be; for scrapes, decisions read the pressure.
    pub fn memory(&self) -> (u64, u64) {
        (self.memory_bytes.load(Ordering::Relaxed), self.memory_limit.load(Ordering::Relaxed))
    }

    pub fn set_memory(&self, bytes: u64, limit: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
        self.memory_limit.store(limit, Ordering::Relaxed);
    }

    /// Between `base` and twice that, each time elsewhere, so that clients refused together do not come back together.
    /// Multiples of the golden ratio fill a range more evenly than chance does.
    pub(super) fn spread(&self, base: Duration) -> Duration {
        let turn = self.refused.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9);
        base + base.mul_f64(f64::from(turn) / f64::from(u32::MAX))
    }
}

impl Admission {
    /// Counts a request in; gives how many there were before it.
    pub(super) fn count(load: &Arc<Load>) -> (Self, u32) {
        let before = load.in_flight.fetch_add(1, Ordering::Relaxed);
        (Self { load: Arc::clone(load), concurrency: None }, before)
    }

    /// Counts it in at its service, too; gives how many there were before it and how many of its priority there may be.
    pub(super) fn enter(&mut self, concurrency: &Arc<Concurrency>, priority: Priority) -> Option<(u32, u32)> {
        self.concurrency = Some(Arc::clone(concurrency));
        let before = concurrency.enter();
        let (_, limit) = concurrency.now();
        limit.map(|limit| (before, share(limit, priority)))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(concurrency) = &self.concurrency {
            concurrency.leave();
        }
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Passive ejection: an instance whose requests fail in a row gets none for a while (requirement BH-6).
//!
//! Requests drive it and bring the time along; nothing runs in between. Each ejection lasts longer than the one before,
//! until the instance has stayed in for as long as the longest.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::snapshot::document::EjectionDocument;

/// How one request went, as far as it is the instance's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Good,
    /// It answered with a 5xx.
    Failure,
    /// No answer: no connection, a reset, a timeout, or what is no HTTP.
    Broken,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    /// Failures of any kind in a row, and in the upper half those without an answer.
    runs: AtomicU64,
    /// Stamp at which it is let in again; 0: it never was out.
    until: AtomicU64,
    /// Ejections that followed one another.
    repeats: AtomicU32,
    ejections: AtomicU64,
}

impl Record {
    /// Takes in one request; says whether the instance should go.
    pub(super) fn note(&self, sign: Sign, settings: &EjectionDocument) -> bool {
        let step = |runs: u64| {
            let (failures, broken) = (runs as u32, (runs >> 32) as u32);
            let (failures, broken) = match sign {
                Sign::Good => (0, 0),
                Sign::Failure => (failures.saturating_add(1), 0),
                Sign::Broken => (failures.saturating_add(1), broken.saturating_add(1)),
            };
            // A good result of a good instance writes nothing: the line stays shared among the workers.
            Some(u64::from(broken) << 32 | u64::from(failures)).filter(|next| *next != runs)
        };
        let before = self.runs.fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
        let Some(runs) = before.ok().and_then(step) else { return false };
        let reached = |count: u32, most: u32| most > 0 && count >= most;
        sign != Sign::Good
            && (reached(runs as u32, settings.consecutive_5xx)
                || reached((runs >> 32) as u32, settings.consecutive_gateway_errors))
    }

    pub(super) fn is_out(&self, stamp: u64) -> bool {
        self.until.load(Ordering::Acquire) > stamp
    }

    /// When it is let in again, while it is out.
    pub(super) fn returns_at(&self, stamp: u64) -> Option<u64> {
        Some(self.until.load(Ordering::Acquire)).filter(|until| *until > stamp)
    }

    pub(super) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Sends it out. Called under the lock of its service.
    pub(super) fn eject(&self, settings: &EjectionDocument, stamp: u64) {
        let last = self.until.load(Ordering::Acquire);
        let is_repeat = last > 0 && stamp < last.saturating_add(settings.maximum_ms);
        let repeats = if is_repeat { self.repeats.load(Ordering::Relaxed).saturating_add(1) } else { 1 };
        let time = settings.base_ms.saturating_mul(u64::from(repeats)).min(settings.maximum_ms);
        self.repeats.store(repeats, Ordering::Relaxed);
        self.runs.store(0, Ordering::Release);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.until.store(stamp + time, Ordering::Release);
    }
}

//! After closing, traffic comes back in steps: a service that has just recovered is not met by everybody at once (BH-16).

use std::time::{Duration, Instant};

/// Per cent of the requests, for a third of the time each.
const STEPS: [u32; 3] = [10, 25, 50];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ramp {
    since: Instant,
    /// Per cent of a request that are saved up; a request costs a hundred.
    credit: u32,
}

impl Ramp {
    /// Lacks a tenth, so that the first request passes and the next nine do not.
    pub(super) fn new(since: Instant) -> Self {
        Self { since, credit: 90 }
    }

    /// Per cent of the requests that pass now; `None` when it is over.
    pub(super) fn share(&self, length: Duration, now: Instant) -> Option<u32> {
        self.step(length, now).map(|(share, _)| share)
    }

    /// A request would like to pass, which saves up its share.
    pub(super) fn offer(&mut self, length: Duration, now: Instant) {
        if let Some((share, _)) = self.step(length, now) {
            self.credit = (self.credit + share).min(100 + share);
        }
    }

    pub(super) fn may_pass(&self) -> bool {
        self.credit >= 100
    }

    /// A request passes, if enough is saved up.
    pub(super) fn pass(&mut self) -> bool {
        let left = self.credit.checked_sub(100);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }

    /// How long it is to the next step.
    pub(super) fn left(&self, length: Duration, now: Instant) -> Duration {
        self.step(length, now).map_or(Duration::ZERO, |(_, left)| left)
    }

    /// The share, and how long it stays.
    fn step(&self, length: Duration, now: Instant) -> Option<(u32, Duration)> {
        let step = length / 3;
        let elapsed = now.saturating_duration_since(self.since);
        let ends = [step, step * 2, length];
        STEPS.iter().zip(ends).find(|(_, end)| elapsed < *end).map(|(share, end)| (*share, end - elapsed))
    }
}

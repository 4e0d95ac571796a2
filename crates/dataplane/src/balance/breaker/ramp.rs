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

    /// May this request pass? An error says how long it is to the next step.
    pub(super) fn admit(&mut self, length: Duration, now: Instant) -> Result<(), Duration> {
        let Some((share, left)) = self.step(length, now) else { return Ok(()) };
        self.credit = (self.credit + share).min(100 + share);
        if self.credit < 100 {
            return Err(left);
        }
        self.credit -= 100;
        Ok(())
    }

    /// The share, and how long it stays.
    fn step(&self, length: Duration, now: Instant) -> Option<(u32, Duration)> {
        let step = length / 3;
        let elapsed = now.saturating_duration_since(self.since);
        let ends = [step, step * 2, length];
        STEPS.iter().zip(ends).find(|(_, end)| elapsed < *end).map(|(share, end)| (*share, end - elapsed))
    }
}

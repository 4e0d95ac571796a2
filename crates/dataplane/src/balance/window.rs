//! Requests and failures of the last while, in ten buckets.

use std::time::Instant;

const BUCKETS: u64 = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    requests: u32,
    failures: u32,
}

/// A sliding window that forgets a tenth of its length at a time. The totals are kept, so adding never sums up.
#[derive(Debug)]
pub(super) struct Window {
    /// Of one bucket, at least one.
    milliseconds: u64,
    /// The moment that ticks count from: the first one seen.
    origin: Option<Instant>,
    /// The tick of the newest bucket.
    tick: u64,
    buckets: [Bucket; BUCKETS as usize],
    total: Bucket,
}

impl Window {
    pub(super) fn new(window_ms: u64) -> Self {
        Self {
            milliseconds: (window_ms / BUCKETS).max(1),
            origin: None,
            tick: 0,
            buckets: Default::default(),
            total: Bucket::default(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.buckets = Default::default();
        self.total = Bucket::default();
    }

    pub(super) fn add(&mut self, failed: bool, now: Instant) {
        self.advance(now);
        let failures = u32::from(failed);
        self.total.requests = self.total.requests.saturating_add(1);
        self.total.failures = self.total.failures.saturating_add(failures);
        if let Some(bucket) = self.buckets.get_mut((self.tick % BUCKETS) as usize) {
            bucket.requests = bucket.requests.saturating_add(1);
            bucket.failures = bucket.failures.saturating_add(failures);
        }
    }

    /// Requests and failures still remembered.
    pub(super) fn totals(&self) -> (u32, u32) {
        (self.total.requests, self.total.failures)
    }

    /// Empties the buckets that time has passed over. A moment before the newest tick counts as the newest tick.
    pub(super) fn advance(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let elapsed = now.saturating_duration_since(origin);
        // Not `as_millis`: its division of 128 bits would cost more than all the rest.
        let milliseconds = elapsed.as_secs() * 1_000 + u64::from(elapsed.subsec_millis());
        let tick = milliseconds / self.milliseconds;
        if tick <= self.tick {
            return;
        }
        for stale in (self.tick + 1..=tick).take(BUCKETS as usize) {
            let Some(bucket) = self.buckets.get_mut((stale % BUCKETS) as usize) else { continue };
            self.total.requests = self.total.requests.saturating_sub(bucket.requests);
            self.total.failures = self.total.failures.saturating_sub(bucket.failures);
            *bucket = Bucket::default();
        }
        self.tick = tick;
    }
}

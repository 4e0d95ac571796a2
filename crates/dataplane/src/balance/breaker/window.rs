//! The calls of the last while, or the last so many calls: what the rules judge by.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::snapshot::document::BreakerWindow;

const BUCKETS: u64 = 10;

/// One call that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub failed: bool,
    pub slow: bool,
    /// Its instance reported too much load.
    pub loaded: bool,
}

impl Call {
    pub(super) fn is_good(self) -> bool {
        !self.failed && !self.slow && !self.loaded
    }
}

/// What is remembered of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub requests: u32,
    pub failures: u32,
    pub slow: u32,
    pub loaded: u32,
    /// Failures since the last success, however long ago they were.
    pub consecutive: u32,
}

impl Tally {
    fn add(&mut self, call: Call) {
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(call.failed));
        self.slow = self.slow.saturating_add(u32::from(call.slow));
        self.loaded = self.loaded.saturating_add(u32::from(call.loaded));
    }

    fn subtract(&mut self, other: Self) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.failures = self.failures.saturating_sub(other.failures);
        self.slow = self.slow.saturating_sub(other.slow);
        self.loaded = self.loaded.saturating_sub(other.loaded);
    }
}

/// Keeps its totals, so adding never sums up.
#[derive(Debug)]
pub(super) struct Window {
    kind: BreakerWindow,
    memory: Memory,
    total: Tally,
    /// When the newest bucket of time does; `None` where that is not known.
    newest_ends: Option<Instant>,
}

#[derive(Debug)]
enum Memory {
    Time(Buckets),
    Calls(VecDeque<Call>),
}

impl Window {
    pub(super) fn new(kind: BreakerWindow) -> Self {
        let memory = match kind {
            BreakerWindow::Milliseconds(milliseconds) => Memory::Time(Buckets::new(milliseconds)),
            BreakerWindow::Calls(_) => Memory::Calls(VecDeque::new()),
        };
        Self { kind, memory, total: Tally::default(), newest_ends: None }
    }

    /// Calls that were counted over another window mean something else: they are forgotten.
    pub(super) fn fit(&mut self, kind: BreakerWindow) {
        if self.kind != kind {
            *self = Self::new(kind);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.kind);
    }

    pub(super) fn add(&mut self, call: Call, now: Instant) {
        self.advance(now);
        self.total.consecutive = if call.failed { self.total.consecutive.saturating_add(1) } else { 0 };
        self.total.add(call);
        match (&mut self.memory, self.kind) {
            (Memory::Time(buckets), _) => buckets.add(call),
            (Memory::Calls(calls), BreakerWindow::Calls(size)) => {
                calls.push_back(call);
                let mut gone = Tally::default();
                while calls.len() > size as usize {
                    calls.pop_front().into_iter().for_each(|call| gone.add(call));
                }
                self.total.subtract(gone);
            }
            // A memory is made for its kind.
            (Memory::Calls(_), BreakerWindow::Milliseconds(_)) => {}
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.total
    }

    /// Forgets what time has passed over. A moment before the newest counts as the newest.
    pub(super) fn advance(&mut self, now: Instant) {
        match &mut self.memory {
            // Most calls come within the newest bucket, and a comparison costs less than telling which one it is.
            Memory::Time(_) if self.newest_ends.is_some_and(|end| now < end) => {}
            Memory::Time(buckets) => {
                let gone = buckets.advance(now);
                self.total.subtract(gone);
                self.newest_ends = buckets.end();
            }
            Memory::Calls(_) => {}
        }
    }
}

/// A stretch of time that slides by a tenth of its length.
#[derive(Debug)]
struct Buckets {
    /// Of one bucket, at least one.
    milliseconds: u64,
    /// The moment that ticks count from: the first one seen.
    origin: Option<Instant>,
    /// The tick of the newest bucket.
    tick: u64,
    buckets: [Tally; BUCKETS as usize],
}

impl Buckets {
    fn new(milliseconds: u64) -> Self {
        let milliseconds = (milliseconds / BUCKETS).max(1);
        Self { milliseconds, origin: None, tick: 0, buckets: Default::default() }
    }

    fn add(&mut self, call: Call) {
        if let Some(bucket) = self.buckets.get_mut((self.tick % BUCKETS) as usize) {
            bucket.add(call);
        }
    }

    /// When the newest bucket ends; `None` where no clock reaches that far.
    fn end(&self) -> Option<Instant> {
        let after = self.tick.checked_add(1)?.checked_mul(self.milliseconds)?;
        self.origin?.checked_add(Duration::from_millis(after))
    }

    /// Gives what was forgotten.
    fn advance(&mut self, now: Instant) -> Tally {
        let mut gone = Tally::default();
        let origin = *self.origin.get_or_insert(now);
        let elapsed = now.saturating_duration_since(origin);
        // Not `as_millis`: its division of 128 bits would cost more than all the rest.
        let milliseconds = elapsed.as_secs() * 1_000 + u64::from(elapsed.subsec_millis());
        let tick = milliseconds / self.milliseconds;
        for stale in (self.tick + 1..=tick).take(BUCKETS as usize) {
            let Some(bucket) = self.buckets.get_mut((stale % BUCKETS) as usize) else { continue };
            gone.requests += bucket.requests;
            gone.failures += bucket.failures;
            gone.slow += bucket.slow;
            gone.loaded += bucket.loaded;
            *bucket = Tally::default();
        }
        self.tick = self.tick.max(tick);
        gone
    }
}

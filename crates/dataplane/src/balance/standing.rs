//! How an instance stands: may it be sent requests, and how many of those that its weight would give it?

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The least share of its requests that an instance gets when it starts slowly: with none it would never warm up.
const LEAST_SHARE: f32 = 0.1;

/// Ordered by what is told where several are true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Healthy,
    /// Its health checks fail.
    Unhealthy,
    /// Requests failed there too often in a row.
    Ejected,
    /// Somebody wants it to get no new requests.
    Draining,
}

impl Standing {
    pub fn text(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }
}

/// Milliseconds on the clock of one instance; 0 and 1 have meanings of their own, so they count from 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn new(origin: Instant) -> Self {
        Self { origin }
    }

    pub(super) fn stamp(self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_millis() as u64 + 2
    }

    pub(super) fn moment(self, stamp: u64) -> Instant {
        self.origin + Duration::from_millis(stamp.saturating_sub(2))
    }
}

/// Since when requests have been sent to an instance.
#[derive(Debug)]
pub(super) struct Entrance {
    /// 0: not now; 1: from the start, so there is nothing to warm up to; else the stamp.
    word: AtomicU64,
}

impl Entrance {
    pub(super) fn new(is_warm: bool) -> Self {
        Self { word: AtomicU64::new(u64::from(is_warm)) }
    }

    /// Notes whether requests are sent there from now on.
    pub(super) fn note(&self, is_in: bool, stamp: u64) {
        let word = self.word.load(Ordering::Relaxed);
        if is_in != (word > 0) {
            self.word.store(if is_in { stamp } else { 0 }, Ordering::Relaxed);
        }
    }

    pub(super) fn is_in(&self) -> bool {
        self.word.load(Ordering::Relaxed) > 0
    }

    /// When it will be warm; `None` for one that is.
    pub(super) fn warm_at(&self, slow_start: Duration, stamp: u64) -> Option<u64> {
        let word = self.word.load(Ordering::Relaxed);
        let warm = word + slow_start.as_millis() as u64;
        (word > 1 && warm > stamp).then_some(warm)
    }

    /// The share of its weight that counts by now.
    pub(super) fn share(&self, slow_start: Duration, stamp: u64) -> f32 {
        let word = self.word.load(Ordering::Relaxed);
        if word == 1 {
            return 1.0;
        }
        let passed = stamp.saturating_sub(word) as f32 / 1_000.0;
        (passed / slow_start.as_secs_f32().max(0.001)).clamp(LEAST_SHARE, 1.0)
    }
}

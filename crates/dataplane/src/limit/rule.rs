//! What a tier allows, and what a request takes of it.

/// A stretch of time that is counted for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// Rises by one from each to the next.
    pub(super) index: u64,
    pub(super) end_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    SlidingWindow,
    FixedWindow,
    SlidingLog,
    /// Token bucket and GCRA, which differ in nothing but the burst.
    Bucket,
    Leaky,
    Concurrency,
    /// Fixed windows of a calendar, kept over restarts.
    Quota,
    /// What was taken ahead of a count that nodes share.
    Lease,
}

/// What a tier allows, at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) algorithm: Algorithm,
    /// In a window; of concurrency, at once.
    pub(super) limit: u64,
    /// At least 1.
    pub(super) window_ms: u64,
    /// What a bucket holds. `burst * window_ms` fits 63 bits, as do the products with `limit`.
    pub(super) burst: u64,
    /// How long a leaky bucket lets a request wait.
    pub(super) max_delay_ms: u64,
    /// The period of now, where a calendar says it.
    pub(super) period: Option<Period>,
}

/// What a request needs to pass, and what it is charged for that. They differ where the cost is only known afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// At least 1.
    pub(super) needed: u64,
    pub(super) charged: u64,
}

impl Cost {
    pub(super) const ONE: Self = Self { needed: 1, charged: 1 };
    /// Passes where there is anything left, and pays later.
    pub(super) const LATER: Self = Self { needed: 1, charged: 0 };

    pub(super) fn of(weight: u64) -> Self {
        Self { needed: weight.max(1), charged: weight }
    }
}

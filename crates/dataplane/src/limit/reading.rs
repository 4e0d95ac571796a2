//! What an algorithm answers a request.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Refused,
    Banned,
    /// Only the store that nodes share can tell.
    Unknown,
}

/// The answer for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) verdict: Verdict,
    /// The most that `remaining` can be.
    pub(super) limit: u64,
    /// What is left when the request has passed.
    pub(super) remaining: u64,
    /// Epoch second, rounded up, at which the window ends, or all is free again.
    pub(super) reset: u64,
    /// Whole seconds, rounded up; 0 where admitted.
    pub(super) retry_after: u64,
    /// How long an admitted request has to wait before it goes on.
    pub(super) delay_ms: u64,
}

impl Reading {
    pub(super) fn admitted(limit: u64, remaining: u64, reset: u64) -> Self {
        Self { verdict: Verdict::Admitted, limit, remaining, reset, retry_after: 0, delay_ms: 0 }
    }

    pub(super) fn refused(limit: u64, reset: u64, retry_after: u64) -> Self {
        Self { verdict: Verdict::Refused, limit, remaining: 0, reset, retry_after, delay_ms: 0 }
    }

    pub(super) fn unknown() -> Self {
        Self { verdict: Verdict::Unknown, ..Self::refused(0, 0, 0) }
    }

    /// The request would have to wait, and there is no room to wait in.
    pub(super) fn crowded(self) -> Self {
        Self::refused(self.limit, self.reset, self.delay_ms.div_ceil(1000).max(1))
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.verdict == Verdict::Admitted
    }
}

/// Milliseconds as a client is told them.
pub(super) fn seconds(milliseconds: u64) -> u64 {
    milliseconds.div_ceil(1000).max(1)
}

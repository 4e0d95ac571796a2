//! The bucket: what was taken flows back at the rate of the limit. Pure: the time is an argument.
//!
//! Token bucket, GCRA and leaky bucket are this one: a level that sinks steadily and that each request raises. The token
//! bucket refuses what would raise it above its burst; GCRA is the same with a small burst; the leaky bucket lets
//! requests wait until the level has sunk to nothing below them, as long as that takes no longer than they may wait.
//!
//! The level is in requests times the window, and sinks by the limit each millisecond: nothing is ever rounded.

use super::reading::{Reading, seconds};
use super::rule::{Cost, Rule};

/// The level of one caller in one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    level: u64,
    at_ms: u64,
    empty_ms: u64,
}

impl Bucket {
    pub(super) fn fresh(now_ms: u64) -> Self {
        Self { level: 0, at_ms: now_ms, empty_ms: now_ms }
    }

    /// May this request pass at once, by the token bucket's rule? Takes nothing.
    pub(super) fn read(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        self.sink(rule, now_ms);
        let brim = rule.burst.saturating_mul(rule.window_ms);
        let needed = self.level.saturating_add(cost.needed.saturating_mul(rule.window_ms));
        if needed > brim {
            let wait = rule.time_of(needed - brim);
            return Reading::refused(rule.burst, self.empty(rule, now_ms, 0), seconds(wait));
        }
        let after = self.level.saturating_add(cost.charged.saturating_mul(rule.window_ms));
        let remaining = brim.saturating_sub(after) / rule.window_ms;
        Reading::admitted(rule.burst, remaining, self.empty(rule, now_ms, cost.charged))
    }

    /// May this request pass now or after a wait that is not too long, by the leaky bucket's rule? Takes nothing.
    pub(super) fn queue(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        self.sink(rule, now_ms);
        let brim = rule.max_delay_ms.saturating_mul(rule.limit);
        let limit = (brim / rule.window_ms).saturating_add(1);
        if self.level > brim {
            let wait = rule.time_of(self.level - brim);
            return Reading::refused(limit, self.empty(rule, now_ms, 0), seconds(wait));
        }
        let after = self.level.saturating_add(cost.charged.saturating_mul(rule.window_ms));
        let remaining = brim.checked_sub(after).map_or(0, |room| room / rule.window_ms + 1);
        let reading = Reading::admitted(limit, remaining, self.empty(rule, now_ms, cost.charged));
        Reading { delay_ms: rule.time_of(self.level), ..reading }
    }

    pub(super) fn charge(&mut self, rule: &Rule, cost: u64) {
        self.level = self.level.saturating_add(cost.saturating_mul(rule.window_ms));
        self.empty_ms = self.at_ms.saturating_add(rule.time_of(self.level));
    }

    pub(super) fn give_back(&mut self, rule: &Rule, cost: u64) {
        self.level = self.level.saturating_sub(cost.saturating_mul(rule.window_ms));
        self.empty_ms = self.at_ms.saturating_add(rule.time_of(self.level));
    }

    /// Requests that have not flowed back yet, rounded up.
    pub(super) fn used_at(&self, window_ms: u64, now_ms: u64) -> u64 {
        let (left, whole) =
            (self.empty_ms.saturating_sub(now_ms), self.empty_ms.saturating_sub(self.at_ms).max(1));
        let level = u128::from(self.level) * u128::from(left.min(whole)) / u128::from(whole);
        u64::try_from(level.div_ceil(u128::from(window_ms))).unwrap_or(u64::MAX)
    }

    pub(super) fn expires_at_ms(&self) -> u64 {
        self.empty_ms
    }

    fn sink(&mut self, rule: &Rule, now_ms: u64) {
        if now_ms < self.at_ms {
            // A little back, and time simply stands still; far back, and it goes on from there.
            if self.at_ms - now_ms > rule.window_ms {
                self.at_ms = now_ms;
            }
            return;
        }
        self.level = self.level.saturating_sub((now_ms - self.at_ms).saturating_mul(rule.limit));
        self.at_ms = now_ms;
    }

    /// The epoch second, rounded up, at which the level will be nothing.
    fn empty(&self, rule: &Rule, now_ms: u64, cost: u64) -> u64 {
        let level = self.level.saturating_add(cost.saturating_mul(rule.window_ms));
        now_ms.saturating_add(rule.time_of(level)).div_ceil(1000)
    }
}

impl Rule {
    /// Milliseconds in which the level sinks by so much, rounded up.
    fn time_of(&self, level: u64) -> u64 {
        level.div_ceil(self.limit.max(1))
    }
}

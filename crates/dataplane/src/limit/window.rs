//! The sliding-window counter of requirement RL-5 in whole numbers. Pure: the time is an argument.
//!
//! Used = previous count x (1 - elapsed / window) + current count. A request is refused when used >= limit. Both sides
//! are multiplied by the window, so nothing is ever rounded. A request that costs more than 1 needs as much more room.

use super::reading::{Reading, seconds};
use super::rule::{Cost, Rule};

/// The counts of one caller in one tier. Windows begin at multiples of their length since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) index: u64,
    pub(super) previous: u64,
    pub(super) current: u64,
}

impl Window {
    pub(super) fn fresh(rule: &Rule, now_ms: u64) -> Self {
        Self { index: now_ms / rule.window_ms, previous: 0, current: 0 }
    }

    /// May this request pass? Counts nothing.
    pub(super) fn read(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        let elapsed = self.roll(rule.window_ms, now_ms);
        let used = self.used(rule.window_ms, elapsed);
        let width = u128::from(rule.window_ms);
        let free = (u128::from(rule.limit) * width).saturating_sub(used);
        let reset = (self.index.saturating_add(1)).saturating_mul(rule.window_ms).div_ceil(1000);
        let more = cost.needed.saturating_sub(1);
        if free <= u128::from(more) * width {
            let retry_after = seconds(self.wait_ms(rule, elapsed, more));
            return Reading::refused(rule.limit, reset, retry_after);
        }
        let remaining = divide(free, rule.window_ms).saturating_sub(cost.charged);
        Reading::admitted(rule.limit, remaining, reset)
    }

    pub(super) fn charge(&mut self, cost: u64) {
        self.current = self.current.saturating_add(cost);
    }

    /// Undoes a charge that was made in the window of this number.
    pub(super) fn give_back(&mut self, index: u64, cost: u64) {
        if index == self.index {
            self.current = self.current.saturating_sub(cost);
        } else if index + 1 == self.index {
            self.previous = self.previous.saturating_sub(cost);
        }
    }

    /// Used at this moment, rounded down; for listings, which must not change anything.
    pub(super) fn used_at(&self, window_ms: u64, now_ms: u64) -> u64 {
        let mut copy = *self;
        let elapsed = copy.roll(window_ms, now_ms);
        divide(copy.used(window_ms, elapsed), window_ms)
    }

    /// From here on the counts have no weight.
    pub(super) fn expires_at_ms(&self, window_ms: u64) -> u64 {
        self.index.saturating_add(2).saturating_mul(window_ms)
    }

    /// Moves to the window of `now` and gives the milliseconds since it began.
    fn roll(&mut self, window_ms: u64, now_ms: u64) -> u64 {
        let (index, elapsed) = (now_ms / window_ms, now_ms % window_ms);
        if index == self.index {
            return elapsed;
        }
        if self.index == index + 1 {
            // The clock went back a little, or another worker's is ahead: stay at the beginning of the newer window.
            return 0;
        }
        // A clock that went back further would lock callers out until it has caught up, so they start afresh.
        let previous = if index == self.index + 1 { self.current } else { 0 };
        *self = Self { index, previous, current: 0 };
        elapsed
    }

    fn used(&self, window_ms: u64, elapsed: u64) -> u128 {
        u128::from(self.previous) * u128::from(window_ms - elapsed)
            + u128::from(self.current) * u128::from(window_ms)
    }

    /// Milliseconds until the formula admits a request that needs `more` than one, if none comes before (O15).
    pub(super) fn wait_ms(&self, rule: &Rule, elapsed: u64, more: u64) -> u64 {
        let (limit, window_ms) = (rule.limit.saturating_sub(more), rule.window_ms);
        let rest = window_ms - elapsed;
        let Some(room) = limit.checked_sub(self.current).filter(|room| *room > 0) else {
            // Full without the previous window: wait until this one has become it and has faded enough.
            let excess = u128::from(self.current - limit.min(self.current)) * u128::from(window_ms);
            let faded = excess / u128::from(self.current.max(1)) + 1;
            return rest.saturating_add(u64::try_from(faded).unwrap_or(u64::MAX).min(window_ms));
        };
        // The previous window weighs little enough when less than `room * window / previous` of it is left.
        let share = (u128::from(room) * u128::from(window_ms)).div_ceil(u128::from(self.previous.max(1)));
        let kept = u64::try_from(share.saturating_sub(1)).unwrap_or(u64::MAX);
        rest.saturating_sub(kept)
    }
}

/// Nearly always both fit 64 bits, where a division costs a tenth.
fn divide(dividend: u128, divisor: u64) -> u64 {
    match u64::try_from(dividend) {
        Ok(dividend) => dividend / divisor,
        Err(_) => u64::try_from(dividend / u128::from(divisor)).unwrap_or(u64::MAX),
    }
}

//! Fixed windows: what is counted in one period is forgotten at its end. Pure: the time is an argument.
//!
//! A period is a multiple of the window since the epoch, or a day or month of a calendar.

use super::reading::{Reading, seconds};
use super::rule::{Cost, Period, Rule};

/// The count of one caller in one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) period: Period,
    pub(super) count: u64,
}

/// A count that is to survive the process: also what nobody has stored yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) fixed: Fixed,
    pub(super) unsaved: u64,
}

impl Rule {
    /// The period of this moment.
    pub(super) fn period_at(&self, now_ms: u64) -> Period {
        self.period.unwrap_or_else(|| {
            let index = now_ms / self.window_ms;
            Period { index, end_ms: index.saturating_add(1).saturating_mul(self.window_ms) }
        })
    }
}

impl Fixed {
    pub(super) fn fresh(rule: &Rule, now_ms: u64) -> Self {
        Self { period: rule.period_at(now_ms), count: 0 }
    }

    /// May this request pass? Counts nothing.
    pub(super) fn read(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        self.roll(rule.period_at(now_ms));
        let reset = self.period.end_ms.div_ceil(1000);
        if self.count.saturating_add(cost.needed) > rule.limit {
            let wait = self.period.end_ms.saturating_sub(now_ms);
            return Reading::refused(rule.limit, reset, seconds(wait));
        }
        let remaining = rule.limit.saturating_sub(self.count.saturating_add(cost.charged));
        Reading::admitted(rule.limit, remaining, reset)
    }

    pub(super) fn charge(&mut self, cost: u64) {
        self.count = self.count.saturating_add(cost);
    }

    pub(super) fn give_back(&mut self, rule: &Rule, charged_at_ms: u64, cost: u64) {
        if rule.period_at(charged_at_ms).index == self.period.index {
            self.count = self.count.saturating_sub(cost);
        }
    }

    pub(super) fn used_at(&self, now_ms: u64) -> u64 {
        if now_ms < self.period.end_ms { self.count } else { 0 }
    }

    pub(super) fn expires_at_ms(&self) -> u64 {
        self.period.end_ms
    }

    /// Gives whether a new period has begun.
    fn roll(&mut self, period: Period) -> bool {
        // One back is a clock that was set back a little, or another worker's that is ahead; more is a clock that was
        // far ahead, and waiting for it again would lock callers out.
        if period.index == self.period.index || period.index + 1 == self.period.index {
            return false;
        }
        *self = Self { period, count: 0 };
        true
    }
}

impl Quota {
    pub(super) fn fresh(rule: &Rule, now_ms: u64) -> Self {
        Self { fixed: Fixed::fresh(rule, now_ms), unsaved: 0 }
    }

    pub(super) fn read(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        if self.fixed.roll(rule.period_at(now_ms)) {
            self.unsaved = 0;
        }
        self.fixed.read(rule, now_ms, cost)
    }

    pub(super) fn charge(&mut self, cost: u64) {
        self.fixed.charge(cost);
        self.unsaved = self.unsaved.saturating_add(cost);
    }

    pub(super) fn give_back(&mut self, rule: &Rule, charged_at_ms: u64, cost: u64) {
        self.fixed.give_back(rule, charged_at_ms, cost);
        self.unsaved = self.unsaved.saturating_sub(cost);
    }
}

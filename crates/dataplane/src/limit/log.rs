//! The sliding log: every admitted request of the last window, exactly. Pure: the time is an argument.

use std::collections::VecDeque;

use super::reading::{Reading, seconds};
use super::rule::{Cost, Rule};

/// Marks that take about as much memory as a counter of another kind.
const MARKS_OF_A_SLOT: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    at_ms: u64,
    cost: u64,
}

/// What was admitted and when. Requests of one millisecond share a mark, so there are never more marks than the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    marks: VecDeque<Mark>,
    sum: u64,
}

impl Log {
    /// May this request pass? Counts nothing.
    pub(super) fn read(&mut self, rule: &Rule, now_ms: u64, cost: Cost) -> Reading {
        self.expire(rule.window_ms, now_ms);
        let after = self.sum.saturating_add(cost.needed);
        if after > rule.limit {
            let frees = self.frees(after - rule.limit).saturating_add(rule.window_ms);
            let wait = frees.saturating_sub(now_ms);
            return Reading::refused(rule.limit, frees.div_ceil(1000), seconds(wait));
        }
        let remaining = rule.limit.saturating_sub(self.sum.saturating_add(cost.charged));
        let reset = now_ms.saturating_add(rule.window_ms).div_ceil(1000);
        Reading::admitted(rule.limit, remaining, reset)
    }

    pub(super) fn charge(&mut self, now_ms: u64, cost: u64) {
        if cost == 0 {
            return;
        }
        self.sum = self.sum.saturating_add(cost);
        match self.marks.back_mut() {
            // A clock that went back a little must not disturb the order.
            Some(last) if last.at_ms >= now_ms => last.cost = last.cost.saturating_add(cost),
            _ => self.marks.push_back(Mark { at_ms: now_ms, cost }),
        }
    }

    pub(super) fn give_back(&mut self, charged_at_ms: u64, cost: u64) {
        let charged =
            self.marks.iter_mut().rev().find(|mark| mark.at_ms <= charged_at_ms && mark.cost >= cost);
        if let Some(mark) = charged {
            mark.cost -= cost;
            self.sum = self.sum.saturating_sub(cost);
        }
    }

    pub(super) fn used_at(&self, window_ms: u64, now_ms: u64) -> u64 {
        let counts = |mark: &&Mark| now_ms < mark.at_ms.saturating_add(window_ms);
        self.marks.iter().filter(counts).map(|mark| mark.cost).sum()
    }

    pub(super) fn expires_at_ms(&self, window_ms: u64) -> u64 {
        self.marks.back().map_or(0, |last| last.at_ms.saturating_add(window_ms))
    }

    /// How many counters of other kinds would take the memory that this takes beyond one.
    pub(super) fn slots(&self) -> usize {
        self.marks.capacity().saturating_sub(MARKS_OF_A_SLOT).div_ceil(MARKS_OF_A_SLOT)
    }

    fn expire(&mut self, window_ms: u64, now_ms: u64) {
        if self.marks.back().is_some_and(|last| last.at_ms > now_ms.saturating_add(window_ms)) {
            // The clock went back further than a window: nobody is locked out until it has caught up.
            self.marks.clear();
            self.sum = 0;
        }
        while let Some(first) = self.marks.front()
            && now_ms >= first.at_ms.saturating_add(window_ms)
        {
            self.sum = self.sum.saturating_sub(first.cost);
            self.marks.pop_front();
        }
    }

    /// The time of the mark with whose end so much has become free.
    fn frees(&self, excess: u64) -> u64 {
        let mut freed: u64 = 0;
        for mark in &self.marks {
            freed = freed.saturating_add(mark.cost);
            if freed >= excess {
                return mark.at_ms;
            }
        }
        self.marks.back().map_or(0, |last| last.at_ms)
    }
}

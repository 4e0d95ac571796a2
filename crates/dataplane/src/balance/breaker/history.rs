//! What a breaker was and why: its states, its reasons, and the changes that it remembers.

use std::collections::VecDeque;
use std::time::Instant;

use super::window::Tally;
use crate::refusal::Interruption;

/// Changes that are listed; older ones are only counted.
const RECENT: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

impl BreakerState {
    pub fn text(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerReason {
    FailureRatio,
    ConsecutiveFailures,
    SlowRatio,
    LoadRatio,
    Waited,
    ProbesSucceeded,
    ProbeFailed,
    ProbesExhausted,
    /// By a person: held open, held closed, or given back to the rules.
    OpenedByHand,
    ClosedByHand,
    Reset,
    /// Another node said so.
    Shared,
}

impl BreakerReason {
    pub fn text(self) -> &'static str {
        match self {
            Self::FailureRatio => "failure_ratio",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::SlowRatio => "slow_ratio",
            Self::LoadRatio => "load_ratio",
            Self::Waited => "waited",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesExhausted => "probes_exhausted",
            Self::OpenedByHand => "opened_by_hand",
            Self::ClosedByHand => "closed_by_hand",
            Self::Reset => "reset",
            Self::Shared => "shared",
        }
    }
}

/// One change of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerTransition {
    pub at: Instant,
    pub from: BreakerState,
    pub to: BreakerState,
    pub reason: BreakerReason,
    /// What the rules saw at that moment.
    pub tally: Tally,
}

impl BreakerTransition {
    /// For records.
    pub fn interruption(&self) -> Interruption {
        let Tally { requests, failures, slow, loaded, .. } = self.tally;
        Interruption { rule: self.reason.text(), requests, failures, slow, loaded }
    }
}

/// How often it changed in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerCount {
    pub from: BreakerState,
    pub to: BreakerState,
    pub reason: BreakerReason,
    pub count: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    recent: VecDeque<BreakerTransition>,
    /// As many at most as there are ways to change.
    counts: Vec<BreakerCount>,
}

impl History {
    pub(super) fn add(&mut self, change: BreakerTransition) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(change);
        let BreakerTransition { from, to, reason, .. } = change;
        let same = |known: &&mut BreakerCount| (known.from, known.to, known.reason) == (from, to, reason);
        match self.counts.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => self.counts.push(BreakerCount { from, to, reason, count: 1 }),
        }
    }

    /// Oldest first.
    pub(super) fn recent(&self) -> Vec<BreakerTransition> {
        self.recent.iter().copied().collect()
    }

    pub(super) fn counts(&self) -> Vec<BreakerCount> {
        self.counts.clone()
    }
}

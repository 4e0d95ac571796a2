//! Tiers that several nodes count together: what is asked of the store that they share, and what its answer means.
//!
//! Nothing here asks. A request that needs the store leaves its questions in its permit; the live path asks, and hands the
//! answer back. `explain` has no store and answers by counters of its own, as a node does that is alone.

mod asking;
mod lease;
mod line;

pub use asking::{Answer, Answered};
pub(super) use asking::{Asking, Given, Wanted, WantedOfAll};
pub(super) use lease::Lease;
pub use line::{Line, Lines, Mode, Told, ToldOfAll};

use super::rule::{Algorithm, Rule};
use crate::snapshot::document::{CountsDocument, ShareDocument, TierDocument};

/// The script that decides in the store, with `Line`s as its arguments and `Told`s as its answer.
pub const SCRIPT: &str = include_str!("charge.lua");

/// Products of a limit and its window beyond this are not exact in the store.
const MOST: u64 = 1 << 50;

/// Who counts a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// This node alone.
    None,
    /// The store, for every request.
    Exact,
    /// The store, for blocks of so many requests that a node takes ahead of need.
    Leased { block: u64 },
}

impl Share {
    pub(super) fn compile(document: &TierDocument, rule: &Rule) -> Result<Self, String> {
        let share = match document.share {
            ShareDocument::None => return Ok(Self::None),
            ShareDocument::Exact => Self::Exact,
            ShareDocument::Leased { block } => Self::Leased { block: block.max(1) },
        };
        if matches!(rule.algorithm, Algorithm::SlidingLog | Algorithm::Concurrency) {
            return Err("its algorithm counts on one node only".to_owned());
        }
        let fits = |one: u64, other: u64| one.checked_mul(other).is_some_and(|product| product <= MOST);
        if !fits(rule.limit.max(rule.burst), rule.window_ms) || !fits(rule.max_delay_ms, rule.limit) {
            return Err("its limit is too large for its window to be counted by several nodes".to_owned());
        }
        let is_leased = matches!(share, Self::Leased { .. });
        if is_leased && (rule.algorithm == Algorithm::Leaky || document.counts != CountsDocument::Requests) {
            return Err("it takes no blocks ahead: what it counts is only known one by one".to_owned());
        }
        Ok(share)
    }

    /// The rule by which this node spends what it has taken ahead.
    pub(super) fn lease(self) -> Option<Rule> {
        let Self::Leased { block } = self else { return None };
        let (limit, window_ms) = (block, 1_000);
        Some(Rule { algorithm: Algorithm::Lease, limit, window_ms, burst: 0, max_delay_ms: 0, period: None })
    }
}

impl Rule {
    /// What one of several nodes may let pass when each counts for itself. Never nothing.
    pub(super) fn shared_by(mut self, nodes: u32) -> Self {
        let part = |number: u64| (number / u64::from(nodes.max(1))).max(number.min(1));
        (self.limit, self.burst) = (part(self.limit), part(self.burst));
        self
    }
}

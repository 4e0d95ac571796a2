//! When a breaker opens, for how long, and what closes it: the settings of a service, compiled.

use std::time::{Duration, Instant};

use super::history::BreakerReason;
use super::window::Tally;
use crate::snapshot::document::{BreakerDocument, BreakerScope, BreakerWindow, LoadDocument, OnProbeFailure};

/// More calls in a window are refused: each breaker keeps as many.
const MAX_CALLS: u32 = 100_000;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::balance) struct Rules {
    document: BreakerDocument,
}

impl Rules {
    /// Refuses what cannot work, with the reason.
    pub(in crate::balance) fn compile(document: &BreakerDocument) -> Result<Self, String> {
        let load_ratio = document.load.as_ref().map(|load| load.ratio);
        let ratios = [
            ("failure_ratio", document.failure_ratio),
            ("slow_ratio", document.slow_ratio),
            ("load_ratio", load_ratio),
        ];
        for (name, ratio) in ratios {
            if ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
                return Err(format!(
                    "the breaker's {name} {} is not within 0 to 1",
                    ratio.unwrap_or_default()
                ));
            }
        }
        match document.window {
            BreakerWindow::Milliseconds(10..) | BreakerWindow::Calls(1..=MAX_CALLS) => {}
            BreakerWindow::Milliseconds(_) | BreakerWindow::Calls(_) => {
                return Err(format!(
                    "a breaker needs a window of 10 ms or more, or of 1 to {MAX_CALLS} calls"
                ));
            }
        }
        let counts = [document.probes, document.concurrent_probes, document.probe_limit];
        if counts.contains(&0) || document.open_for_ms == 0 || document.probe_timeout_ms == 0 {
            return Err("a breaker needs open_for, probe_timeout and numbers of probes above 0".to_owned());
        }
        if !(1.0..=100.0).contains(&document.open_growth) {
            return Err(format!("the breaker's open_growth {} is not within 1 to 100", document.open_growth));
        }
        Ok(Self { document: document.clone() })
    }

    /// Does each instance have a breaker of its own, and the service none?
    pub(in crate::balance) fn is_per_instance(&self) -> bool {
        self.document.scope == BreakerScope::Instance
    }

    pub(super) fn window(&self) -> BreakerWindow {
        self.document.window
    }

    /// What responses report of the load of their instance, where a rule asks.
    pub(in crate::balance) fn load(&self) -> Option<&LoadDocument> {
        self.document.load.as_ref()
    }

    /// The rule that these calls break, if one is. The ratio of failures has to be exceeded (BH-9), those of slow and of
    /// loaded calls to be reached (TS-35): at 0.5 and 20 calls, 11 failures or 10 slow calls are too many.
    pub(super) fn judge(&self, tally: Tally) -> Option<BreakerReason> {
        let Tally { requests, failures, slow, loaded, consecutive } = tally;
        if self.document.consecutive_failures.is_some_and(|most| consecutive >= most) {
            return Some(BreakerReason::ConsecutiveFailures);
        }
        if requests < self.document.minimum_requests {
            return None;
        }
        let share = |ratio: f64| ratio * f64::from(requests);
        if self.document.failure_ratio.is_some_and(|ratio| f64::from(failures) > share(ratio)) {
            return Some(BreakerReason::FailureRatio);
        }
        let reached = |count: u32, ratio| count > 0 && f64::from(count) >= share(ratio);
        if self.document.slow_ratio.is_some_and(|ratio| reached(slow, ratio)) {
            return Some(BreakerReason::SlowRatio);
        }
        let is_loaded = self.document.load.as_ref().is_some_and(|load| reached(loaded, load.ratio));
        is_loaded.then_some(BreakerReason::LoadRatio)
    }

    /// Is an answer with this status a failure of the service?
    pub(in crate::balance) fn is_failure(&self, status: u16) -> bool {
        self.document.failure_statuses.iter().any(|range| (range[0]..=range[1]).contains(&status))
    }

    /// Is a call that took from one moment to the other a slow one? Never where no rule asks.
    pub(in crate::balance) fn is_slow(&self, began: Instant, ended: Instant) -> bool {
        self.document.slow_ratio.is_some()
            && ended.saturating_duration_since(began) > Duration::from_millis(self.document.slow_after_ms)
    }

    /// `repeated`: how often in a row it has opened again.
    pub(super) fn open_for(&self, repeated: u32) -> Duration {
        let first = self.document.open_for_ms as f64;
        // Growth from a first time that is above the maximum would be a shrinking.
        let most = first.max(self.document.max_open_for_ms as f64);
        let exponent = i32::try_from(repeated).unwrap_or(i32::MAX);
        Duration::from_millis((first * self.document.open_growth.powi(exponent)).min(most) as u64)
    }

    /// The longest time that it stays open. An opening so soon after a closing is one more of the same trouble.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_millis(self.document.max_open_for_ms.max(self.document.open_for_ms))
    }

    pub(super) fn probes(&self) -> u32 {
        self.document.probes
    }

    pub(super) fn concurrent_probes(&self) -> usize {
        self.document.concurrent_probes as usize
    }

    pub(super) fn probe_limit(&self) -> u32 {
        self.document.probe_limit
    }

    pub(super) fn probe_timeout(&self) -> Duration {
        Duration::from_millis(self.document.probe_timeout_ms)
    }

    pub(super) fn reopens_at_once(&self) -> bool {
        self.document.on_probe_failure == OnProbeFailure::Open
    }

    /// Zero: none.
    pub(super) fn ramp(&self) -> Duration {
        Duration::from_millis(self.document.ramp_ms)
    }
}

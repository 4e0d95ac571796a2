//! How many requests to a service may be sent again: a share of all, so that retries never become a storm of their own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A retry, in the units that are counted.
const ONE: u64 = 1_000;
/// Retries that can always be saved up.
const LEAST_ROOM: u32 = 10;

/// What a route says about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetRules {
    /// Thousandths of a retry that each request brings.
    pub per_request: u32,
    /// Retries that each second brings, whatever the requests.
    pub per_second: u32,
}

impl BudgetRules {
    /// Saved up at most; there at the start is what one second brings.
    fn room(&self) -> u64 {
        u64::from(self.per_second.max(LEAST_ROOM)) * ONE
    }
}

/// What is left of it, for all workers of a node. Kept for as long as a service has its name.
#[derive(Debug)]
pub struct Budget {
    began: Instant,
    /// Thousandths of a retry above, milliseconds since `began` below.
    level: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { began: Instant::now(), level: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A request is there, which may or may not have to be sent again.
    pub fn earn(&self, rules: &BudgetRules, now: Instant) {
        let step = |level| Some(self.saved(level, rules, now, u64::from(rules.per_request)));
        // Never fails: each step has a next level.
        let _ = self.level.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }

    /// Takes one retry, where there is one.
    pub fn spend(&self, rules: &BudgetRules, now: Instant) -> bool {
        let step = |level| {
            let saved = self.saved(level, rules, now, 0);
            (saved >> 32 >= ONE).then(|| saved - (ONE << 32))
        };
        self.level.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
    }

    /// The level after what time and `more` have brought.
    fn saved(&self, level: u64, rules: &BudgetRules, now: Instant, more: u64) -> u64 {
        // One second is there at the start. The 32 bits are good for 49 days, then begin anew.
        let since = now.saturating_duration_since(self.began).as_millis() as u32;
        let at = since.wrapping_add(1_000);
        let elapsed = at.wrapping_sub(level as u32);
        // Another worker's clock was read a little later: nothing is taken back for that.
        let (elapsed, at) = if elapsed > u32::MAX / 2 { (0, level as u32) } else { (elapsed, at) };
        let brought = u64::from(elapsed) * u64::from(rules.per_second);
        let saved = ((level >> 32) + brought + more).min(rules.room().max(level >> 32));
        saved << 32 | u64::from(at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spent(budget: &Budget, rules: &BudgetRules, now: Instant) -> u32 {
        (0..1_000).filter(|_| budget.spend(rules, now)).count() as u32
    }

    #[test]
    fn a_second_brings_its_minimum_and_an_hour_no_more_than_there_is_room_for() {
        let rules = BudgetRules { per_request: 0, per_second: 20 };
        let budget = Budget::default();
        let start = budget.began;
        assert_eq!(spent(&budget, &rules, start), 20);
        assert_eq!(spent(&budget, &rules, start + Duration::from_millis(500)), 10);
        assert_eq!(spent(&budget, &rules, start + Duration::from_secs(3_600)), 20);
    }

    #[test]
    fn requests_bring_their_share_and_no_more() {
        let rules = BudgetRules { per_request: 200, per_second: 0 };
        let budget = Budget::default();
        let now = budget.began;
        (0..4).for_each(|_| budget.earn(&rules, now));
        assert_eq!(spent(&budget, &rules, now), 0);
        budget.earn(&rules, now);
        assert_eq!(spent(&budget, &rules, now), 1);
        (0..1_000).for_each(|_| budget.earn(&rules, now));
        assert_eq!(spent(&budget, &rules, now), LEAST_ROOM);
    }

    #[test]
    fn in_a_storm_retries_stay_a_share_of_the_requests() {
        let rules = BudgetRules { per_request: 200, per_second: 10 };
        let budget = Budget::default();
        let mut retries = 0;
        for millisecond in 0..10_000 {
            let now = budget.began + Duration::from_millis(millisecond);
            budget.earn(&rules, now);
            retries += u32::from(budget.spend(&rules, now));
        }
        assert!((2_080..=2_120).contains(&retries), "10,000 requests in 10 s had {retries} retries");
    }

    #[test]
    fn a_clock_that_was_read_earlier_brings_nothing_and_takes_nothing() {
        let rules = BudgetRules { per_request: 0, per_second: 10 };
        let budget = Budget::default();
        let later = budget.began + Duration::from_secs(1);
        assert!(budget.spend(&rules, later));
        assert_eq!(spent(&budget, &rules, budget.began), 9);
        assert_eq!(spent(&budget, &rules, later), 0);
    }
}

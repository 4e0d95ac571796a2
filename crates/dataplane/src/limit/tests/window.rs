//! The counter against a model that keeps every request and works in fractions.

use proptest::prelude::*;

use super::super::reading::Reading;
use super::super::rule::{Algorithm, Cost, Rule};
use super::super::window::Window;

fn rule(limit: u64, window_ms: u64) -> Rule {
    Rule { algorithm: Algorithm::SlidingWindow, limit, window_ms, burst: 0, max_delay_ms: 0, period: None }
}

/// The same formula, in the most literal way: all admissions are kept, fractions are compared by their products.
struct Model {
    rule: Rule,
    admitted: Vec<u64>,
}

impl Model {
    /// Used x window.
    fn used(&self, now: u64) -> u128 {
        let width = self.rule.window_ms;
        let index = now / width;
        let count =
            |wanted: u64| self.admitted.iter().filter(|time| **time / width == wanted).count() as u128;
        let before = if index == 0 { 0 } else { count(index - 1) };
        before * u128::from(width - now % width) + count(index) * u128::from(width)
    }

    fn admits(&self, now: u64) -> bool {
        self.used(now) < u128::from(self.rule.limit) * u128::from(self.rule.window_ms)
    }

    fn first_admission(&self, now: u64) -> u64 {
        (now..now + 3 * self.rule.window_ms).find(|time| self.admits(*time)).unwrap()
    }
}

proptest! {
    #[test]
    fn every_answer_is_that_of_the_model(
        limit in 1u64..12,
        window_ms in 1u64..400,
        start in 0u64..1_000,
        steps in prop::collection::vec(prop_oneof![4 => 0u64..3, 3 => 0u64..60, 1 => 0u64..1_200], 1..120),
    ) {
        let rule = rule(limit, window_ms);
        let mut model = Model { rule, admitted: Vec::new() };
        let mut window = Window { index: start / window_ms, ..Window::default() };
        let mut now = start;
        for step in steps {
            now += step;
            let used = model.used(now);
            let reading = window.take(&rule, now);
            prop_assert_eq!(reading.is_admitted(), model.admits(now));
            prop_assert_eq!(reading.reset, ((now / window_ms + 1) * window_ms).div_ceil(1000));
            if reading.is_admitted() {
                let exact = limit as f64 - used as f64 / window_ms as f64 - 1.0;
                prop_assert_eq!(reading.remaining, (exact + 1e-9).floor().max(0.0) as u64);
                prop_assert_eq!(reading.retry_after, 0);
                model.admitted.push(now);
            } else {
                let wait = (model.first_admission(now) - now).div_ceil(1000).max(1);
                prop_assert_eq!(reading.retry_after, wait);
            }
        }
    }

    #[test]
    fn the_time_to_wait_is_enough_and_a_millisecond_less_is_not(
        limit in 1u64..1_000,
        previous in 0u64..2_000,
        current in 0u64..2_000,
        elapsed in 0u64..600_000,
    ) {
        let rule = rule(limit, 600_000);
        let now = 600_000_000 + elapsed;
        let window = Window { index: now / 600_000, previous, current };
        let answer = window.clone_take(&rule, now);
        prop_assume!(!answer.is_admitted());
        let wait = window.wait_ms(&rule, elapsed, 0);
        prop_assert!(window.clone_take(&rule, now + wait).is_admitted());
        prop_assert!(!window.clone_take(&rule, now + wait - 1).is_admitted());
        prop_assert_eq!(answer.retry_after, wait.div_ceil(1000));
    }
}

impl Window {
    fn take(&mut self, rule: &Rule, now: u64) -> Reading {
        let reading = self.read(rule, now, Cost::ONE);
        if reading.is_admitted() {
            self.charge(1);
        }
        reading
    }

    fn clone_take(&self, rule: &Rule, now: u64) -> Reading {
        let mut copy = *self;
        copy.take(rule, now)
    }
}

#[test]
fn numbers_at_the_end_of_their_range_neither_overflow_nor_admit_too_much() {
    let rule = rule(u64::MAX, u64::MAX);
    let mut window = Window { index: 0, previous: u64::MAX, current: u64::MAX };
    let reading = window.take(&rule, u64::MAX - 1);
    assert!(!reading.is_admitted());
    let mut fresh = Window::default();
    assert_eq!(fresh.take(&rule, 0).remaining, u64::MAX - 1);
}

#[test]
fn a_clock_that_goes_back_a_little_keeps_the_counts() {
    let rule = rule(2, 1000);
    let mut window = Window { index: 10, ..Window::default() };
    assert!(window.take(&rule, 10_001).is_admitted());
    assert!(window.take(&rule, 9_999).is_admitted());
    assert!(!window.take(&rule, 10_002).is_admitted());
}

#[test]
fn a_clock_that_goes_back_far_locks_nobody_out() {
    let rule = rule(1, 1000);
    let mut window = Window { index: 10_000, ..Window::default() };
    assert!(window.take(&rule, 10_000_000).is_admitted());
    assert!(!window.take(&rule, 10_000_500).is_admitted());
    assert!(window.take(&rule, 5_000_000).is_admitted());
}

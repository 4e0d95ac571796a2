//! The counter against a model that keeps every request and works in fractions.

use proptest::prelude::*;

use super::window::{Allowance, Window};

/// The same formula, in the most literal way: all admissions are kept, fractions are compared by their products.
struct Model {
    allowance: Allowance,
    admitted: Vec<u64>,
}

impl Model {
    /// Used x window.
    fn used(&self, now: u64) -> u128 {
        let width = self.allowance.window_ms;
        let index = now / width;
        let count =
            |wanted: u64| self.admitted.iter().filter(|time| **time / width == wanted).count() as u128;
        let before = if index == 0 { 0 } else { count(index - 1) };
        before * u128::from(width - now % width) + count(index) * u128::from(width)
    }

    fn admits(&self, now: u64) -> bool {
        self.used(now) < u128::from(self.allowance.limit) * u128::from(self.allowance.window_ms)
    }

    fn first_admission(&self, now: u64) -> u64 {
        (now..now + 3 * self.allowance.window_ms).find(|time| self.admits(*time)).unwrap()
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
        let allowance = Allowance { limit, window_ms };
        let mut model = Model { allowance, admitted: Vec::new() };
        let mut window = Window { index: start / window_ms, ..Window::default() };
        let mut now = start;
        for step in steps {
            now += step;
            let used = model.used(now);
            let reading = window.take(allowance, now);
            prop_assert_eq!(reading.is_admitted, model.admits(now));
            prop_assert_eq!(reading.reset, ((now / window_ms + 1) * window_ms).div_ceil(1000));
            if reading.is_admitted {
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
        let allowance = Allowance { limit, window_ms: 600_000 };
        let now = 600_000_000 + elapsed;
        let window = Window { index: now / 600_000, previous, current };
        let answer = window.clone_take(allowance, now);
        prop_assume!(!answer.is_admitted);
        let wait = window.wait_ms(allowance, elapsed);
        prop_assert!(window.clone_take(allowance, now + wait).is_admitted);
        prop_assert!(!window.clone_take(allowance, now + wait - 1).is_admitted);
        prop_assert_eq!(answer.retry_after, wait.div_ceil(1000));
    }
}

impl Window {
    fn clone_take(&self, allowance: Allowance, now: u64) -> super::window::Reading {
        let mut copy = *self;
        copy.take(allowance, now)
    }
}

#[test]
fn numbers_at_the_end_of_their_range_neither_overflow_nor_admit_too_much() {
    let allowance = Allowance { limit: u64::MAX, window_ms: u64::MAX };
    let mut window = Window { index: 0, previous: u64::MAX, current: u64::MAX };
    let reading = window.take(allowance, u64::MAX - 1);
    assert!(!reading.is_admitted);
    let mut fresh = Window::default();
    assert_eq!(fresh.take(allowance, 0).remaining, u64::MAX - 1);
}

#[test]
fn a_clock_that_goes_back_a_little_keeps_the_counts() {
    let allowance = Allowance { limit: 2, window_ms: 1000 };
    let mut window = Window { index: 10, ..Window::default() };
    assert!(window.take(allowance, 10_001).is_admitted);
    assert!(window.take(allowance, 9_999).is_admitted);
    assert!(!window.take(allowance, 10_002).is_admitted);
}

#[test]
fn a_clock_that_goes_back_far_locks_nobody_out() {
    let allowance = Allowance { limit: 1, window_ms: 1000 };
    let mut window = Window { index: 10_000, ..Window::default() };
    assert!(window.take(allowance, 10_000_000).is_admitted);
    assert!(!window.take(allowance, 10_000_500).is_admitted);
    assert!(window.take(allowance, 5_000_000).is_admitted);
}

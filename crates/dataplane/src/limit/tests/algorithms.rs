//! Each algorithm against the most literal model of what it promises, over random schedules and costs.

use proptest::prelude::*;

use super::super::algorithm::State;
use super::super::rule::Period;
use super::super::rule::{Algorithm, Cost, Rule};

/// What an algorithm promises, told without any cleverness.
pub(super) trait Model {
    fn admits(&self, now: u64, needed: u64) -> bool;
    fn charge(&mut self, now: u64, cost: u64);
}

/// Every admission that there was.
#[derive(Default)]
struct Admissions(Vec<(u64, u64)>);

impl Admissions {
    fn sum(&self, counts: impl Fn(u64) -> bool) -> u64 {
        self.0.iter().filter(|(at, _)| counts(*at)).map(|(_, cost)| cost).sum()
    }
}

/// The sliding-window formula in whole numbers: both sides times the window.
struct SlidingWindow(Rule, Admissions);

impl Model for SlidingWindow {
    fn admits(&self, now: u64, needed: u64) -> bool {
        let (limit, width) = (self.0.limit, self.0.window_ms);
        let window = |index: u64| self.1.sum(|at| at / width == index);
        let before = if now < width { 0 } else { window(now / width - 1) };
        let used = before * (width - now % width) + window(now / width) * width;
        used + (needed - 1) * width < limit * width
    }

    fn charge(&mut self, now: u64, cost: u64) {
        self.1.0.push((now, cost));
    }
}

struct FixedWindow(Rule, Admissions);

impl Model for FixedWindow {
    fn admits(&self, now: u64, needed: u64) -> bool {
        self.1.sum(|at| at / self.0.window_ms == now / self.0.window_ms) + needed <= self.0.limit
    }

    fn charge(&mut self, now: u64, cost: u64) {
        self.1.0.push((now, cost));
    }
}

struct SlidingLog(Rule, Admissions);

impl Model for SlidingLog {
    fn admits(&self, now: u64, needed: u64) -> bool {
        self.1.sum(|at| now - at < self.0.window_ms) + needed <= self.0.limit
    }

    fn charge(&mut self, now: u64, cost: u64) {
        self.1.0.push((now, cost));
    }
}

/// Tokens that are added every millisecond, in parts of a token: `limit` of `window_ms` parts.
struct Tokens {
    rule: Rule,
    at: u64,
    parts: i128,
}

impl Tokens {
    fn full(rule: Rule, at: u64) -> Self {
        Self { rule, at, parts: i128::from(rule.burst * rule.window_ms) }
    }

    fn parts_at(&self, now: u64) -> i128 {
        let mut parts = self.parts;
        for _ in self.at..now {
            parts =
                (parts + i128::from(self.rule.limit)).min(i128::from(self.rule.burst * self.rule.window_ms));
        }
        parts
    }
}

impl Model for Tokens {
    fn admits(&self, now: u64, needed: u64) -> bool {
        self.parts_at(now) >= i128::from(needed * self.rule.window_ms)
    }

    fn charge(&mut self, now: u64, cost: u64) {
        self.parts = self.parts_at(now) - i128::from(cost * self.rule.window_ms);
        self.at = now;
    }
}

/// GCRA as its authors tell it: the theoretical arrival time of the next request, in parts of a millisecond (`limit` of
/// them), and how far before it a request may come.
struct Arrival {
    rule: Rule,
    theoretical: u64,
}

impl Arrival {
    fn tolerance(&self) -> u64 {
        if self.rule.algorithm == Algorithm::Leaky {
            return self.rule.max_delay_ms * self.rule.limit;
        }
        self.rule.burst * self.rule.window_ms
    }

    fn ahead(&self, now: u64) -> u64 {
        self.theoretical.saturating_sub(now * self.rule.limit)
    }
}

impl Model for Arrival {
    fn admits(&self, now: u64, needed: u64) -> bool {
        let own = if self.rule.algorithm == Algorithm::Leaky { 0 } else { needed * self.rule.window_ms };
        self.ahead(now) + own <= self.tolerance()
    }

    fn charge(&mut self, now: u64, cost: u64) {
        self.theoretical = self.theoretical.max(now * self.rule.limit) + cost * self.rule.window_ms;
    }
}

/// The model of an algorithm whose memory is of what was admitted.
pub(super) fn model(rule: Rule) -> Box<dyn Model> {
    match rule.algorithm {
        Algorithm::SlidingWindow => Box::new(SlidingWindow(rule, Admissions::default())),
        Algorithm::FixedWindow | Algorithm::Quota => Box::new(FixedWindow(rule, Admissions::default())),
        Algorithm::SlidingLog => Box::new(SlidingLog(rule, Admissions::default())),
        Algorithm::Bucket | Algorithm::Leaky => Box::new(Arrival { rule, theoretical: 0 }),
        Algorithm::Concurrency | Algorithm::Lease => unimplemented!("their memory is of other things"),
    }
}

fn rule(algorithm: Algorithm, limit: u64, window_ms: u64) -> Rule {
    Rule { algorithm, limit, window_ms, burst: 0, max_delay_ms: 0, period: None }
}

type Schedule = Vec<(u64, u64)>;

/// Times between requests, many of them in bursts, and what each costs.
fn schedules() -> impl Strategy<Value = (u64, Schedule)> {
    let pause = prop_oneof![4 => 0u64..3, 3 => 0u64..60, 1 => 0u64..1_200];
    let cost = prop_oneof![6 => Just(1u64), 1 => 0u64..4];
    (0u64..1_000, prop::collection::vec((pause, cost), 1..80))
}

/// The same answers as the model at each moment, and a time to wait that is neither too long nor too short.
fn follows(
    rule: &Rule,
    (start, steps): &(u64, Schedule),
    model: &mut dyn Model,
) -> Result<(), TestCaseError> {
    let (mut state, mut now) = (State::fresh(rule, *start), *start);
    for (pause, cost) in steps {
        now += pause;
        let cost = Cost::of(*cost);
        let reading = state.read(rule, now, cost);
        prop_assert_eq!(reading.is_admitted(), model.admits(now, cost.needed), "at {}", now);
        if reading.is_admitted() {
            prop_assert!(reading.remaining <= reading.limit);
            prop_assert_eq!(reading.retry_after, 0);
            state.charge(rule, now, cost.charged);
            model.charge(now, cost.charged);
        } else if cost.needed <= reading.limit {
            let first = (now..now + 100_000).find(|time| model.admits(*time, cost.needed)).unwrap();
            prop_assert_eq!(reading.retry_after, (first - now).div_ceil(1000).max(1), "at {}", now);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_sliding_window_counts_as_its_formula_says(
        limit in 3u64..12, window_ms in 1u64..400, schedule in schedules(),
    ) {
        let rule = rule(Algorithm::SlidingWindow, limit, window_ms);
        follows(&rule, &schedule, &mut SlidingWindow(rule, Admissions::default()))?;
    }

    #[test]
    fn the_fixed_window_counts_what_is_in_its_window(
        limit in 3u64..12, window_ms in 1u64..400, schedule in schedules(),
    ) {
        let rule = rule(Algorithm::FixedWindow, limit, window_ms);
        follows(&rule, &schedule, &mut FixedWindow(rule, Admissions::default()))?;
    }

    #[test]
    fn the_sliding_log_admits_no_more_than_the_limit_in_any_stretch_of_a_window(
        limit in 3u64..12, window_ms in 1u64..400, schedule in schedules(),
    ) {
        let rule = rule(Algorithm::SlidingLog, limit, window_ms);
        follows(&rule, &schedule, &mut SlidingLog(rule, Admissions::default()))?;
    }

    #[test]
    fn the_token_bucket_has_the_tokens_that_were_put_in(
        limit in 1u64..12, window_ms in 1u64..400, burst in 3u64..12, schedule in schedules(),
    ) {
        let rule = Rule { burst, ..rule(Algorithm::Bucket, limit, window_ms) };
        follows(&rule, &schedule, &mut Tokens::full(rule, schedule.0))?;
    }

    #[test]
    fn gcra_is_the_token_bucket_told_by_arrival_times(
        limit in 1u64..12, window_ms in 1u64..400, burst in 1u64..5, schedule in schedules(),
    ) {
        let rule = Rule { burst, ..rule(Algorithm::Bucket, limit, window_ms) };
        follows(&rule, &schedule, &mut Arrival { rule, theoretical: 0 })?;
    }

    #[test]
    fn the_leaky_bucket_lets_requests_leave_at_the_rate_of_the_limit(
        limit in 1u64..12, window_ms in 1u64..400, max_delay_ms in 0u64..300, schedule in schedules(),
    ) {
        let rule = Rule { max_delay_ms, ..rule(Algorithm::Leaky, limit, window_ms) };
        let mut model = Arrival { rule, theoretical: 0 };
        let (mut state, mut now) = (State::fresh(&rule, schedule.0), schedule.0);
        for (pause, _) in &schedule.1 {
            now += pause;
            let reading = state.read(&rule, now, Cost::ONE);
            prop_assert_eq!(reading.is_admitted(), model.admits(now, 1));
            if reading.is_admitted() {
                prop_assert_eq!(reading.delay_ms, model.ahead(now).div_ceil(limit));
                prop_assert!(reading.delay_ms <= max_delay_ms);
                state.charge(&rule, now, 1);
                model.charge(now, 1);
            } else {
                let first = (now..now + 100_000).find(|time| model.admits(*time, 1)).unwrap();
                prop_assert_eq!(reading.retry_after, (first - now).div_ceil(1000).max(1));
            }
        }
    }

    #[test]
    fn concurrency_admits_as_many_as_are_under_way_at_once(
        limit in 1u64..6, steps in prop::collection::vec(prop::option::weighted(0.6, 0usize..8), 1..80),
    ) {
        let rule = rule(Algorithm::Concurrency, limit, 1_000);
        let (mut state, mut places) = (State::fresh(&rule, 0), Vec::new());
        for ended in steps {
            if let Some(ended) = ended {
                if ended < places.len() {
                    drop(places.swap_remove(ended));
                }
                continue;
            }
            let reading = state.read(&rule, 0, Cost::ONE);
            prop_assert_eq!(reading.is_admitted(), (places.len() as u64) < limit);
            if reading.is_admitted() {
                prop_assert_eq!(reading.remaining, limit - places.len() as u64 - 1);
                places.extend(state.charge(&rule, 0, 1));
            }
            prop_assert_eq!(state.used_at(1_000, 0), places.len() as u64);
        }
    }

    #[test]
    fn what_is_charged_afterwards_counts_against_later_requests(
        limit in 1u64..20, late in 0u64..40,
        algorithm in prop::sample::select(vec![
            Algorithm::SlidingWindow, Algorithm::FixedWindow, Algorithm::SlidingLog, Algorithm::Bucket,
        ]),
    ) {
        let rule = Rule { burst: limit, ..rule(algorithm, limit, 60_000) };
        let mut state = State::fresh(&rule, 60_000);
        prop_assert!(state.read(&rule, 60_000, Cost::LATER).is_admitted());
        state.charge(&rule, 60_000, late);
        prop_assert_eq!(state.used_at(60_000, 60_000), late);
        prop_assert_eq!(state.read(&rule, 60_000, Cost::LATER).is_admitted(), late < limit);
    }
}

proptest! {
    #[test]
    fn a_quota_counts_what_is_in_its_period(
        limit in 3u64..12, lengths in prop::collection::vec(1u64..400, 1..12), schedule in schedules(),
    ) {
        // Periods of unequal lengths, as months are.
        let period = |now: u64| {
            let (mut end_ms, mut index) = (0, 0);
            while end_ms <= now {
                end_ms += lengths[index as usize % lengths.len()];
                index += 1;
            }
            Period { index, end_ms }
        };
        let rule = |now| Rule { period: Some(period(now)), ..rule(Algorithm::Quota, limit, 86_400_000) };
        let (mut state, mut now) = (State::fresh(&rule(schedule.0), schedule.0), schedule.0);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (pause, cost) in &schedule.1 {
            now += pause;
            let (rule, cost) = (rule(now), Cost::of(*cost));
            let Period { index, end_ms } = period(now);
            let used: u64 = admitted.iter().filter(|(at, _)| *at == index).map(|(_, cost)| cost).sum();
            let reading = state.read(&rule, now, cost);
            prop_assert_eq!(reading.is_admitted(), used + cost.needed <= limit, "at {}", now);
            prop_assert_eq!(reading.reset, end_ms.div_ceil(1000));
            if reading.is_admitted() {
                prop_assert_eq!(reading.remaining, limit - used - cost.charged);
                state.charge(&rule, now, cost.charged);
                admitted.push((index, cost.charged));
            } else {
                prop_assert_eq!(reading.retry_after, (end_ms - now).div_ceil(1000).max(1));
            }
        }
    }
}

#[test]
fn a_quota_forgets_at_the_end_of_its_period_and_not_before() {
    let period = |index| Some(Period { index, end_ms: (index + 1) * 1_000 });
    let first = Rule { period: period(5), ..rule(Algorithm::Quota, 2, 86_400_000) };
    let mut state = State::fresh(&first, 5_000);
    for _ in 0..2 {
        assert!(state.read(&first, 5_999, Cost::ONE).is_admitted());
        state.charge(&first, 5_999, 1);
    }
    let refused = state.read(&first, 5_999, Cost::ONE);
    assert_eq!((refused.is_admitted(), refused.reset, refused.retry_after), (false, 6, 1));
    let next = Rule { period: period(6), ..first };
    assert_eq!(state.read(&next, 6_000, Cost::ONE).remaining, 1);
}

#[test]
fn a_clock_that_goes_back_a_little_gives_nothing_away_and_one_that_goes_back_far_locks_nobody_out() {
    for algorithm in
        [Algorithm::SlidingWindow, Algorithm::FixedWindow, Algorithm::SlidingLog, Algorithm::Bucket]
    {
        let rule = Rule { burst: 2, ..rule(algorithm, 2, 1_000) };
        let mut state = State::fresh(&rule, 10_000_000);
        let mut take = |now| {
            let reading = state.read(&rule, now, Cost::ONE);
            if reading.is_admitted() {
                state.charge(&rule, now, 1);
            }
            reading.is_admitted()
        };
        let turns = [10_000_001, 9_999_999, 10_000_002, 10_000_000].map(&mut take);
        assert_eq!(turns, [true, true, false, false], "{algorithm:?}");
        // A bucket keeps its level, which flows back within a window; the others begin anew.
        assert!(take(5_000_000) || take(5_000_500), "{algorithm:?}");
    }
}

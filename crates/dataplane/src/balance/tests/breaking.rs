use super::*;
use crate::refusal::Interruption;

/// By 20 failures of as many requests.
const OPENED: Unavailable = Unavailable::BreakerOpen(Interruption {
    rule: "failure_ratio",
    requests: 20,
    failures: 20,
    slow: 0,
    loaded: 0,
});

/// A breaker opened at `now` by 20 failures.
fn opened(now: Instant) -> (Registry, Arc<Service>) {
    let registry = Registry::new();
    let service = live(one(), &registry);
    send_many(&service, 20, Outcome::Failure, now);
    assert_eq!(state(&registry, now), BreakerState::Open);
    (registry, service)
}

#[test]
fn eleven_failures_of_twenty_open_it_and_ten_do_not() {
    let now = Instant::now();
    for (failures, expected) in [(10, BreakerState::Closed), (11, BreakerState::Open)] {
        let registry = Registry::new();
        let service = live(one(), &registry);
        send_many(&service, 20 - failures, SUCCESS, now);
        send_many(&service, failures, Outcome::Failure, now);
        assert_eq!(state(&registry, now), expected, "{failures} failures");
    }
}

#[test]
fn a_success_that_completes_the_minimum_opens_it_too() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(one(), &registry);
    send_many(&service, 11, Outcome::Failure, now);
    send_many(&service, 8, SUCCESS, now);
    assert_eq!(state(&registry, now), BreakerState::Closed);
    send(&service, SUCCESS, now).unwrap();
    assert_eq!(state(&registry, now), BreakerState::Open);
}

#[test]
fn neutral_outcomes_and_dropped_targets_do_not_count() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(one(), &registry);
    send_many(&service, 50, Outcome::Neutral, now);
    for _ in 0..50 {
        drop(pick(&service, BreakerUse::Shared, now).unwrap());
    }
    assert_eq!(breaker_of(&registry, now).tally.requests, 0);
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(one(), &registry);
    send_many(&service, 19, Outcome::Failure, now);
    assert_eq!(breaker_of(&registry, now + 29 * SECOND).tally.failures, 19);
    send(&service, Outcome::Failure, now + 30 * SECOND).unwrap();
    assert_eq!(breaker_of(&registry, now + 30 * SECOND).tally.failures, 1);
    assert_eq!(breaker_of(&registry, now + 3_000 * SECOND).tally.failures, 0);
}

#[test]
fn the_window_slides_by_a_tenth_and_not_as_a_whole() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(one(), &registry);
    for second in 0..30 {
        send(&service, SUCCESS, now + second * SECOND).unwrap();
    }
    assert_eq!(breaker_of(&registry, now + 29 * SECOND).tally.requests, 30);
    assert_eq!(breaker_of(&registry, now + 30 * SECOND).tally.requests, 27);
    assert_eq!(breaker_of(&registry, now + 33 * SECOND).tally.requests, 24);
}

#[test]
fn an_open_breaker_tells_the_time_that_is_left() {
    let now = Instant::now();
    let (_registry, service) = opened(now);
    let refusal = send(&service, SUCCESS, now + 10 * SECOND).unwrap_err();
    assert_eq!(cause(refusal), (OPENED, 20 * SECOND));
    let last = now + 30 * SECOND - Duration::from_millis(1);
    assert!(send(&service, SUCCESS, last).is_err());
}

#[test]
fn a_half_open_breaker_lets_one_probe_pass_at_a_time() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    let later = now + 30 * SECOND;
    let probe = pick(&service, BreakerUse::Shared, later).unwrap();
    assert_eq!(state(&registry, later), BreakerState::HalfOpen);
    assert_eq!(cause(pick(&service, BreakerUse::Shared, later).unwrap_err()).0, OPENED);
    probe.finish(SUCCESS, later);
    assert!(pick(&service, BreakerUse::Shared, later).is_ok());
}

#[test]
fn two_successes_in_a_row_close_it_and_old_failures_are_forgotten() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    let later = now + 30 * SECOND;
    send(&service, SUCCESS, later).unwrap();
    assert_eq!(state(&registry, later), BreakerState::HalfOpen);
    send(&service, SUCCESS, later).unwrap();
    assert_eq!(state(&registry, later), BreakerState::Closed);
    send_many(&service, 19, Outcome::Failure, later);
    assert_eq!(state(&registry, later), BreakerState::Closed);
}

#[test]
fn a_failed_probe_opens_it_for_the_whole_time_again() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    let later = now + 30 * SECOND;
    send(&service, SUCCESS, later).unwrap();
    send(&service, Outcome::Failure, later).unwrap();
    assert_eq!(breaker_of(&registry, later).remaining, 30 * SECOND);
    assert_eq!(breaker_of(&registry, later).recent.last().unwrap().reason, BreakerReason::ProbeFailed);
    // The success before the failure counts no more.
    send(&service, SUCCESS, later + 30 * SECOND).unwrap();
    assert_eq!(state(&registry, later + 30 * SECOND), BreakerState::HalfOpen);
}

#[test]
fn a_probe_that_is_dropped_or_neutral_frees_its_place() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    let later = now + 30 * SECOND;
    drop(pick(&service, BreakerUse::Shared, later).unwrap());
    send(&service, Outcome::Neutral, later).unwrap();
    assert_eq!(state(&registry, later), BreakerState::HalfOpen);
    assert!(pick(&service, BreakerUse::Shared, later).is_ok());
}

#[test]
fn outcomes_of_requests_sent_before_it_opened_neither_close_nor_reopen_it() {
    let now = Instant::now();
    let registry = Registry::new();
    let service = live(one(), &registry);
    let slow: Vec<Target> = (0..4).map(|_| pick(&service, BreakerUse::Shared, now).unwrap()).collect();
    send_many(&service, 20, Outcome::Failure, now);
    let later = now + 30 * SECOND;
    let probe = pick(&service, BreakerUse::Shared, later).unwrap();
    for (target, outcome) in slow.into_iter().zip([SUCCESS, Outcome::Failure, Outcome::Neutral, SUCCESS]) {
        target.finish(outcome, later);
    }
    assert_eq!(state(&registry, later), BreakerState::HalfOpen);
    assert!(pick(&service, BreakerUse::Shared, later).is_err(), "the place of the probe is still taken");
    probe.finish(SUCCESS, later);
}

#[test]
fn a_probe_of_an_earlier_stretch_does_not_free_the_place_of_a_later_one() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    let stale = pick(&service, BreakerUse::Shared, now + 30 * SECOND).unwrap();
    assert_eq!(reset(&registry, None, now), 1);
    send_many(&service, 20, Outcome::Failure, now + 31 * SECOND);
    let later = now + 61 * SECOND;
    let _probe = pick(&service, BreakerUse::Shared, later).unwrap();
    drop(stale);
    assert!(pick(&service, BreakerUse::Shared, later).is_err());
}

#[test]
fn a_route_without_breaker_passes_an_open_one_and_is_not_counted() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    pick(&service, BreakerUse::None, now).unwrap().finish(Outcome::Failure, now);
    assert_eq!(breaker_of(&registry, now).tally.requests, 0);
}

#[test]
fn reset_closes_by_name_or_all_and_counts_what_was_not_closed() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    assert_eq!(reset(&registry, Some("nobody"), now), 0);
    assert_eq!(reset(&registry, Some("users"), now), 1);
    assert_eq!(reset(&registry, None, now), 0);
    assert!(send(&service, SUCCESS, now).is_ok());
}

#[test]
fn every_transition_is_counted_and_the_last_is_kept_with_its_reason() {
    let now = Instant::now();
    let (registry, service) = opened(now);
    send_many(&service, 2, SUCCESS, now + 30 * SECOND);
    let summary = breaker_of(&registry, now + 30 * SECOND);
    let last = BreakerTransition {
        at: now + 30 * SECOND,
        from: BreakerState::HalfOpen,
        to: BreakerState::Closed,
        reason: BreakerReason::ProbesSucceeded,
        tally: Tally::default(),
    };
    assert_eq!((summary.transitions, summary.recent.last().copied()), (3, Some(last)));
}

#[test]
fn workers_that_race_for_the_probe_get_one_place() {
    let now = Instant::now();
    let (_registry, service) = opened(now);
    let admitted: usize = std::thread::scope(|scope| {
        let race = || pick(&service, BreakerUse::Shared, now + 30 * SECOND).map(std::mem::forget).is_ok();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(admitted, 1);
}

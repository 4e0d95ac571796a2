//! Half open, and the ramp after it.

use super::*;

const OPEN: Duration = Duration::from_secs(30);

/// A breaker that is due for probes at the given moment.
fn due(change: impl FnOnce(&mut BreakerDocument)) -> (Registry, Arc<Service>, Instant) {
    let (registry, now) = (Registry::new(), Instant::now());
    let mut settings = BreakerDocument { minimum_requests: 1, ..breaker() };
    change(&mut settings);
    let service = live(ServiceDocument { circuit_breaker: Some(settings), ..one() }, &registry);
    send(&service, Outcome::Failure, now).unwrap();
    (registry, service, now + OPEN)
}

#[test]
fn as_many_probes_at_a_time_as_configured() {
    let (_registry, service, now) = due(|settings| settings.concurrent_probes = 3);
    let probes: Vec<Target> = (0..3).map(|_| pick(&service, BreakerUse::Shared, now).unwrap()).collect();
    assert!(pick(&service, BreakerUse::Shared, now).is_err());
    drop(probes);
    assert!(pick(&service, BreakerUse::Shared, now).is_ok());
}

#[test]
fn with_restart_a_failed_probe_only_begins_the_count_again() {
    let (registry, service, now) = due(|settings| {
        (settings.on_probe_failure, settings.probes) = (OnProbeFailure::Restart, 5);
    });
    send_many(&service, 4, SUCCESS, now);
    send(&service, Outcome::Failure, now).unwrap();
    send_many(&service, 4, SUCCESS, now);
    assert_eq!(state(&registry, now), BreakerState::HalfOpen);
    send(&service, SUCCESS, now).unwrap();
    assert_eq!(state(&registry, now), BreakerState::Closed);
}

/// TS-36: it neither closes nor flaps; after the tenth probe it gives up and waits again.
#[test]
fn a_service_that_fails_every_second_probe_does_not_make_it_flap() {
    let (registry, service, now) = due(|settings| {
        (settings.on_probe_failure, settings.probes) = (OnProbeFailure::Restart, 5);
    });
    for _ in 0..5 {
        send(&service, SUCCESS, now).unwrap();
        assert_eq!(state(&registry, now), BreakerState::HalfOpen);
        send(&service, Outcome::Failure, now).unwrap();
    }
    let summary = breaker_of(&registry, now);
    assert_eq!(summary.recent.last().unwrap().reason, BreakerReason::ProbesExhausted);
    assert!(summary.counts.iter().all(|one| one.to != BreakerState::Closed));
}

#[test]
fn a_probe_whose_answer_never_ends_is_judged_by_its_head_after_the_bound() {
    let (registry, service, now) = due(|settings| settings.probe_timeout_ms = 10_000);
    let endless = pick(&service, BreakerUse::Shared, now).unwrap();
    endless.answered(200, now + SECOND);
    assert!(pick(&service, BreakerUse::Shared, now + 9 * SECOND).is_err());
    let second = pick(&service, BreakerUse::Shared, now + 10 * SECOND).unwrap();
    second.finish(SUCCESS, now + 10 * SECOND);
    assert_eq!(state(&registry, now + 10 * SECOND), BreakerState::Closed, "the endless one counted");
    endless.finish(Outcome::Failure, now + 11 * SECOND);
    assert_eq!(state(&registry, now + 11 * SECOND), BreakerState::Closed);
}

#[test]
fn a_bad_head_judges_an_endless_probe_too() {
    let (registry, service, now) = due(|settings| settings.probe_timeout_ms = 10_000);
    let endless = pick(&service, BreakerUse::Shared, now).unwrap();
    endless.answered(503, now + SECOND);
    assert_eq!(state(&registry, now + 10 * SECOND), BreakerState::Open);
    drop(endless);
}

#[test]
fn a_probe_without_an_answer_gives_its_place_to_the_next_and_still_counts() {
    let (registry, service, now) = due(|settings| settings.probe_timeout_ms = 10_000);
    let hangs = pick(&service, BreakerUse::Shared, now).unwrap();
    let next = pick(&service, BreakerUse::Shared, now + 10 * SECOND).unwrap();
    assert!(pick(&service, BreakerUse::Shared, now + 10 * SECOND).is_err(), "the next one holds the place");
    hangs.finish(Outcome::Failure, now + 15 * SECOND);
    assert_eq!(state(&registry, now + 15 * SECOND), BreakerState::Open);
    next.finish(SUCCESS, now + 16 * SECOND);
    assert_eq!(state(&registry, now + 16 * SECOND), BreakerState::Open);
}

#[test]
fn a_slow_probe_is_a_failed_one() {
    let (registry, service, now) = due(|settings| settings.slow_ratio = Some(0.5));
    let probe = pick(&service, BreakerUse::Shared, now).unwrap();
    probe.finish(SUCCESS, now + 6 * SECOND);
    assert_eq!(state(&registry, now + 6 * SECOND), BreakerState::Open);
}

/// How many of these requests pass in one second.
fn passed(service: &Arc<Service>, requests: usize, now: Instant) -> usize {
    (0..requests).filter(|_| send(service, SUCCESS, now).is_ok()).count()
}

#[test]
fn after_closing_a_tenth_a_quarter_and_half_pass_and_then_all() {
    let (registry, service, now) = due(|settings| (settings.ramp_ms, settings.probes) = (120_000, 1));
    send(&service, SUCCESS, now).unwrap();
    assert_eq!(state(&registry, now), BreakerState::Closed);
    for (second, share) in [(0, 10), (39, 10), (40, 25), (80, 50), (119, 50), (120, 100)] {
        let later = now + second * SECOND;
        assert_eq!(breaker_of(&registry, later).share, share, "at {second} s");
        let admitted = passed(&service, 1_000, later);
        assert!(admitted.abs_diff(share as usize * 10) <= 1, "{admitted} at {second} s");
    }
}

#[test]
fn the_ramp_refuses_with_the_time_to_its_next_step_and_begins_with_a_request_that_passes() {
    let (_registry, service, now) = due(|settings| (settings.ramp_ms, settings.probes) = (120_000, 1));
    send(&service, SUCCESS, now).unwrap();
    send(&service, SUCCESS, now + 10 * SECOND).unwrap();
    let refusal = send(&service, SUCCESS, now + 10 * SECOND).unwrap_err();
    assert_eq!(cause(refusal), (Unavailable::BreakerRamp, 30 * SECOND));
}

#[test]
fn what_was_sent_in_the_ramp_still_counts_when_it_is_over() {
    let (registry, service, now) = due(|settings| {
        (settings.ramp_ms, settings.probes, settings.minimum_requests) = (30_000, 1, 1);
    });
    send(&service, SUCCESS, now).unwrap();
    let slow = pick(&service, BreakerUse::Shared, now + SECOND).unwrap();
    assert_eq!(breaker_of(&registry, now + 30 * SECOND).share, 100);
    slow.finish(Outcome::Failure, now + 30 * SECOND);
    assert_eq!(state(&registry, now + 30 * SECOND), BreakerState::Open);
}

/// TS-37: five minutes of outage, then clients that come back five times as many as the service can serve at first.
#[test]
fn a_service_that_must_warm_up_is_not_knocked_down_again_by_the_storm() {
    let outage = Instant::now();
    for (ramp_ms, reopened) in [(120_000, 0), (0, 1)] {
        let registry = Registry::new();
        let settings = BreakerDocument { ramp_ms, ..breaker() };
        let service = live(ServiceDocument { circuit_breaker: Some(settings), ..one() }, &registry);
        storm(&service, outage);
        let opened = |one: &&BreakerCount| one.reason == BreakerReason::FailureRatio;
        let counts = breaker_of(&registry, outage + 600 * SECOND).counts;
        let openings: u64 = counts.iter().filter(opened).map(|one| one.count).sum();
        assert_eq!(openings.min(2) - 1, reopened, "with a ramp of {ramp_ms} ms: {counts:?}");
    }
}

/// 100 requests a second. From the fifth minute on the service answers as many as its warmth allows: 20 at first, all
/// after two minutes of work.
fn storm(service: &Arc<Service>, outage: Instant) {
    let mut warm = 0;
    for second in 0..600 {
        let now = outage + second * SECOND;
        let capacity = if second < 300 { 0 } else { 20 + warm };
        let mut served = 0;
        for _ in 0..100 {
            let Ok(target) = pick(service, BreakerUse::Shared, now) else { continue };
            served += 1;
            let outcome = if served <= capacity { SUCCESS } else { Outcome::Failure };
            target.finish(outcome, now);
        }
        warm += u32::from(served > 0 && second >= 300);
    }
}

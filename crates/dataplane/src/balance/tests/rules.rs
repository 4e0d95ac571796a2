//! Which calls open a breaker, and for how long.

use super::*;
use crate::snapshot::document::LoadDocument;

fn with(change: impl FnOnce(&mut BreakerDocument)) -> (Registry, Arc<Service>) {
    let registry = Registry::new();
    let mut settings = breaker();
    change(&mut settings);
    let service = live(ServiceDocument { circuit_breaker: Some(settings), ..one() }, &registry);
    (registry, service)
}

/// One call whose answer begins after `took`.
fn call(service: &Arc<Service>, status: u16, took: Duration, now: Instant) {
    let target = pick(service, BreakerUse::Shared, now).unwrap();
    target.answered(status, now + took);
    target.finish(Outcome::Answered(status), now + took);
}

fn last(registry: &Registry, now: Instant) -> BreakerTransition {
    breaker_of(registry, now).recent.last().copied().unwrap()
}

#[test]
fn failures_in_a_row_open_it_below_the_minimum_and_a_success_between_does_not() {
    let now = Instant::now();
    let (registry, service) = with(|settings| settings.consecutive_failures = Some(5));
    send_many(&service, 4, Outcome::Failure, now);
    send(&service, SUCCESS, now).unwrap();
    send_many(&service, 4, Outcome::Failure, now);
    assert_eq!(state(&registry, now), BreakerState::Closed);
    send(&service, Outcome::Failure, now).unwrap();
    assert_eq!(last(&registry, now).reason, BreakerReason::ConsecutiveFailures);
    assert_eq!(last(&registry, now).tally.consecutive, 5);
}

#[test]
fn half_the_calls_being_slow_opens_it_and_fewer_do_not() {
    let now = Instant::now();
    for (slow, expected) in [(9, BreakerState::Closed), (10, BreakerState::Open)] {
        let (registry, service) = with(|settings| settings.slow_ratio = Some(0.5));
        for number in 0..20 {
            let took = if number < slow { 5_001 } else { 5_000 };
            call(&service, 200, Duration::from_millis(took), now);
        }
        assert_eq!(state(&registry, now), expected, "{slow} slow calls");
    }
}

/// One call whose instance reports this load.
fn loaded(service: &Arc<Service>, report: &str, now: Instant) {
    let target = pick(service, BreakerUse::Shared, now).unwrap();
    assert_eq!(target.load_header(), Some(&b"x-load"[..]));
    target.reported(report.as_bytes());
    target.answered(200, now);
    target.finish(SUCCESS, now);
}

fn by_load(settings: &mut BreakerDocument) {
    let (header, metric) = ("x-load".to_owned(), "cpu_utilization".to_owned());
    settings.load = Some(LoadDocument { ratio: 0.5, above: 0.8, header, metric });
}

#[test]
fn half_the_answers_reporting_too_much_load_opens_it_and_fewer_do_not() {
    let now = Instant::now();
    for (much, expected) in [(9, BreakerState::Closed), (10, BreakerState::Open)] {
        let (registry, service) = with(by_load);
        for number in 0..20 {
            loaded(&service, if number < much { "81%" } else { "80%" }, now);
        }
        assert_eq!(state(&registry, now), expected, "{much} reports");
    }
    let (registry, service) = with(by_load);
    (0..20).for_each(|_| loaded(&service, "0.9", now));
    let opened = last(&registry, now);
    assert_eq!((opened.reason, opened.tally.loaded), (BreakerReason::LoadRatio, 20));
    let later = now + 30 * SECOND;
    loaded(&service, "0.9", later);
    assert_eq!(
        state(&registry, later),
        BreakerState::Open,
        "a probe that is answered under load is no success"
    );
}

#[test]
fn without_a_rule_nobody_asks_for_reports_of_load() {
    let (_, service) = with(|_| {});
    let target = pick(&service, BreakerUse::Shared, Instant::now()).unwrap();
    assert_eq!(target.load_header(), None);
}

#[test]
fn what_a_client_takes_for_its_body_or_for_reading_makes_no_call_slow() {
    let now = Instant::now();
    let (registry, service) = with(|settings| {
        (settings.slow_ratio, settings.minimum_requests) = (Some(0.5), 1);
    });
    let reading = pick(&service, BreakerUse::Shared, now).unwrap();
    reading.answered(200, now);
    reading.finish(SUCCESS, now + 60 * SECOND);
    let sending = pick(&service, BreakerUse::Shared, now + 60 * SECOND).unwrap();
    sending.uploads();
    sending.answered(200, now + 120 * SECOND);
    sending.finish(SUCCESS, now + 120 * SECOND);
    assert_eq!(breaker_of(&registry, now + 120 * SECOND).tally.slow, 0);
    call(&service, 200, 6 * SECOND, now + 120 * SECOND);
    assert_eq!(breaker_of(&registry, now + 126 * SECOND).state, BreakerState::Open);
}

#[test]
fn a_window_of_calls_forgets_the_oldest_call_and_not_the_oldest_time() {
    let now = Instant::now();
    let (registry, service) = with(|settings| settings.window = BreakerWindow::Calls(20));
    send_many(&service, 10, Outcome::Failure, now);
    send_many(&service, 10, SUCCESS, now + 3_600 * SECOND);
    assert_eq!(breaker_of(&registry, now + 3_600 * SECOND).tally.failures, 10);
    send_many(&service, 5, SUCCESS, now + 3_600 * SECOND);
    let tally = breaker_of(&registry, now + 3_600 * SECOND).tally;
    assert_eq!((tally.requests, tally.failures), (20, 5));
}

#[test]
fn only_the_statuses_of_the_settings_are_failures() {
    let now = Instant::now();
    let (registry, service) = with(|settings| settings.failure_statuses = vec![[429, 429], [502, 504]]);
    for (status, failures) in [(500, 0), (429, 1), (501, 1), (502, 2), (504, 3), (404, 3)] {
        send(&service, Outcome::Answered(status), now).unwrap();
        assert_eq!(breaker_of(&registry, now).tally.failures, failures, "{status}");
    }
}

#[test]
fn each_opening_in_a_row_lasts_longer_up_to_the_maximum_until_it_was_calm() {
    let start = Instant::now();
    let (registry, service) = with(|settings| {
        (settings.open_growth, settings.max_open_for_ms, settings.probes) = (2.0, 100_000, 1);
    });
    send_many(&service, 20, Outcome::Failure, start);
    let mut now = start;
    for seconds in [30, 60, 100, 100] {
        assert_eq!(breaker_of(&registry, now).remaining, seconds * SECOND);
        now += seconds * SECOND;
        send(&service, Outcome::Failure, now).unwrap();
    }
    now += 100 * SECOND;
    send(&service, SUCCESS, now).unwrap();
    send_many(&service, 20, Outcome::Failure, now + 99 * SECOND);
    now += 99 * SECOND;
    assert_eq!(breaker_of(&registry, now).remaining, 100 * SECOND, "it had been closed too shortly");
    now += 100 * SECOND;
    send(&service, SUCCESS, now).unwrap();
    send_many(&service, 20, Outcome::Failure, now + 100 * SECOND);
    assert_eq!(breaker_of(&registry, now + 100 * SECOND).remaining, 30 * SECOND);
}

#[test]
fn a_refusal_tells_the_rule_and_the_numbers_that_opened_it() {
    let now = Instant::now();
    let (_registry, service) = with(|settings| settings.minimum_requests = 4);
    send_many(&service, 1, SUCCESS, now);
    let opened = (0..3)
        .find_map(|_| pick(&service, BreakerUse::Shared, now).unwrap().finish(Outcome::Failure, now))
        .expect("the change comes with the call that caused it");
    let Unavailable::BreakerOpen(told) = cause(send(&service, SUCCESS, now).unwrap_err()).0 else { panic!() };
    assert_eq!(told, opened.interruption());
    assert_eq!((told.rule, told.requests, told.failures, told.slow), ("failure_ratio", 4, 3, 0));
    // A probe that fails changes nothing about why it was opened.
    let later = now + 30 * SECOND;
    send(&service, Outcome::Failure, later).unwrap();
    assert_eq!(cause(send(&service, SUCCESS, later).unwrap_err()).0, Unavailable::BreakerOpen(told));
}

#[test]
fn changes_are_counted_by_kind_and_only_the_last_twenty_are_listed() {
    let start = Instant::now();
    let (registry, service) = with(|settings| settings.minimum_requests = 1);
    send(&service, Outcome::Failure, start).unwrap();
    let mut now = start;
    for _ in 0..15 {
        now += 30 * SECOND;
        send(&service, Outcome::Failure, now).unwrap();
    }
    let summary = breaker_of(&registry, now);
    let counts: Vec<_> = summary.counts.iter().map(|one| (one.reason.text(), one.count)).collect();
    assert_eq!(counts, [("failure_ratio", 1), ("waited", 15), ("probe_failed", 15)]);
    assert_eq!((summary.recent.len(), summary.transitions), (20, 31));
    assert_eq!(summary.not_closed, now - start);
}

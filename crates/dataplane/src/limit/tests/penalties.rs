//! Bans and growing times to wait.

use super::*;
use crate::snapshot::document::BanDocument;

const SECOND: u64 = 1_000;

/// One request an hour, so that whoever has had it is refused.
fn strict() -> TierDocument {
    TierDocument { window_ms: 60 * MINUTE, ..tier("strict", 1, PerDocument::User) }
}

fn banning() -> TierDocument {
    let ban = BanDocument { after: 3, within_ms: 10 * SECOND, lasts_ms: MINUTE, at_most_ms: 3 * MINUTE };
    TierDocument { ban: Some(ban), ..strict() }
}

/// What a caller is told: a code and a time.
fn told(bench: &Bench, name: &str, now: u64) -> (&'static str, u64) {
    match bench.ask("strict", user(name), CLIENT, now) {
        Ok(_) => ("admitted", 0),
        Err(refusal) => (refusal.code(), refusal.retry_after().unwrap()),
    }
}

fn asks(bench: &Bench, name: &str, times: usize) {
    for _ in 0..times {
        told(bench, name, NOON);
    }
}

#[test]
fn who_is_refused_too_often_is_banned_and_longer_each_time() {
    let bench = Bench::new(&[banning()]);
    let mut now = NOON;
    assert_eq!(told(&bench, "ann", now).0, "admitted");
    for lasts in [60, 120, 180, 180] {
        assert_eq!(told(&bench, "ann", now).0, "rate_limit_exceeded");
        assert_eq!(told(&bench, "ann", now + SECOND).0, "rate_limit_exceeded");
        assert_eq!(told(&bench, "ann", now + 2 * SECOND), ("banned", lasts));
        // Asking while banned changes nothing.
        assert_eq!(told(&bench, "ann", now + 3 * SECOND), ("banned", lasts - 1));
        assert_eq!(bench.counters.count_bans(now + 3 * SECOND).0, 1);
        now += 2 * SECOND + lasts * SECOND;
        assert_eq!(bench.counters.count_bans(now).0, 0);
    }
    assert_eq!(bench.counters.count_bans(now).1, 4);
    // As long without a ban as the longest lasts, and it begins anew.
    now += 3 * MINUTE;
    let last = (0..3).map(|_| told(&bench, "ann", now)).last();
    assert_eq!(last, Some(("banned", 60)));
}

#[test]
fn a_ban_is_one_callers_own_and_needs_its_refusals_within_the_time() {
    let bench = Bench::new(&[banning()]);
    for name in ["ann", "bob"] {
        told(&bench, name, NOON);
    }
    for second in [0, 6, 12, 18, 24] {
        assert_eq!(told(&bench, "ann", NOON + second * SECOND).0, "rate_limit_exceeded");
    }
    for _ in 0..3 {
        told(&bench, "bob", NOON + 30 * SECOND);
    }
    assert_eq!(told(&bench, "bob", NOON + 30 * SECOND).0, "banned");
    assert_eq!(told(&bench, "ann", NOON + 40 * SECOND).0, "rate_limit_exceeded");
}

#[test]
fn bans_are_listed_and_lifted() {
    let bench = Bench::new(&[banning()]);
    for name in ["ann", "bob"] {
        asks(&bench, name, 4);
    }
    let bans = bench.counters.bans(&bench.tiers, 10, NOON);
    let listed: Vec<_> = bans.iter().map(|ban| (&*ban.tier, ban.caller.as_str(), ban.bans)).collect();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&("strict", "user:ann", 1)) && listed.contains(&("strict", "user:bob", 1)));
    assert!(bans.iter().all(|ban| ban.until_ms == NOON + MINUTE));
    assert_eq!(bench.counters.bans(&bench.tiers, 1, NOON).len(), 1);
    assert_eq!(bench.counters.lift_bans(Some("strict"), Some("user:ann"), NOON), 1);
    assert_eq!(told(&bench, "ann", NOON).0, "rate_limit_exceeded");
    assert_eq!(told(&bench, "bob", NOON).0, "banned");
    assert_eq!(bench.counters.lift_bans(None, None, NOON), 1);
    assert_eq!(bench.counters.lift_bans(None, None, NOON), 0);
    // A reset forgets the caller, its past included.
    asks(&bench, "bob", 3);
    assert_eq!(told(&bench, "bob", NOON).0, "banned");
    assert_eq!(bench.counters.reset(None, Some("user:bob")), 1);
    assert_eq!(told(&bench, "bob", NOON).0, "admitted");
}

#[test]
fn the_time_to_wait_grows_for_callers_that_come_back_too_early() {
    let patient = TierDocument { max_retry_after_ms: 10 * MINUTE, window_ms: MINUTE, ..strict() };
    let bench = Bench::new(&[TierDocument { algorithm: LimitAlgorithmDocument::FixedWindow, ..patient }]);
    assert_eq!(told(&bench, "ann", NOON).0, "admitted");
    let times: Vec<_> = (0..6).map(|_| told(&bench, "ann", NOON).1).collect();
    assert_eq!(times, [60, 120, 240, 480, 600, 600]);
    // It is advice: the limit itself admits whom it admits, and then all is forgotten.
    assert_eq!(told(&bench, "ann", NOON + MINUTE).0, "admitted");
    assert_eq!(told(&bench, "ann", NOON + MINUTE).1, 60);
    // Who waits as long as it was told is told no longer time.
    assert_eq!(told(&bench, "ann", NOON + MINUTE + 59 * SECOND).1, 2);
}

#[test]
fn callers_that_are_banned_take_no_more_room_than_there_is() {
    let bench = Bench::bounded(&[banning()], 100);
    for number in 0..1_000 {
        asks(&bench, &format!("u{number}"), 4);
    }
    assert!(bench.counters.len() <= 100);
    let kept = bench.counters.bans(&bench.tiers, 1_000, NOON).len() as u64;
    assert!(kept > 0 && kept <= 100);
    assert_eq!(bench.counters.count_bans(NOON).0, kept);
}

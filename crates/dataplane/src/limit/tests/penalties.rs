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

/// Bans somebody at noon.
fn ban(bench: &Bench, name: &str) {
    asks(bench, name, 4);
    assert_eq!(told(bench, name, NOON).0, "banned");
}

#[test]
fn a_ban_is_told_once_and_holds_in_another_process_as_if_it_had_begun_there() {
    let (one, other) = (Bench::new(&[banning()]), Bench::new(&[banning()]));
    ban(&one, "ann");
    let lines = one.counters.take_bans(&one.tiers, 10);
    assert_eq!(lines.len(), 1);
    assert_eq!(one.counters.take_bans(&one.tiers, 10), []);
    assert_eq!(other.counters.restore_bans(&other.tiers, &lines, NOON), 1);
    assert_eq!(other.counters.restore_bans(&other.tiers, &lines, NOON), 0);
    assert_eq!(told(&other, "ann", NOON + SECOND), ("banned", 59));
    assert_eq!(told(&other, "bob", NOON + SECOND).0, "admitted");
    assert_eq!(other.counters.count_bans(NOON), (1, 0));
    // Who is told of a ban does not tell it on.
    assert_eq!(other.counters.take_bans(&other.tiers, 10), []);
    // The next one is twice as long there, too.
    let later = NOON + MINUTE;
    let codes: Vec<_> = (0..4).map(|_| told(&other, "ann", later)).collect();
    assert_eq!(codes.last(), Some(&("banned", 120)));
}

#[test]
fn a_lift_is_told_and_ends_the_ban_elsewhere() {
    let (one, other) = (Bench::new(&[banning()]), Bench::new(&[banning()]));
    ban(&one, "ann");
    other.counters.restore_bans(&other.tiers, &one.counters.take_bans(&one.tiers, 10), NOON);
    assert_eq!(one.counters.lift_bans(None, Some("user:ann"), NOON), 1);
    let lines = one.counters.take_bans(&one.tiers, 10);
    assert_eq!(other.counters.restore_bans(&other.tiers, &lines, NOON), 1);
    assert_eq!(told(&other, "ann", NOON), ("admitted", 0));
    assert_eq!(other.counters.restore_bans(&other.tiers, &lines, NOON), 0);
}

#[test]
fn no_ban_from_elsewhere_lasts_longer_than_the_longest_of_ours_or_shortens_one() {
    let (one, other) = (Bench::new(&[banning()]), Bench::new(&[banning()]));
    ban(&one, "ann");
    let [line] = &one.counters.take_bans(&one.tiers, 10)[..] else { panic!() };
    let text = serde_json::to_string(line).unwrap();
    let until = format!("\"until_ms\":{}", NOON + MINUTE);
    assert!(text.contains(&until), "{text}");
    let read = |text: &str| -> crate::limit::BanLine { serde_json::from_str(text).unwrap() };
    let endless = read(&text.replace(&until, "\"until_ms\":9000000000000000"));
    let short = read(&text.replace(&until, &format!("\"until_ms\":{}", NOON + SECOND)));
    assert_eq!(other.counters.restore_bans(&other.tiers, &[endless, short], NOON), 1);
    assert_eq!(told(&other, "ann", NOON), ("banned", 180));
}

#[test]
fn what_is_told_of_tiers_that_ban_nobody_or_is_over_changes_nothing() {
    let one = Bench::new(&[banning()]);
    ban(&one, "ann");
    let lines = one.counters.take_bans(&one.tiers, 10);
    let other = Bench::new(&[strict()]);
    assert_eq!(other.counters.restore_bans(&other.tiers, &lines, NOON), 0);
    let other = Bench::new(&[TierDocument { name: "another".to_owned(), ..banning() }]);
    assert_eq!(other.counters.restore_bans(&other.tiers, &lines, NOON), 0);
    let other = Bench::new(&[banning()]);
    assert_eq!(other.counters.restore_bans(&other.tiers, &lines, NOON + 10 * MINUTE), 0);
    assert!(other.counters.is_empty());
}

#[test]
fn as_many_bans_are_told_at_a_time_as_are_wanted_and_none_is_lost() {
    let bench = Bench::new(&[banning()]);
    for number in 0..50 {
        ban(&bench, &format!("user {number}"));
    }
    let mut told = 0;
    loop {
        let lines = bench.counters.take_bans(&bench.tiers, 7);
        assert!(lines.len() <= 7);
        if lines.is_empty() {
            break;
        }
        told += lines.len();
    }
    assert_eq!(told, 50);
}

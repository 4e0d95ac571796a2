//! What happens when there is no room for another caller.

use super::*;

fn flood(bench: &Bench, callers: std::ops::Range<u32>, now: u64) -> Vec<Result<Option<LimitState>, Refusal>> {
    callers.map(|number| bench.ask("standard", user(&format!("u{number}")), CLIENT, now)).collect()
}

#[test]
fn callers_beyond_the_bound_push_out_others_where_the_route_fails_locally() {
    for maximum in [1, 10, 100, 5_000] {
        let bench = Bench::bounded(&[tier("standard", 1, PerDocument::User)], maximum);
        assert!(flood(&bench, 0..20_000, NOON).iter().all(Result::is_ok));
        assert!(bench.counters.len() <= maximum, "{} of {maximum}", bench.counters.len());
        assert!(bench.counters.len() * 10 >= maximum * 9);
        assert!(bench.counters.bound_hits() >= 15_000 - 1_000);
    }
}

#[test]
fn callers_beyond_the_bound_pass_uncounted_or_not_at_all_as_the_route_says() {
    let mut bench = Bench::bounded(&[tier("standard", 5, PerDocument::User)], 10);
    assert!(flood(&bench, 0..10, NOON).iter().all(Result::is_ok));
    bench.on_failure = OnFailure::Open;
    assert_eq!(flood(&bench, 10..11, NOON), [Ok(None)]);
    bench.on_failure = OnFailure::Closed;
    assert_eq!(flood(&bench, 10..11, NOON), [Err(Refusal::LimiterUnavailable(LimiterFault::Full))]);
    // Those who have a count are still counted.
    assert!(matches!(flood(&bench, 0..1, NOON).as_slice(), [Ok(Some(LimitState { remaining: 3, .. }))]));
    assert_eq!(bench.counters.bound_hits(), 2);
}

#[test]
fn expired_counts_make_room_before_anybody_is_refused() {
    let mut bench = Bench::bounded(&[tier("standard", 5, PerDocument::User)], 10);
    bench.on_failure = OnFailure::Closed;
    assert!(flood(&bench, 0..10, NOON).iter().all(Result::is_ok));
    assert!(flood(&bench, 10..11, NOON + 2 * MINUTE - 1).iter().all(Result::is_err));
    assert!(flood(&bench, 10..20, NOON + 2 * MINUTE).iter().all(Result::is_ok));
}

#[test]
fn the_oldest_windows_go_first() {
    let bench = Bench::bounded(&[tier("standard", 5, PerDocument::User)], 8);
    flood(&bench, 0..4, NOON);
    flood(&bench, 4..8, NOON + MINUTE);
    flood(&bench, 100..104, NOON + MINUTE);
    let listed = bench.counters.busiest("standard", 100, NOON + MINUTE);
    let names: Vec<_> = listed.iter().map(|usage| usage.caller.as_str()).collect();
    for kept in 4..8 {
        assert!(names.contains(&format!("user:u{kept}").as_str()), "{names:?}");
    }
}

#[test]
fn a_smaller_bound_holds_at_once() {
    let bench = Bench::bounded(&[tier("standard", 5, PerDocument::User)], 5_000);
    flood(&bench, 0..4_000, NOON);
    bench.counters.set_maximum(1_000);
    assert!(bench.counters.len() <= 1_000);
    flood(&bench, 4_000..8_000, NOON);
    assert!(bench.counters.len() <= 1_000);
}

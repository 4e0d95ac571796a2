//! Limits as a caller meets them: tiers, who is counted, bounds, threads.

use std::sync::Arc;

use super::*;
use crate::authorize::{self, ScopePolicy};
use crate::caller::{Caller, CallerKind};

const MINUTE: u64 = 60_000;
/// 12:00:00 of some day: the beginning of a minute.
const NOON: u64 = 1_800_014_400_000;

fn tier(name: &str, limit: u64, per: PerDocument) -> TierDocument {
    TierDocument { name: name.to_owned(), at: "gateway.yaml:9:3".to_owned(), limit, window_ms: MINUTE, per }
}

fn rule(tiers: &Tiers, tier: &str, on_failure: OnFailure) -> LimitRule {
    let document =
        RateLimitDocument { at: "gateway.yaml:20:5".to_owned(), tier: tier.to_owned(), on_failure };
    LimitRule::compile(&document, tiers).unwrap()
}

fn grant(caller: Caller) -> Grant {
    authorize::grant(&ScopePolicy::default(), Arc::new(caller)).unwrap()
}

fn user(name: &str) -> Grant {
    grant(Caller { user: Some(name.into()), ..Caller::new(CallerKind::User, Some(0), Vec::new()) })
}

fn partner(id: &str, tier: Option<&str>) -> Grant {
    let caller = Caller::new(CallerKind::Partner, Some(1), Vec::new());
    grant(Caller { key_id: Some(id.into()), tier: tier.map(Into::into), ..caller })
}

fn nobody() -> Grant {
    grant(Caller::anonymous())
}

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Counters and tiers of one test.
struct Bench {
    counters: Counters,
    tiers: Tiers,
    on_failure: OnFailure,
}

impl Bench {
    fn new(tiers: &[TierDocument]) -> Self {
        Self::bounded(tiers, 10_000)
    }

    fn bounded(tiers: &[TierDocument], maximum: usize) -> Self {
        let counters = Counters::new(maximum);
        let tiers = Tiers::compile(tiers, &counters).unwrap();
        Self { counters, tiers, on_failure: OnFailure::Local }
    }

    fn limits(&self) -> Limits<'_> {
        Limits { counters: &self.counters, tiers: &self.tiers }
    }

    fn ask(&self, tier: &str, grant: Grant, client: IpAddr, now: u64) -> Result<Option<LimitState>, Refusal> {
        let rule = rule(&self.tiers, tier, self.on_failure);
        acquire(self.limits(), Some(&rule), grant, client, now).map(|permit| permit.state())
    }

    fn admitted(&self, tier: &str, grant: &Grant, now: u64, requests: usize) -> usize {
        (0..requests).filter(|_| self.ask(tier, grant.clone(), CLIENT, now).is_ok()).count()
    }
}

#[test]
fn the_101st_request_of_a_minute_is_refused_with_the_time_to_wait() {
    let bench = Bench::new(&[tier("standard", 100, PerDocument::User)]);
    for count in 0..100 {
        let state = bench.ask("standard", user("ann"), CLIENT, NOON + count).unwrap().unwrap();
        assert_eq!((state.limit, state.remaining), (100, 99 - count));
        assert_eq!(state.reset, (NOON + MINUTE) / 1000);
    }
    let refusal = bench.ask("standard", user("ann"), CLIENT, NOON + 30_000).unwrap_err();
    let Refusal::OverLimit(state) = refusal else { panic!("{refusal:?}") };
    // The window ends in 30 s, and a millisecond later the hundred weigh less than a hundred.
    assert_eq!((state.remaining, state.retry_after), (0, 31));
    assert!(bench.ask("standard", user("ann"), CLIENT, NOON + 30_000 + 31_000).is_ok());
}

#[test]
fn two_bursts_around_the_end_of_a_window_do_not_add_up() {
    let bench = Bench::new(&[tier("standard", 100, PerDocument::User)]);
    assert_eq!(bench.admitted("standard", &user("ann"), NOON + 59_000, 99), 99);
    // 99 x 59/60 = 97.35 still count, so 2.65 requests fit: three, since the third is asked at 99.35.
    assert_eq!(bench.admitted("standard", &user("ann"), NOON + 61_000, 99), 3);
}

#[test]
fn refused_requests_do_not_extend_the_wait() {
    let bench = Bench::new(&[tier("standard", 2, PerDocument::User)]);
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 1000), 2);
    assert_eq!(bench.admitted("standard", &user("ann"), NOON + 2 * MINUTE, 10), 2);
}

#[test]
fn a_changed_limit_keeps_the_counts() {
    let mut bench = Bench::new(&[tier("standard", 100, PerDocument::User)]);
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 60), 60);
    let documents = [tier("new", 1, PerDocument::User), tier("standard", 70, PerDocument::User)];
    bench.tiers = Tiers::compile(&documents, &bench.counters).unwrap();
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 60), 10);
}

#[test]
fn a_changed_window_begins_afresh() {
    let mut bench = Bench::new(&[tier("standard", 5, PerDocument::User)]);
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 9), 5);
    let document = TierDocument { window_ms: 2 * MINUTE, ..tier("standard", 5, PerDocument::User) };
    bench.tiers = Tiers::compile(&[document], &bench.counters).unwrap();
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 9), 5);
    // Taking the change back is no way to twice the limit.
    bench.tiers = Tiers::compile(&[tier("standard", 5, PerDocument::User)], &bench.counters).unwrap();
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 9), 0);
}

#[test]
fn tiers_and_callers_are_counted_apart() {
    let bench = Bench::new(&[tier("standard", 1, PerDocument::User), tier("other", 1, PerDocument::User)]);
    for grant in [user("ann"), user("bob"), partner("ann", None), nobody()] {
        assert_eq!(bench.admitted("standard", &grant, NOON, 5), 1);
        assert_eq!(bench.admitted("other", &grant, NOON, 5), 1);
    }
}

#[test]
fn a_caller_is_counted_by_what_the_tier_says_or_else_by_the_nearest_name() {
    let bench = Bench::new(&[
        tier("users", 1, PerDocument::User),
        tier("keys", 1, PerDocument::ApiKey),
        tier("addresses", 1, PerDocument::ClientIp),
        tier("all", 1, PerDocument::Global),
    ]);
    let other: IpAddr = "198.51.100.1".parse().unwrap();
    for (tier, first, second, is_same) in [
        ("users", user("ann"), user("ann"), true),
        ("users", partner("p", None), partner("p", None), true),
        ("users", nobody(), nobody(), false),
        ("keys", partner("q", None), partner("q", None), true),
        ("keys", user("bob"), user("bob"), true),
        ("addresses", user("ann"), user("ann"), false),
        ("all", user("ann"), partner("p", None), true),
    ] {
        bench.counters.reset(Some(tier), None);
        bench.ask(tier, first, CLIENT, NOON).unwrap();
        assert_eq!(bench.ask(tier, second, other, NOON).is_err(), is_same, "{tier}");
    }
}

#[test]
fn every_spelling_of_one_address_is_one_caller() {
    let bench = Bench::new(&[tier("addresses", 1, PerDocument::ClientIp)]);
    let same = |one: &str, another: &str| {
        bench.counters.reset(None, None);
        bench.ask("addresses", nobody(), one.parse().unwrap(), NOON).unwrap();
        bench.ask("addresses", nobody(), another.parse().unwrap(), NOON).is_err()
    };
    assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
    assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert!(!same("192.0.2.1", "192.0.2.2"));
}

#[test]
fn the_tier_of_an_api_key_replaces_that_of_the_route_where_it_exists() {
    let bench = Bench::new(&[tier("standard", 1, PerDocument::User), tier("gold", 3, PerDocument::ApiKey)]);
    assert_eq!(bench.admitted("standard", &partner("a", Some("gold")), NOON, 9), 3);
    assert_eq!(bench.admitted("standard", &partner("b", Some("gone")), NOON, 9), 1);
    let state = bench.ask("standard", partner("c", Some("gold")), CLIENT, NOON).unwrap().unwrap();
    assert_eq!((state.tier, state.limit), (1, 3));
}

#[test]
fn a_route_without_a_rule_is_not_limited() {
    let bench = Bench::new(&[]);
    let permit = acquire(bench.limits(), None, user("ann"), CLIENT, NOON).unwrap();
    assert_eq!(permit.state(), None);
    assert_eq!(permit.grant().caller().user.as_deref(), Some("ann"));
    assert!(bench.counters.is_empty());
}

#[test]
fn unauthenticated_requests_share_the_address_counts_of_their_tier() {
    let bench = Bench::new(&[tier("unauthenticated", 2, PerDocument::ClientIp)]);
    assert_eq!(charge_client(bench.limits(), 0, CLIENT, NOON).unwrap().remaining, 1);
    assert!(bench.ask("unauthenticated", nobody(), CLIENT, NOON).is_ok());
    let refusal = charge_client(bench.limits(), 0, CLIENT, NOON).unwrap_err();
    assert_eq!(refusal.status(), 429);
}

#[test]
fn a_limit_of_nothing_admits_nobody_and_keeps_nothing() {
    let bench = Bench::new(&[tier("none", 0, PerDocument::User)]);
    assert_eq!(bench.admitted("none", &user("ann"), NOON, 5), 0);
    assert!(bench.counters.is_empty());
}

#[test]
fn four_threads_on_one_caller_admit_exactly_the_limit() {
    let bench = Bench::new(&[tier("standard", 12_345, PerDocument::User)]);
    let admitted: usize = std::thread::scope(|scope| {
        let run = || bench.admitted("standard", &user("ann"), NOON, 10_000);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 12_345);
}

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
    assert_eq!(flood(&bench, 10..11, NOON), [Err(Refusal::LimiterUnavailable)]);
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

#[test]
fn a_reset_forgets_a_tier_a_caller_or_all() {
    let documents = [tier("standard", 9, PerDocument::User), tier("addresses", 9, PerDocument::ClientIp)];
    let fill = |bench: &Bench| {
        for grant in [user("ann"), user("bob"), partner("k1", None)] {
            bench.ask("standard", grant, CLIENT, NOON).unwrap();
        }
        bench.ask("addresses", nobody(), CLIENT, NOON).unwrap();
        bench.ask("addresses", nobody(), "2001:db8::1".parse().unwrap(), NOON).unwrap();
    };
    for (tier, caller, forgotten) in [
        (None, None, 5),
        (Some("standard"), None, 3),
        (Some("standard"), Some("user:ann"), 1),
        (Some("addresses"), Some("user:ann"), 0),
        (None, Some("api_key:k1"), 1),
        (None, Some("ip:192.0.2.7"), 1),
        (None, Some("ip:2001:db8::99"), 1),
        (None, Some("ann"), 0),
        (None, Some("ip:nonsense"), 0),
        (Some("gone"), None, 0),
    ] {
        let bench = Bench::new(&documents);
        fill(&bench);
        assert_eq!(bench.counters.reset(tier, caller), forgotten, "{tier:?} {caller:?}");
        assert_eq!(bench.counters.len(), 5 - forgotten);
    }
}

#[test]
fn the_busiest_callers_are_listed_in_order_and_in_the_form_that_reset_takes() {
    let bench = Bench::new(&[tier("standard", 99, PerDocument::User), tier("other", 9, PerDocument::User)]);
    bench.admitted("other", &user("zed"), NOON, 9);
    bench.admitted("standard", &nobody(), NOON, 1);
    for (name, requests) in [("ann", 3), ("bob", 7), ("cat", 5)] {
        bench.admitted("standard", &user(name), NOON, requests);
    }
    bench.ask("standard", nobody(), "2001:db8::1".parse().unwrap(), NOON).unwrap();
    let listed = bench.counters.busiest("standard", 4, NOON);
    let expected = [("user:bob", 7), ("user:cat", 5), ("user:ann", 3), ("ip:192.0.2.7", 1)];
    assert_eq!(listed, expected.map(|(caller, used)| Usage { caller: caller.to_owned(), used }));
    let all = bench.counters.busiest("standard", 9, NOON);
    assert!(all.iter().all(|usage| bench.counters.reset(Some("standard"), Some(&usage.caller)) == 1));
    assert!(bench.counters.busiest("standard", 9, NOON).is_empty());
}

#[test]
fn errors_of_the_configuration_name_the_rule_and_its_place() {
    let counters = Counters::new(10);
    let twice = [tier("a", 1, PerDocument::User), tier("a", 2, PerDocument::User)];
    let error = Tiers::compile(&twice, &counters).unwrap_err();
    assert_eq!(error, "gateway.yaml:9:3: tier `a`: the name is repeated");
    let empty = TierDocument { window_ms: 0, ..tier("a", 1, PerDocument::User) };
    assert!(Tiers::compile(&[empty], &counters).unwrap_err().contains("window"));
    let document = RateLimitDocument {
        at: "gateway.yaml:20:5".to_owned(),
        tier: "gone".to_owned(),
        on_failure: OnFailure::Open,
    };
    let error = LimitRule::compile(&document, &Tiers::default()).unwrap_err();
    assert_eq!(error, "gateway.yaml:20:5: there is no tier `gone`");
}

#[test]
#[ignore = "a measurement, not a claim: run it with --release or --profile quick"]
fn measure_one_check() {
    let bench = Bench::new(&[tier("standard", u64::MAX / MINUTE, PerDocument::User)]);
    let rule = rule(&bench.tiers, "standard", OnFailure::Local);
    let grants: Vec<_> = (0..1000).map(|number| user(&format!("user-{number}"))).collect();
    let rounds = 1000;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        for grant in &grants {
            acquire(bench.limits(), Some(&rule), grant.clone(), CLIENT, NOON).unwrap();
        }
    }
    println!("limit: {} ns a check", start.elapsed().as_nanos() / (rounds * grants.len() as u128));
}

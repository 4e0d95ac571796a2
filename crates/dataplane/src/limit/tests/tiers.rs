//! Tiers: who is counted, changes of the configuration, listings.

use super::*;
use crate::snapshot::document::{CalendarDocument, CalendarUnit};

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
    bench.change(&documents);
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 60), 10);
}

#[test]
fn no_change_of_a_tier_resets_its_counts() {
    let standard = || tier("standard", 6, PerDocument::User);
    let with = |algorithm| TierDocument { algorithm, ..standard() };
    let mut bench = Bench::new(&[standard()]);
    assert_eq!(bench.admitted("standard", &user("ann"), NOON, 5), 5);
    for changed in [
        TierDocument { window_ms: 2 * MINUTE, ..standard() },
        with(LimitAlgorithmDocument::FixedWindow),
        with(LimitAlgorithmDocument::SlidingLog),
        with(LimitAlgorithmDocument::TokenBucket { burst: 6 }),
        with(LimitAlgorithmDocument::Calendar(CalendarDocument { unit: CalendarUnit::Day, offsets: vec![] })),
    ] {
        bench.change(std::slice::from_ref(&changed));
        let state = bench.ask("standard", user("ann"), CLIENT, NOON).unwrap().unwrap();
        assert_eq!((state.limit, state.remaining), (6, 0), "{changed:?}");
        assert!(bench.ask("standard", user("ann"), CLIENT, NOON).is_err(), "{changed:?}");
        // Back again, with one fewer.
        bench.counters.reset(None, None);
        bench.change(&[standard()]);
        assert_eq!(bench.admitted("standard", &user("ann"), NOON, 5), 5);
    }
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
    let (bench, request) = (Bench::new(&[]), Request::new(CLIENT));
    let mut trail = Trail::default();
    let permit = acquire(bench.limits(), None, user("ann"), (&request, NOON), &mut trail).unwrap();
    assert_eq!(permit.state(), None);
    assert_eq!(permit.grant().caller().user.as_deref(), Some("ann"));
    assert!(bench.counters.is_empty() && trail.steps().is_empty());
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
    let compile = |tiers: &[&str]| {
        let known = Tiers::compile(&[tier("a", 1, PerDocument::User)], &counters).unwrap();
        LimitRule::compile(&rate_limit(tiers), &known, "orders", "").unwrap_err()
    };
    assert_eq!(compile(&["gone"]), "gateway.yaml:20:5: there is no tier `gone`");
    assert_eq!(compile(&["a", "a"]), "gateway.yaml:20:5: tier `a` is named twice");
    assert!(compile(&[]).contains("1 to 8"));
    let both =
        TierDocument { per: vec![PerDocument::User, PerDocument::User], ..tier("a", 1, PerDocument::User) };
    assert!(Tiers::compile(&[both], &counters).unwrap_err().contains("twice"));
}

#[test]
#[ignore = "a measurement, not a claim: run it with --release or --profile quick"]
fn measure_one_check() {
    let bench = Bench::new(&[tier("standard", u64::MAX / MINUTE, PerDocument::User)]);
    let rule = bench.rule(rate_limit(&["standard"]));
    let grants: Vec<_> = (0..1000).map(|number| user(&format!("user-{number}"))).collect();
    let rounds = 1000;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        for grant in &grants {
            bench.begin(&rule, grant.clone(), CLIENT, NOON).unwrap();
        }
    }
    println!("limit: {} ns a check", start.elapsed().as_nanos() / (rounds * grants.len() as u128));
}

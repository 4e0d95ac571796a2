//! Several tiers on one request, subjects of several parts, costs, places, trials, loads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::snapshot::document::{AdaptiveDocument, BanDocument};

fn left(bench: &Bench, tier: &str) -> u64 {
    bench.counters.busiest(tier, 1, NOON).first().map_or(0, |usage| usage.used)
}

#[test]
fn a_request_that_one_tier_refuses_is_charged_by_none() {
    let bench = Bench::new(&[tier("wide", 100, PerDocument::Global), tier("narrow", 2, PerDocument::User)]);
    let rule = bench.rule(rate_limit(&["wide", "narrow"]));
    let asked: Vec<_> = (0..10).map(|_| bench.begin(&rule, user("ann"), CLIENT, NOON)).collect();
    assert_eq!(asked.iter().filter(|asked| asked.is_ok()).count(), 2);
    assert_eq!((left(&bench, "wide"), left(&bench, "narrow")), (2, 2));
    let Err(Refusal::OverLimit(state)) = &asked[9] else { panic!("{:?}", asked[9]) };
    assert_eq!((state.tier, state.key), (1, KeyKind::User));
}

#[test]
fn tiers_that_would_have_admitted_are_charged_for_refused_requests_where_the_route_says_so() {
    let bench = Bench::new(&[tier("wide", 100, PerDocument::Global), tier("narrow", 2, PerDocument::User)]);
    let document = RateLimitDocument { charge_refused: true, ..rate_limit(&["wide", "narrow"]) };
    let rule = bench.rule(document);
    for _ in 0..10 {
        let _ = bench.begin(&rule, user("ann"), CLIENT, NOON);
    }
    assert_eq!((left(&bench, "wide"), left(&bench, "narrow")), (10, 2));
}

#[test]
fn the_caller_is_told_of_the_tier_that_leaves_it_least() {
    let bench = Bench::new(&[tier("wide", 10, PerDocument::Global), tier("narrow", 4, PerDocument::User)]);
    let rule = bench.rule(rate_limit(&["wide", "narrow"]));
    let told = |name: &str| {
        let state = bench.begin(&rule, user(name), CLIENT, NOON).unwrap().state().unwrap();
        (state.tier, state.remaining)
    };
    assert_eq!([told("ann"), told("ann"), told("ann"), told("ann")], [(1, 3), (1, 2), (1, 1), (1, 0)]);
    assert_eq!([told("bob"), told("bob"), told("bob")], [(1, 3), (1, 2), (1, 1)]);
    assert_eq!(told("cat"), (0, 2));
}

#[test]
fn every_tier_leaves_a_step_in_the_trail_whether_it_admits_or_not() {
    let trial = TierDocument { dry_run: true, ..tier("trial", 1, PerDocument::User) };
    let bench =
        Bench::new(&[tier("wide", 9, PerDocument::Global), trial, tier("narrow", 2, PerDocument::User)]);
    let rule = bench.rule(rate_limit(&["wide", "trial", "narrow"]));
    let verdicts = || {
        let (mut trail, request) = (Trail::default(), Request::new(CLIENT));
        let asked = acquire(bench.limits(), Some(&rule), user("ann"), (&request, NOON), &mut trail);
        let steps: Vec<_> = trail.steps().iter().map(|step| step.verdict).collect();
        (asked.is_ok(), steps)
    };
    assert_eq!(verdicts(), (true, vec!["admitted", "admitted", "admitted"]));
    assert_eq!(verdicts(), (true, vec!["admitted", "would_refuse", "admitted"]));
    // The step of the tier that refuses is the refusal's own.
    assert_eq!(verdicts(), (false, vec!["would_admit", "would_refuse"]));
}

#[test]
fn a_subject_of_several_parts_is_each_combination_for_itself() {
    let both = TierDocument {
        per: vec![PerDocument::User, PerDocument::Header("x-device".to_owned()), PerDocument::Route],
        ..tier("devices", 1, PerDocument::User)
    };
    let bench = Bench::new(&[both]);
    let ask = |name: &str, device: &str, route: &str| {
        let mut request = Request::new(CLIENT);
        let header = crate::request::Header {
            name: request.append(b"x-device"),
            value: request.append(device.as_bytes()),
            ..Default::default()
        };
        request.headers.push(header);
        let rule = LimitRule::compile(&rate_limit(&["devices"]), &bench.tiers, route, "").unwrap();
        acquire(bench.limits(), Some(&rule), user(name), (&request, NOON), &mut Trail::default()).is_ok()
    };
    assert!(ask("ann", "phone", "orders") && !ask("ann", "phone", "orders"));
    assert!(ask("ann", "watch", "orders") && ask("bob", "phone", "orders") && ask("ann", "phone", "carts"));
    let listed = bench.counters.busiest("devices", 9, NOON);
    let one = listed.iter().find(|usage| usage.caller.starts_with("user:bob")).unwrap();
    // Of the header only a digest: it may be long, or a secret.
    assert!(one.caller.starts_with("user:bob+header:x-device:") && one.caller.ends_with("+route:orders"));
    assert!(!one.caller.contains("phone"));
    assert_eq!(bench.counters.reset(Some("devices"), Some(&one.caller)), 1);
    assert!(ask("bob", "phone", "orders") && !ask("ann", "watch", "orders"));
}

#[test]
fn addresses_of_ipv6_are_counted_by_the_prefix_that_the_tier_says() {
    let site = TierDocument { ipv6_prefix: 48, ..tier("sites", 1, PerDocument::ClientIp) };
    let bench = Bench::new(&[site]);
    let ask = |address: &str| bench.ask("sites", nobody(), address.parse().unwrap(), NOON).is_ok();
    assert!(ask("2001:db8:1:2::1") && !ask("2001:db8:1:ffff::9") && ask("2001:db8:2::1"));
    assert_eq!(bench.counters.reset(None, Some("ip:2001:db8:1:77::")), 1);
    assert_eq!(bench.counters.reset(None, Some("ip:2001:db8:2::/48")), 1);
}

#[test]
fn a_route_with_a_cost_takes_that_much_at_once() {
    let bench = Bench::new(&[tier("standard", 10, PerDocument::User)]);
    let rule = bench.rule(RateLimitDocument { cost: 4, ..rate_limit(&["standard"]) });
    let left =
        |asked: Result<Permit, Refusal>| asked.ok().and_then(|permit| permit.state()).map(|s| s.remaining);
    assert_eq!(left(bench.begin(&rule, user("ann"), CLIENT, NOON)), Some(6));
    assert_eq!(left(bench.begin(&rule, user("ann"), CLIENT, NOON)), Some(2));
    assert_eq!(left(bench.begin(&rule, user("ann"), CLIENT, NOON)), None);
}

#[test]
fn costs_that_are_told_by_the_response_are_charged_when_it_is_over() {
    let counts = |name: &str, counts| TierDocument { counts, ..tier(name, 10, PerDocument::User) };
    let bench = Bench::new(&[
        counts("kib", CountsDocument::ResponseKib),
        counts("told", CountsDocument::ResponseHeader("x-cost".to_owned())),
    ]);
    let rule = bench.rule(rate_limit(&["kib", "told"]));
    let serve = |bytes, header: Option<&'static [u8]>| {
        let mut debts = bench.begin(&rule, user("ann"), CLIENT, NOON).unwrap().take_debts().unwrap();
        debts.hear(&bench.tiers, |name| header.filter(|_| name == b"x-cost"));
        assert!(debts.settle(bench.limits(), (bytes, NOON), true).is_empty());
    };
    serve(2_049, Some(b"5"));
    assert_eq!((left(&bench, "kib"), left(&bench, "told")), (3, 5));
    // What says nothing costs 1, so that a service that fails is not free.
    serve(0, Some(b"-7"));
    serve(0, None);
    assert_eq!((left(&bench, "kib"), left(&bench, "told")), (3, 7));
    serve(20_000, Some(b"0"));
    assert_eq!((left(&bench, "kib"), left(&bench, "told")), (23, 7));
    assert!(bench.begin(&rule, user("ann"), CLIENT, NOON).is_err());
}

#[test]
fn a_place_is_free_again_when_its_request_is_over() {
    let few =
        TierDocument { algorithm: LimitAlgorithmDocument::Concurrency, ..tier("few", 2, PerDocument::User) };
    let bench = Bench::new(&[few]);
    let rule = bench.rule(rate_limit(&["few"]));
    let ask = || bench.begin(&rule, user("ann"), CLIENT, NOON);
    let (one, two) = (ask().unwrap(), ask().unwrap());
    assert_eq!((one.state().unwrap().remaining, two.state().unwrap().remaining), (1, 0));
    assert!(ask().is_err());
    drop(one);
    let three = ask().unwrap();
    assert!(ask().is_err());
    drop((two, three));
    assert_eq!(left(&bench, "few"), 0);
    assert!(ask().is_ok());
}

#[test]
fn a_leaky_bucket_says_how_long_to_wait_and_no_more_wait_than_may() {
    let slow = TierDocument {
        algorithm: LimitAlgorithmDocument::LeakyBucket { max_delay_ms: 2_500 },
        ..tier("slow", 60, PerDocument::Global)
    };
    let bench = Bench::new(&[slow]);
    bench.counters.set_max_waiting(1);
    let rule = bench.rule(rate_limit(&["slow"]));
    let ask = || bench.begin(&rule, user("ann"), CLIENT, NOON);
    assert_eq!(ask().unwrap().delay(), None);
    let mut second = ask().unwrap();
    assert_eq!((second.delay(), bench.counters.waiting()), (Some((Duration::from_secs(1), 0)), (1, 0)));
    assert!(matches!(ask(), Err(Refusal::OverLimit(_))));
    assert_eq!(bench.counters.waiting(), (1, 1));
    second.waited();
    let third = ask().unwrap();
    assert_eq!((third.delay(), third.state().unwrap().remaining), (Some((Duration::from_secs(2), 0)), 0));
    drop(third);
    let Err(Refusal::OverLimit(state)) = ask() else { panic!() };
    assert_eq!((state.retry_after, bench.counters.waiting().0), (1, 0));
}

#[test]
fn a_tier_on_trial_refuses_nobody_and_tells_nobody() {
    let trial = TierDocument { dry_run: true, ..tier("trial", 1, PerDocument::User) };
    let bench = Bench::new(&[trial]);
    for _ in 0..3 {
        assert_eq!(bench.ask("trial", user("ann"), CLIENT, NOON), Ok(None));
    }
    assert_eq!(left(&bench, "trial"), 1);
}

#[test]
fn a_tier_that_adapts_shrinks_evenly_from_its_threshold_to_its_floor() {
    let adaptive = Some(AdaptiveDocument { from_percent: 80, floor_percent: 20 });
    let mut bench = Bench::new(&[TierDocument { adaptive, ..tier("standard", 100, PerDocument::User) }]);
    for (cpu_percent, limit) in [(0, 100), (80, 100), (90, 60), (100, 20), (400, 20)] {
        bench.cpu_percent = cpu_percent;
        let state = bench.ask("standard", user("ann"), CLIENT, NOON).unwrap().unwrap();
        assert_eq!(state.limit, limit, "{cpu_percent} %");
    }
}

#[test]
fn of_ten_thousand_parallel_requests_exactly_as_many_pass_as_every_algorithm_says() {
    let with = |name: &str, algorithm| TierDocument { algorithm, ..tier(name, 1_234, PerDocument::Global) };
    let tiers = [
        with("sliding", LimitAlgorithmDocument::SlidingWindow),
        with("fixed", LimitAlgorithmDocument::FixedWindow),
        with("log", LimitAlgorithmDocument::SlidingLog),
        with("bucket", LimitAlgorithmDocument::TokenBucket { burst: 1_234 }),
        with("gcra", LimitAlgorithmDocument::Gcra { burst: 1_234 }),
        with("places", LimitAlgorithmDocument::Concurrency),
    ];
    let bench = Bench::new(&tiers);
    for chosen in [&["sliding"][..], &["fixed"], &["log"], &["bucket"], &["gcra"], &["places"]] {
        let rule = bench.rule(rate_limit(chosen));
        assert_eq!(pass(&bench, &rule), 1_234, "{chosen:?}");
    }
    bench.counters.reset(None, None);
    // All at once, in orders of all kinds: nobody waits for another for ever, and none is charged for a refusal.
    let orders = [["sliding", "log", "bucket"], ["bucket", "sliding", "log"], ["log", "bucket", "sliding"]];
    let rules: Vec<_> = orders.iter().map(|order| bench.rule(rate_limit(order))).collect();
    assert_eq!(pass_by(&bench, &rules), 1_234);
    assert_eq!([left(&bench, "sliding"), left(&bench, "log"), left(&bench, "bucket")], [1_234; 3]);
}

fn pass(bench: &Bench, rule: &LimitRule) -> usize {
    pass_by(bench, std::slice::from_ref(rule))
}

/// Ten thousand requests of four threads; how many pass. All of them are under way until the last has asked.
fn pass_by(bench: &Bench, rules: &[LimitRule]) -> usize {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut permits = Vec::new();
        while let number @ 0..10_000 = next.fetch_add(1, Ordering::Relaxed) {
            permits.extend(bench.begin(&rules[number % rules.len()], user("ann"), CLIENT, NOON));
        }
        permits
    };
    let permits: Vec<Permit> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    permits.len()
}

#[test]
fn an_address_with_nothing_left_is_found_out_without_being_charged() {
    let ban = Some(BanDocument { after: 1, within_ms: MINUTE, lasts_ms: MINUTE, at_most_ms: MINUTE });
    for ban in [None, ban] {
        let bench = Bench::new(&[TierDocument { ban, ..tier("failures", 2, PerDocument::ClientIp) }]);
        let check = || check_client(bench.limits(), 0, CLIENT, NOON);
        for _ in 0..5 {
            assert_eq!(check(), Ok(()));
        }
        for _ in 0..2 {
            charge_client(bench.limits(), 0, CLIENT, NOON).unwrap();
        }
        let code = check().unwrap_err().code();
        assert_eq!(code, if ban.is_some() { "banned" } else { "rate_limit_exceeded" });
        assert_eq!(check_client(bench.limits(), 0, "192.0.2.8".parse().unwrap(), NOON), Ok(()));
    }
}

//! Tiers within tiers: a caller's share of what is shared.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::trail::Rule as Named;

fn within(name: &str, limit: u64, per: &[PerDocument], parent: Option<&str>) -> TierDocument {
    TierDocument {
        per: per.to_vec(),
        within: parent.map(str::to_owned),
        ..tier(name, limit, PerDocument::Global)
    }
}

/// Each user's own, within what the route has, within what everybody has.
fn family() -> [TierDocument; 3] {
    [
        within("own", 300, &[PerDocument::User], Some("shared")),
        within("shared", 1_000, &[PerDocument::Route], Some("whole")),
        within("whole", 1_500, &[PerDocument::Global], None),
    ]
}

fn used(bench: &Bench, tier: &str) -> Vec<u64> {
    bench.counters.busiest(tier, 99, NOON).iter().map(|usage| usage.used).collect()
}

#[test]
fn a_route_that_names_the_innermost_tier_has_all_of_them() {
    let bench = Bench::new(&family());
    let rule = bench.rule(rate_limit(&["own"]));
    let (mut trail, request) = (Trail::default(), Request::new(CLIENT));
    acquire(bench.limits(), Some(&rule), user("ann"), (&request, NOON), &mut trail).unwrap();
    let rules: Vec<_> = trail.steps().iter().map(|step| step.rule).collect();
    assert_eq!(rules, [Named::Tier(0), Named::Tier(1), Named::Tier(2)]);
    assert_eq!(["own", "shared", "whole"].map(|name| used(&bench, name)), [[1], [1], [1]]);
}

#[test]
fn of_ten_thousand_parallel_requests_nobody_gets_more_than_its_own_and_all_together_what_is_shared() {
    let bench = Bench::new(&family());
    let rules: Vec<_> = ["orders", "carts"]
        .map(|route| LimitRule::compile(&rate_limit(&["own"]), &bench.tiers, route, "").unwrap())
        .into();
    let next = AtomicUsize::new(0);
    // Five users, three of whom ask for one route only; the other two alone would not fill the other route.
    let run = || {
        let mut passed = [0; 5];
        while let number @ 0..10_000 = next.fetch_add(1, Ordering::Relaxed) {
            let who = number % 5;
            let (grant, rule) = (user(&format!("user-{who}")), &rules[usize::from(who > 3)]);
            passed[who] += u64::from(bench.begin(rule, grant, CLIENT, NOON).is_ok());
        }
        passed
    };
    let passed: Vec<[u64; 5]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let each: Vec<u64> = (0..5).map(|who| passed.iter().map(|one| one[who]).sum()).collect();
    assert!(each.iter().all(|passed| *passed <= 300), "{each:?}");
    // Four users of one route have its thousand, the fifth all of its own.
    assert_eq!((each[..4].iter().sum::<u64>(), each[4]), (1_000, 300));
    assert_eq!((used(&bench, "whole"), used(&bench, "shared")), (vec![1_300], vec![1_000, 300]));
    assert_eq!(used(&bench, "own").iter().sum::<u64>(), 1_300);
}

#[test]
fn a_callers_own_tier_takes_the_place_of_the_first_and_brings_those_it_is_within() {
    let mut tiers = family().to_vec();
    tiers.push(within("gold", 9, &[PerDocument::ApiKey], Some("whole")));
    let bench = Bench::new(&tiers);
    let rule = bench.rule(rate_limit(&["own"]));
    bench.begin(&rule, partner("key", Some("gold")), CLIENT, NOON).unwrap();
    assert_eq!(["gold", "whole"].map(|name| used(&bench, name)), [[1], [1]]);
    assert!(used(&bench, "own").is_empty() && used(&bench, "shared").is_empty());
}

#[test]
fn tiers_within_themselves_within_nothing_or_too_many_are_no_rule() {
    let counters = Counters::new(10);
    let compile = |tiers: &[TierDocument]| Tiers::compile(tiers, &counters);
    let chain = |number: usize, last: Option<&str>| -> Vec<TierDocument> {
        let name = |index: usize| format!("t{index}");
        let parent = |index: usize| (index + 1 < number).then(|| name(index + 1));
        let one =
            |index: usize| within(&name(index), 9, &[PerDocument::Global], parent(index).as_deref().or(last));
        (0..number).map(one).collect()
    };
    for wrong in [chain(1, Some("t0")), chain(3, Some("t0")), chain(3, Some("t1")), chain(2, Some("gone"))] {
        assert!(compile(&wrong).is_err(), "{wrong:?}");
    }
    let rule =
        |tiers: &[TierDocument]| LimitRule::compile(&rate_limit(&["t0"]), &compile(tiers).unwrap(), "", "");
    assert!(rule(&chain(8, None)).is_ok() && rule(&chain(9, None)).is_err());
}

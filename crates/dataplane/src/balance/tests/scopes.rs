//! Breakers of instances, and of routes that have one of their own.

use super::*;
use crate::snapshot::document::KeyDocument;

fn per_instance(change: impl FnOnce(&mut BreakerDocument)) -> ServiceDocument {
    let mut settings = BreakerDocument { scope: BreakerScope::Instance, minimum_requests: 4, ..breaker() };
    change(&mut settings);
    let instances = vec![instance("a:1", 1, 1), instance("b:2", 2, 1)];
    ServiceDocument { circuit_breaker: Some(settings), ..service(instances) }
}

/// Sends requests; those that come to `a` fail. Gives the names of the instances asked.
fn with_a_failing(service: &Arc<Service>, requests: usize, now: Instant) -> String {
    let ask = |_| {
        let target = pick(service, BreakerUse::Shared, now).ok()?;
        let name = target.instance.name.chars().next();
        target.finish(if name == Some('a') { Outcome::Failure } else { SUCCESS }, now);
        name
    };
    (0..requests).filter_map(ask).collect()
}

#[test]
fn an_instance_whose_breaker_is_open_is_not_picked_and_the_others_are() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(per_instance(|_| {}), &registry);
    assert_eq!(with_a_failing(&service, 16, now), "abababa".to_owned() + &"b".repeat(9));
    let states: Vec<_> =
        registry.summary(now)[0].breakers.iter().map(|one| (one.instance.clone(), one.state)).collect();
    let (a, b) = (Some("a:1".to_owned()), Some("b:2".to_owned()));
    assert_eq!(states, [(a, BreakerState::Open), (b, BreakerState::Closed)]);
    // One probe finds out, and the other instance serves meanwhile.
    assert_eq!(with_a_failing(&service, 6, now + 30 * SECOND).matches('a').count(), 1);
}

#[test]
fn with_every_breaker_open_the_refusal_tells_the_soonest() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(per_instance(|_| {}), &registry);
    send_many(&service, 7, Outcome::Failure, now);
    send(&service, Outcome::Failure, now + 10 * SECOND).unwrap();
    let (why, retry_after) = cause(send(&service, SUCCESS, now + 15 * SECOND).unwrap_err());
    assert!(matches!(why, Unavailable::BreakerOpen(_)));
    assert_eq!(retry_after, 15 * SECOND);
}

#[test]
fn the_breaker_of_an_instance_outlives_reloads_while_the_instance_is_listed() {
    let (registry, now) = (Registry::new(), Instant::now());
    with_a_failing(&live(per_instance(|_| {}), &registry), 8, now);
    let service = live(per_instance(|settings| settings.probes = 1), &registry);
    assert_eq!(with_a_failing(&service, 4, now), "bbbb");
    registry.set_instances("users", vec![instance("b:2", 2, 1)]).unwrap();
    assert_eq!(registry.summary(now)[0].breakers.len(), 1, "its state goes with it");
}

#[test]
fn an_instance_can_be_opened_by_its_name_and_all_by_that_of_the_service() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(per_instance(|_| {}), &registry);
    let open = BreakerChange::Open { by: "ann".to_owned(), why: None };
    assert_eq!(registry.change_breakers(Some("users@a:1"), &open, now), 1);
    assert_eq!(with_a_failing(&service, 3, now), "bbb");
    assert_eq!(registry.change_breakers(Some("users"), &open, now), 1);
    assert!(send(&service, SUCCESS, now).is_err());
    assert_eq!(reset(&registry, Some("users"), now), 2);
}

#[test]
fn a_route_with_its_own_breaker_opens_only_that_and_keeps_it_over_reloads() {
    let (registry, now) = (Registry::new(), Instant::now());
    let document =
        |names: [&str; 2]| ServiceDocument { own_breakers: names.map(str::to_owned).to_vec(), ..one() };
    let service = live(document(["pay", "search"]), &registry);
    for _ in 0..20 {
        pick(&service, BreakerUse::Own(0), now).unwrap().finish(Outcome::Failure, now);
    }
    assert!(pick(&service, BreakerUse::Own(0), now).is_err());
    assert!(pick(&service, BreakerUse::Own(1), now).is_ok());
    assert!(pick(&service, BreakerUse::Shared, now).is_ok());
    // By name, not by place.
    let service = live(document(["search", "pay"]), &registry);
    assert!(pick(&service, BreakerUse::Own(1), now).is_err());
    assert_eq!(reset(&registry, Some("users/pay"), now), 1);
    assert!(pick(&service, BreakerUse::Own(1), now).is_ok());
}

/// Services that choose in every way there is, with an open breaker at `a`.
fn with_a_open() -> [Arc<Service>; 5] {
    let open = BreakerChange::Open { by: "ann".to_owned(), why: None };
    let algorithms = [
        AlgorithmDocument::RoundRobin,
        AlgorithmDocument::Random,
        AlgorithmDocument::LeastRequests,
        AlgorithmDocument::PeakEwma { decay_ms: 1_000 },
        AlgorithmDocument::Hash(KeyDocument::ClientIp),
    ];
    algorithms.map(|algorithm| {
        let registry = Registry::new();
        // So heavy that hardly any draw is of the other.
        let instances = vec![instance("a:1", 1, 1_000), instance("b:2", 2, 1)];
        let document = ServiceDocument { instances, balance: balance(algorithm), ..per_instance(|_| {}) };
        let service = live(document, &registry);
        assert_eq!(registry.change_breakers(Some("users@a:1"), &open, Instant::now()), 1);
        service
    })
}

#[test]
fn no_algorithm_picks_an_instance_whose_breaker_is_open() {
    for service in with_a_open() {
        for random in 0..50 {
            let request = Request::new([10, 0, 0, random as u8].into());
            let target = ask(&service, &request, Instant::now(), |ask| ask.random = random).unwrap();
            assert_eq!(&*target.instance.name, "b:2", "{:?}", service.balance.algorithm);
        }
        // What its breaker keeps from requests that use it stays open to others.
        let name = |_| pick(&service, BreakerUse::None, Instant::now()).unwrap().instance.name.clone();
        assert!((0..50).map(name).any(|name| *name == *"a:1"));
    }
}

/// A request of a tenant, on a route where each has a breaker of its own.
fn of_tenant(
    service: &Arc<Service>,
    tenant: Option<&str>,
    outcome: Outcome,
    now: Instant,
) -> Result<(), Refusal> {
    let request = Request::new([127, 0, 0, 1].into());
    let (caller, breaker) = (Caller::anonymous(), BreakerUse::Tenant);
    let ask = Ask { request: &request, caller: &caller, tenant, breaker, now, random: 0, tried: &[] };
    let target = super::super::pick(service, &ask)?;
    target.finish(outcome, now);
    Ok(())
}

#[test]
fn what_fails_for_one_tenant_is_refused_to_it_alone() {
    for scope in [BreakerScope::Service, BreakerScope::Instance] {
        let (registry, now) = (Registry::new(), Instant::now());
        let settings = BreakerDocument { scope, minimum_requests: 4, ..breaker() };
        let service = live(ServiceDocument { circuit_breaker: Some(settings), ..one() }, &registry);
        (0..4).for_each(|_| of_tenant(&service, Some("noisy"), Outcome::Failure, now).unwrap());
        assert!(of_tenant(&service, Some("noisy"), SUCCESS, now).is_err());
        for other in [Some("acme"), None] {
            assert!(of_tenant(&service, other, SUCCESS, now).is_ok(), "{other:?}");
        }
        // A request of none counts for the breaker of all.
        (0..9).for_each(|_| drop(of_tenant(&service, None, Outcome::Failure, now)));
        assert!(of_tenant(&service, None, SUCCESS, now).is_err());
        assert!(of_tenant(&service, Some("acme"), SUCCESS, now).is_ok());
        let found = registry.change_breakers(Some("users:noisy"), &BreakerChange::Reset {}, now);
        assert_eq!((found, of_tenant(&service, Some("noisy"), SUCCESS, now).is_ok()), (1, true));
    }
}

#[test]
fn breakers_of_tenants_are_bounded_and_those_that_are_open_stay() {
    let (registry, now) = (Registry::new(), Instant::now());
    let settings = BreakerDocument { minimum_requests: 1, ..breaker() };
    let service = live(ServiceDocument { circuit_breaker: Some(settings), ..one() }, &registry);
    of_tenant(&service, Some("noisy"), Outcome::Failure, now).unwrap();
    for number in 0..5_000 {
        of_tenant(&service, Some(&format!("tenant-{number}")), SUCCESS, now).unwrap();
    }
    let breakers = registry.summary(now)[0].breakers.len();
    assert!((2..=2_001).contains(&breakers), "{breakers}");
    assert!(of_tenant(&service, Some("noisy"), SUCCESS, now).is_err());
}

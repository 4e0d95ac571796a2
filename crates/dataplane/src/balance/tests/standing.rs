//! Who may be sent requests: slow start, ejection, panic, draining, and the caps of a service.

use super::*;
use crate::snapshot::document::{CapsDocument, EjectionDocument, RateDocument};

const MILLISECOND: Duration = Duration::from_millis(1);

fn ejection() -> EjectionDocument {
    EjectionDocument {
        at: "gateway.yaml:5:1".to_owned(),
        consecutive_5xx: 5,
        consecutive_gateway_errors: 2,
        base_ms: 10_000,
        maximum_ms: 25_000,
        max_share: 50,
    }
}

fn with(count: u16, change: impl FnOnce(&mut ServiceDocument)) -> ServiceDocument {
    let list = (1..=count).map(|port| instance(&format!("i{port}:{port}"), port, 1)).collect();
    let mut document = ServiceDocument { circuit_breaker: None, ..service(list) };
    change(&mut document);
    document
}

fn ejecting(count: u16) -> Arc<Service> {
    live(with(count, |document| document.balance.ejection = Some(ejection())), &Registry::new())
}

/// Sends requests until so many have met the instance, and ends those with the outcome, all others well.
fn meet(service: &Arc<Service>, port: u16, times: usize, outcome: Outcome, now: Instant) {
    let mut left = times;
    for _ in 0..1_000 {
        let target = pick(service, BreakerUse::None, now).unwrap();
        let is_it = target.instance.address.port().unwrap() == port;
        target.finish(if is_it { outcome } else { Outcome::Answered(200) }, now);
        left -= usize::from(is_it);
        if left == 0 {
            return;
        }
    }
    panic!("it was not asked");
}

fn standings(service: &Arc<Service>, now: Instant) -> Vec<Standing> {
    service.instances().iter().map(|instance| service.terms().standing(instance, now)).collect()
}

/// How many of a thousand requests an instance gets.
fn share(service: &Arc<Service>, port: u16, now: Instant) -> usize {
    let request = Request::new([127, 0, 0, 1].into());
    let picked = |random| ask(service, &request, now, |ask| ask.random = random).unwrap();
    (0..1_000).filter(|random| picked(*random).instance.address.port().unwrap() == port).count()
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let now = Instant::now();
    let cases = [
        (Outcome::Answered(500), 5),
        (Outcome::FailedCall, 5),
        (Outcome::Failure, 2),
        (Outcome::Unreachable, 2),
    ];
    for (outcome, most) in cases {
        let service = ejecting(3);
        meet(&service, 2, most - 1, outcome, now);
        meet(&service, 2, 1, Outcome::Answered(200), now);
        meet(&service, 2, most - 1, outcome, now);
        assert_eq!(standings(&service, now)[1], Standing::Healthy, "{outcome:?}");
        meet(&service, 2, 1, outcome, now);
        assert_eq!(standings(&service, now)[1], Standing::Ejected, "{outcome:?}");
        assert_eq!(share(&service, 2, now), 0);
    }
}

#[test]
fn each_ejection_is_longer_until_the_longest_and_a_good_while_forgives() {
    let (service, mut now) = (ejecting(2), Instant::now());
    for seconds in [10, 20, 25, 25] {
        meet(&service, 1, 2, Outcome::Failure, now);
        let last = now + seconds * SECOND - MILLISECOND;
        assert_eq!(standings(&service, last)[0], Standing::Ejected);
        now = last + 2 * MILLISECOND;
        assert_eq!(standings(&service, now)[0], Standing::Healthy, "after {seconds} s");
    }
    now += 26 * SECOND;
    meet(&service, 1, 2, Outcome::Failure, now);
    assert_eq!(standings(&service, now + 11 * SECOND)[0], Standing::Healthy);
}

#[test]
fn no_more_than_the_share_is_ejected_and_a_lone_instance_never() {
    let now = Instant::now();
    let service = ejecting(4);
    (1..=4).for_each(|port| meet(&service, port, 2, Outcome::Failure, now));
    let out = standings(&service, now).iter().filter(|standing| **standing == Standing::Ejected).count();
    assert_eq!((out, service.ledger.counts().0), (2, 2));
    let lone = ejecting(1);
    meet(&lone, 1, 20, Outcome::Failure, now);
    assert_eq!(standings(&lone, now), [Standing::Healthy]);
}

#[test]
fn when_all_are_ejected_the_refusal_tells_when_the_first_is_back() {
    let all = EjectionDocument { max_share: 100, ..ejection() };
    let service = live(with(1, |document| document.balance.ejection = Some(all)), &Registry::new());
    let now = Instant::now();
    meet(&service, 1, 2, Outcome::Failure, now);
    let (cause, wait) = cause(pick(&service, BreakerUse::Shared, now + SECOND).unwrap_err());
    assert_eq!(cause, Unavailable::NoHealthyInstance);
    assert!((8 * SECOND..=9 * SECOND).contains(&wait), "{wait:?}");
    assert!(pick(&service, BreakerUse::Shared, now + 11 * SECOND).is_ok());
}

#[test]
fn what_is_known_of_failures_outlives_a_reload() {
    let registry = Registry::new();
    let document = with(2, |document| document.balance.ejection = Some(ejection()));
    let now = Instant::now();
    meet(&live(document.clone(), &registry), 1, 2, Outcome::Failure, now);
    let reloaded = ServiceDocument { health_check: None, ..document };
    assert_eq!(standings(&live(reloaded, &registry), now)[0], Standing::Ejected);
}

#[test]
fn below_the_threshold_all_are_asked_again_but_those_that_drain() {
    let document = with(5, |document| document.balance.panic_threshold = 50);
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(document, &registry);
    registry.drain("users", "i5:5", Some(now)).unwrap();
    for port in [1, 2] {
        meet(&service, port, 3, Outcome::Unreachable, now);
    }
    assert_eq!((share(&service, 1, now), registry.summary(now)[0].panics), (0, false));
    meet(&service, 3, 3, Outcome::Unreachable, now);
    assert!([1, 2, 3, 4].iter().all(|port| share(&service, *port, now) == 250));
    assert_eq!(share(&service, 5, now), 0);
    let summary = registry.summary(now).remove(0);
    assert_eq!((summary.panics, summary.panics_so_far), (true, 1));
    assert!(
        pick(&service, BreakerUse::Shared, now).unwrap().inputs().iter().any(|(name, _)| *name == "panic")
    );
}

#[test]
fn a_recovered_instance_comes_to_its_share_by_and_by() {
    for algorithm in [AlgorithmDocument::RoundRobin, AlgorithmDocument::Random] {
        let document = with(2, |document| {
            document.balance = BalanceDocument { slow_start_ms: 30_000, ..balance(algorithm) };
        });
        let (service, now) = (live(document, &Registry::new()), Instant::now());
        assert!((400..600).contains(&share(&service, 1, now)), "from the start nobody is slow");
        let instance = service.instances()[0].clone();
        (0..3).for_each(|_| _ = instance.observe(false, &health_check()));
        service.ledger.changed();
        assert_eq!(share(&service, 1, now), 0);
        (0..2).for_each(|_| _ = instance.observe(true, &health_check()));
        service.ledger.changed();
        let back = now + SECOND;
        // A tenth against a whole one, then a half, then two equals.
        assert!((40..160).contains(&share(&service, 1, back)), "{}", share(&service, 1, back));
        let half = share(&service, 1, back + 15 * SECOND);
        assert!((230..430).contains(&half), "{half}");
        assert!((400..600).contains(&share(&service, 1, back + 31 * SECOND)));
    }
}

#[test]
fn a_new_instance_of_a_list_starts_slowly_and_a_whole_new_list_does_not() {
    let slow = |count| with(count, |document| document.balance.slow_start_ms = 30_000);
    let (registry, now) = (Registry::new(), Instant::now());
    assert!(share(&live(slow(2), &registry), 2, now) > 400);
    let service = live(slow(3), &registry);
    assert!((1..120).contains(&share(&service, 3, now)), "{}", share(&service, 3, now));
    assert_eq!(registry.summary(now)[0].instances[2].share, 10);
    let list = (7..9).map(|port| instance(&format!("i{port}:{port}"), port, 1)).collect();
    registry.set_instances("users", list).unwrap();
    assert!(share(&service, 7, now) > 400, "where all are new they are alike");
}

#[test]
fn a_key_moves_to_an_instance_that_starts_slowly_once_and_stays() {
    let document = with(4, |document| {
        let key = crate::snapshot::document::KeyDocument::ClientIp;
        document.balance = BalanceDocument { slow_start_ms: 30_000, ..balance(AlgorithmDocument::Hash(key)) };
    });
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(document, &registry);
    registry.drain("users", "i1:1", Some(now)).unwrap();
    assert!(pick(&service, BreakerUse::Shared, now).is_ok());
    registry.drain("users", "i1:1", None).unwrap();
    let owner = |last: u8, now| {
        let request = Request::new([10, 0, 0, last].into());
        ask(&service, &request, now, |_| ()).unwrap().instance.address.port().unwrap()
    };
    let taken =
        |seconds| (0..=255).filter(|last| owner(*last, now + seconds * SECOND) == 1).collect::<Vec<_>>();
    let (early, late, all) = (taken(1), taken(15), taken(31));
    assert!(early.len() < late.len() && late.len() < all.len(), "{early:?} {late:?} {all:?}");
    assert!(early.iter().all(|key| late.contains(key)) && late.iter().all(|key| all.contains(key)));
}

#[test]
fn a_draining_instance_gets_nothing_over_reloads_and_new_lists() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(with(2, |_| ()), &registry);
    assert_eq!(registry.drain("users", "i1:1", Some(now)), Some(1));
    assert_eq!(registry.drain("users", "i1:1", Some(now)), Some(0), "it drains already");
    assert_eq!(registry.drain("users", "nobody:1", Some(now)), None);
    assert_eq!(registry.drain("nobody", "i1:1", Some(now)), None);
    assert_eq!(share(&service, 1, now), 0);
    let more = live(with(3, |_| ()), &registry);
    assert_eq!(share(&more, 1, now), 0);
    registry.set_instances("users", vec![instance("i2:2", 2, 1)]).unwrap();
    registry.set_instances("users", vec![instance("i1:1", 1, 1), instance("i2:2", 2, 1)]).unwrap();
    assert_eq!(share(&more, 1, now), 0, "a new instance of the same name");
    assert_eq!(registry.drain("users", "i1:1", None), Some(1));
    assert_eq!(share(&more, 1, now), 500);
}

#[test]
fn requests_in_flight_are_capped_and_their_places_given_back() {
    let caps = CapsDocument { max_in_flight: Some(2), rate: None };
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(with(3, |document| document.balance.caps = caps), &registry);
    let (first, second) =
        (pick(&service, BreakerUse::Shared, now).unwrap(), pick(&service, BreakerUse::Shared, now).unwrap());
    let refused = pick(&service, BreakerUse::Shared, now).unwrap_err();
    assert_eq!(cause(refused), (Unavailable::TooManyInFlight, SECOND));
    drop(first);
    let third = pick(&service, BreakerUse::Shared, now).unwrap();
    assert_eq!(service.ledger.in_flight(), 2);
    second.finish(Outcome::Answered(200), now);
    drop(third);
    assert_eq!(service.ledger.in_flight(), 0);
}

#[test]
fn requests_per_second_are_capped_with_a_burst_and_the_wait_is_told() {
    let caps = CapsDocument { max_in_flight: None, rate: Some(RateDocument { per_second: 10, burst: 3 }) };
    let service = live(with(1, |document| document.balance.caps = caps), &Registry::new());
    let mut now = Instant::now() + SECOND;
    let passes = |now| (0..20).take_while(|_| pick(&service, BreakerUse::Shared, now).is_ok()).count();
    assert_eq!(passes(now), 3);
    let (reason, wait) = cause(pick(&service, BreakerUse::Shared, now).unwrap_err());
    assert_eq!((reason, wait.as_millis()), (Unavailable::TooManyPerSecond, 100));
    now += 100 * MILLISECOND;
    assert_eq!(passes(now), 1);
    let passed: usize = (1..=100).map(|step| passes(now + step * 100 * MILLISECOND)).sum();
    assert_eq!(passed, 100, "ten a second over ten seconds");
    assert_eq!(passes(now + 100 * SECOND), 3, "what nobody used is not saved up");
}

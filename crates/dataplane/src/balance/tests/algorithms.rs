//! Each algorithm with numbers that are given: the same numbers, the same instances.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::balance::draw::{Dice, Urn};
use crate::balance::maglev::{Table, hash};
use crate::request::{Header, Known};
use crate::snapshot::document::KeyDocument;

const MILLISECOND: Duration = Duration::from_millis(1);

fn many(weights: &[u32], algorithm: AlgorithmDocument) -> Arc<Service> {
    let list = (1..).zip(weights).map(|(port, weight)| instance(&format!("i{port}:{port}"), port, *weight));
    let document = ServiceDocument { balance: balance(algorithm), ..service(list.collect()) };
    live(document, &Registry::new())
}

fn request(headers: &[(&str, Known, &str)]) -> Request {
    let mut request = Request::new([127, 0, 0, 1].into());
    request.path = request.append(b"/");
    for (name, known, value) in headers {
        let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
        request.headers.push(Header { name, value, known: *known });
    }
    request
}

fn picked(service: &Arc<Service>, request: &Request, random: u64) -> Target {
    ask(service, request, Instant::now(), |ask| ask.random = random).unwrap()
}

/// How often each port was chosen by so many requests that end at once.
fn counts(service: &Arc<Service>, requests: u64) -> BTreeMap<u16, u64> {
    let (request, mut counts) = (request(&[]), BTreeMap::new());
    for random in 0..requests {
        *counts.entry(picked(service, &request, random).instance.address.port().unwrap()).or_default() += 1;
    }
    counts
}

fn fall(service: &Arc<Service>, port: u16) {
    let instances = service.instances();
    let instance = instances.iter().find(|instance| instance.address.port().unwrap() == port).unwrap();
    (0..3).for_each(|_| _ = instance.observe(false, &health_check()));
    service.ledger.changed();
}

fn ewma() -> AlgorithmDocument {
    AlgorithmDocument::PeakEwma { decay_ms: 10_000 }
}

fn by_header() -> AlgorithmDocument {
    AlgorithmDocument::Hash(KeyDocument::Header("x-tenant".to_owned()))
}

proptest! {
    #[test]
    fn draws_follow_the_weights(weights in prop::collection::vec(1_u32..20, 1..12), seed in any::<u64>()) {
        let (urn, mut dice, draws) = (Urn::new(&weights), Dice::new(seed), 20_000);
        let mut counts = vec![0_f64; weights.len()];
        (0..draws).for_each(|_| counts[urn.draw(&mut dice).unwrap()] += 1.0);
        let total: u32 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(&weights) {
            let share = f64::from(*weight) / f64::from(total);
            // Six standard deviations: fails once in hundreds of millions.
            let deviation = (share * (1.0 - share) / f64::from(draws)).sqrt();
            prop_assert!((count / f64::from(draws) - share).abs() <= 6.0 * deviation + 1e-9);
        }
    }

    #[test]
    fn no_algorithm_chooses_an_instance_that_is_out(
        weights in prop::collection::vec(1_u32..5, 2..40),
        out in prop::collection::vec(any::<bool>(), 40),
        seed in any::<u64>(),
    ) {
        for algorithm in [AlgorithmDocument::RoundRobin, AlgorithmDocument::LeastRequests, ewma(),
            AlgorithmDocument::Random, AlgorithmDocument::Hash(KeyDocument::ClientIp), by_header()]
        {
            let service = many(&weights, algorithm);
            let is_out = |port: u16| out[usize::from(port) - 1] && usize::from(port) != weights.len();
            (1..=weights.len() as u16).filter(|port| is_out(*port)).for_each(|port| fall(&service, port));
            for random in 0..50 {
                let request = request(&[("x-tenant", Known::Other, &format!("{random}"))]);
                let target = picked(&service, &request, seed.wrapping_add(random));
                prop_assert!(!is_out(target.instance.address.port().unwrap()));
            }
        }
    }
}

#[test]
fn an_idle_service_is_used_by_weight_whatever_the_algorithm() {
    for algorithm in [AlgorithmDocument::Random, AlgorithmDocument::LeastRequests] {
        let counts = counts(&many(&[1, 3], algorithm), 8_000);
        assert!((5_700..6_300).contains(&counts[&2]), "{counts:?}");
    }
}

#[test]
fn the_fewest_requests_for_its_weight_decide() {
    let service = many(&[1, 3], AlgorithmDocument::LeastRequests);
    let request = request(&[]);
    let held: Vec<Target> = (0..40).map(|random| picked(&service, &request, random)).collect();
    let in_flight: Vec<u32> = service.instances().iter().map(|instance| instance.in_flight()).collect();
    assert_eq!(in_flight, [10, 30]);
    drop(held);
}

#[test]
fn of_many_instances_the_busy_ones_are_avoided_without_looking_at_all() {
    let service = many(&[1; 500], AlgorithmDocument::LeastRequests);
    let request = request(&[]);
    let held: Vec<Target> = (0..500).map(|random| picked(&service, &request, random)).collect();
    let most = service.instances().iter().map(|instance| instance.in_flight()).max().unwrap();
    assert!(most <= 2, "{most}");
    drop(held);
}

#[test]
fn the_quicker_of_two_gets_nearly_all_and_the_slow_one_is_tried_again() {
    let service = many(&[1, 1], ewma());
    let (request, now) = (request(&[]), Instant::now());
    let taken = |port| if port == 1 { 100 * MILLISECOND } else { MILLISECOND };
    let mut slow = 0;
    for random in 0..100 {
        let target = ask(&service, &request, now, |ask| ask.random = random).unwrap();
        let port = target.instance.address.port().unwrap();
        slow += u32::from(port == 1);
        let ended = now + taken(port);
        target.answered(200, ended);
        target.finish(Outcome::Answered(200), ended);
    }
    assert_eq!(slow, 1, "once, to learn that it is slow");
    let later = now + 60 * SECOND;
    let quick = service.instances()[1].clone();
    quick.answered(MILLISECOND, 10 * SECOND, later);
    assert_eq!(ask(&service, &request, later, |_| ()).unwrap().instance.address.port().unwrap(), 1);
}

#[test]
fn an_instance_that_refuses_at_once_does_not_look_quick() {
    let service = many(&[1, 1], ewma());
    let (request, now) = (request(&[]), Instant::now());
    let [bad, good] = &service.instances()[..] else { panic!() };
    good.answered(50 * MILLISECOND, 10 * SECOND, now);
    ask(&service, &request, now, |_| ()).unwrap().finish(Outcome::Unreachable, now);
    assert!(bad.latency(10 * SECOND, now).unwrap() >= 1e6);
    assert_eq!(ask(&service, &request, now, |_| ()).unwrap().instance.address.port().unwrap(), 2);
}

#[test]
fn one_key_is_one_instance_and_no_key_is_any() {
    let service = many(&[1; 5], by_header());
    for tenant in ["a", "b", "c"] {
        let request = request(&[("x-tenant", Known::Other, tenant)]);
        let first = picked(&service, &request, 0);
        assert!(
            (1..50).all(|random| picked(&service, &request, random).instance.name == first.instance.name)
        );
        assert_eq!(first.reason, Reason::Hash { key: "header", is_moved: false });
    }
    assert_eq!(counts(&service, 200).len(), 5);
    assert_eq!(picked(&service, &request(&[]), 0).reason, Reason::NoKey { key: "header" });
}

#[test]
fn cookies_callers_addresses_and_paths_are_keys() {
    let spread = |key: KeyDocument, make: &dyn Fn(u8) -> (Request, Caller)| {
        let service = many(&[1; 5], AlgorithmDocument::Hash(key));
        let port = |number, random| {
            let (request, caller) = make(number);
            let ask = Ask {
                request: &request,
                caller: &caller,
                tenant: None,
                breaker: BreakerUse::Shared,
                now: Instant::now(),
                random,
                tried: &[],
            };
            super::super::pick(&service, &ask).unwrap().instance.address.port().unwrap()
        };
        assert!((0..40).all(|number| port(number, 1) == port(number, 2)));
        assert_eq!((0..40).map(|number| port(number, 0)).collect::<std::collections::BTreeSet<_>>().len(), 5);
    };
    spread(KeyDocument::Cookie("id".to_owned()), &|number| {
        (request(&[("cookie", Known::Cookie, &format!("other=1; id={number}; idx=2"))]), Caller::anonymous())
    });
    spread(KeyDocument::Caller, &|number| {
        (request(&[]), Caller { user: Some(format!("user {number}").into()), ..Caller::anonymous() })
    });
    spread(KeyDocument::ClientIp, &|number| {
        (Request { client: [10, 0, 0, number].into(), ..request(&[]) }, Caller::anonymous())
    });
    spread(KeyDocument::Path, &|number| {
        let mut request = request(&[]);
        request.path = request.append(format!("/{number}").as_bytes());
        (request, Caller::anonymous())
    });
}

fn members(count: usize, but: usize) -> Vec<(String, u32)> {
    (0..count).filter(|index| *index != but).map(|index| (format!("instance {index}"), 1)).collect()
}

#[test]
fn an_instance_that_leaves_moves_hardly_any_key_of_the_others() {
    for count in [5, 50, 700] {
        let (before, after) = (members(count, usize::MAX), members(count, 2));
        let tables = (Table::new(&before), Table::new(&after));
        let keys = 20_000_u64;
        let name = |list: &[(String, u32)], table: &Table, key: u64| {
            list[table.find(hash(&key.to_le_bytes())).unwrap()].0.clone()
        };
        let moved = (0..keys).filter(|key| {
            let owner = name(&before, &tables.0, *key);
            owner != "instance 2" && owner != name(&after, &tables.1, *key)
        });
        let moved = moved.count() as f64 / keys as f64;
        assert!(moved < 0.05, "{moved} of the keys moved among {count}");
    }
}

#[test]
fn the_table_keeps_weights_and_does_not_care_for_the_order_of_the_list() {
    let list = vec![("a".to_owned(), 1), ("b".to_owned(), 3), ("c".to_owned(), 1000)];
    let turned: Vec<_> = list.iter().rev().cloned().collect();
    let (table, other) = (Table::new(&list), Table::new(&turned));
    let mut counts = [0_u32; 3];
    for hash in 0..65_537 {
        counts[table.find(hash).unwrap()] += 1;
        assert_eq!(list[table.find(hash).unwrap()], turned[other.find(hash).unwrap()]);
    }
    assert!((60..=70).contains(&counts[0]) && (190..=200).contains(&counts[1]), "{counts:?}");
    assert!(Table::new(&[]).find(1).is_none());
}

#[test]
fn a_key_whose_instance_is_out_moves_and_comes_back_and_the_others_stay() {
    let service = many(&[1; 10], by_header());
    let owners = |service: &Arc<Service>| -> Vec<u16> {
        let port = |key: u64| {
            let request = request(&[("x-tenant", Known::Other, &key.to_string())]);
            picked(service, &request, key).instance.address.port().unwrap()
        };
        (0..500).map(port).collect()
    };
    let before = owners(&service);
    fall(&service, 4);
    for (was, is) in before.iter().zip(owners(&service)) {
        assert!(if *was == 4 { is != 4 } else { is == *was });
    }
    let instance = service.instances()[3].clone();
    (0..2).for_each(|_| _ = instance.observe(true, &health_check()));
    service.ledger.changed();
    assert_eq!(owners(&service), before);
}

#[test]
fn a_hundred_instances_and_more_keep_their_weights_in_turn() {
    let weights: Vec<u32> = (0..200).map(|index| if index == 0 { 20 } else { 1 }).collect();
    let counts = counts(&many(&weights, AlgorithmDocument::RoundRobin), 219 * 4);
    assert_eq!((counts[&1], counts[&2], counts[&200]), (80, 4, 4));
}

/// The ports that one request is sent to, attempt by attempt.
fn attempts(service: &Arc<Service>, request: &Request, count: u64) -> Vec<u16> {
    let (mut tried, mut ports) = (Vec::new(), Vec::new());
    for random in 0..count {
        let beside: Vec<&Arc<Instance>> = tried.iter().collect();
        let caller = Caller::anonymous();
        let (breaker, now) = (BreakerUse::Shared, Instant::now());
        let ask = Ask { request, caller: &caller, tenant: None, breaker, now, random, tried: &beside };
        let target = super::super::pick(service, &ask).unwrap();
        ports.push(target.instance.address.port().unwrap());
        tried.push(Arc::clone(&target.instance));
    }
    ports
}

#[test]
fn every_algorithm_sends_another_attempt_to_an_instance_that_was_not_tried() {
    let keyed = request(&[("x-tenant", Known::Other, "a")]);
    for scope in [BreakerScope::Service, BreakerScope::Instance] {
        for algorithm in [
            AlgorithmDocument::RoundRobin,
            AlgorithmDocument::LeastRequests,
            ewma(),
            by_header(),
            AlgorithmDocument::Random,
        ] {
            let list = (1..=4)
                .map(|port| instance(&format!("i{port}:{port}"), port, if port == 1 { 50 } else { 1 }));
            let circuit_breaker = Some(BreakerDocument { scope, ..breaker() });
            let document = ServiceDocument {
                balance: balance(algorithm.clone()),
                circuit_breaker,
                ..service(list.collect())
            };
            let service = live(document, &Registry::new());
            let mut ports = attempts(&service, &keyed, 6);
            let again = ports.split_off(4);
            ports.sort_unstable();
            assert_eq!(ports, [1, 2, 3, 4], "{algorithm:?}");
            assert!(again.iter().all(|port| (1..=4).contains(port)), "rather the same again than none");
        }
    }
}

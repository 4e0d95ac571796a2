use super::*;
use crate::balance::schedule::smooth;

fn order(service: &Arc<Service>, count: usize) -> String {
    let now = Instant::now();
    let name = |_| pick(service, BreakerUse::Shared, now).unwrap().instance.name.get(..1).unwrap().to_owned();
    (0..count).map(name).collect()
}

fn fail(service: &Arc<Service>, instance: &str, times: usize) {
    let now = Instant::now();
    let mut left = times;
    while left > 0 {
        let target = pick(service, BreakerUse::None, now).unwrap();
        if *target.instance.name == *instance {
            target.finish(Outcome::Unreachable, now);
            left -= 1;
        }
    }
}

fn three(weights: [u32; 3]) -> ServiceDocument {
    let names = ["a:1", "b:2", "c:3"].iter().zip(1..).zip(weights);
    service(names.map(|((name, port), weight)| instance(name, port, weight)).collect())
}

#[test]
fn weights_are_kept_exactly_and_spread_smoothly() {
    let registry = Registry::new();
    assert_eq!(order(&live(three([5, 1, 1]), &registry), 14), "aabacaaaabacaa");
    assert_eq!(order(&live(three([1, 1, 1]), &Registry::new()), 6), "abcabc");
}

#[test]
fn weights_with_a_common_divisor_give_the_short_schedule() {
    assert_eq!(smooth(&[500, 100, 100]), smooth(&[5, 1, 1]));
    assert_eq!(smooth(&[7]), [0]);
    assert!(smooth(&[]).is_empty());
}

#[test]
fn huge_weights_are_scaled_and_the_smallest_keeps_a_place() {
    let schedule = smooth(&[u32::MAX, u32::MAX / 3, 1]);
    assert!(schedule.len() <= 1_003, "{}", schedule.len());
    let count = |wanted: u32| schedule.iter().filter(|place| **place == wanted).count();
    assert_eq!((count(0), count(1), count(2)), (749, 249, 1));
}

#[test]
fn an_unhealthy_instance_is_skipped_and_the_others_keep_their_turns() {
    for (bad, place) in [("a:1", 'a'), ("c:3", 'c')] {
        let service = live(three([1, 1, 1]), &Registry::new());
        fail(&service, bad, 3);
        assert!(!order(&service, 30).contains(place));
    }
    let registry = Registry::new();
    fail(&live(three([1, 1, 1]), &registry), "b:2", 3);
    let health: Vec<bool> = registry.summary(Instant::now())[0]
        .instances
        .iter()
        .map(|one| one.standing == Standing::Healthy)
        .collect();
    assert_eq!(health, [true, false, true]);
}

#[test]
fn only_failures_in_a_row_take_an_instance_out() {
    let service = live(one(), &Registry::new());
    for _ in 0..5 {
        fail(&service, "a:1", 2);
        pick(&service, BreakerUse::None, Instant::now()).unwrap().finish(SUCCESS, Instant::now());
    }
    assert!(service.instances()[0].health().healthy);
}

#[test]
fn a_bad_answer_is_no_matter_of_health() {
    let service = live(one(), &Registry::new());
    for _ in 0..10 {
        pick(&service, BreakerUse::None, Instant::now()).unwrap().finish(Outcome::Failure, Instant::now());
    }
    assert!(service.instances()[0].health().healthy);
}

#[test]
fn without_a_health_check_traffic_never_takes_an_instance_out() {
    let service = live(ServiceDocument { health_check: None, ..one() }, &Registry::new());
    fail(&service, "a:1", 100);
    assert!(pick(&service, BreakerUse::None, Instant::now()).is_ok());
}

#[test]
fn no_healthy_instance_is_refused_with_the_interval_of_the_check() {
    let service = live(one(), &Registry::new());
    fail(&service, "a:1", 3);
    let refusal = pick(&service, BreakerUse::Shared, Instant::now()).unwrap_err();
    assert_eq!(cause(refusal), (Unavailable::NoHealthyInstance, 10 * SECOND));
}

#[test]
fn an_empty_list_is_refused_as_such() {
    let service = live(service(Vec::new()), &Registry::new());
    assert_eq!(
        cause(pick(&service, BreakerUse::Shared, Instant::now()).unwrap_err()).0,
        Unavailable::NoInstance
    );
}

#[test]
fn requests_under_way_are_counted_until_they_end_in_any_way() {
    let now = Instant::now();
    let service = live(one(), &Registry::new());
    let (first, second) =
        (pick(&service, BreakerUse::Shared, now).unwrap(), pick(&service, BreakerUse::Shared, now).unwrap());
    assert_eq!(service.instances()[0].in_flight(), 2);
    first.finish(SUCCESS, now);
    drop(second);
    assert_eq!(service.instances()[0].in_flight(), 0);
}

#[test]
fn health_falls_after_three_failures_and_rises_after_two_successes() {
    let (settings, mut health) = (health_check(), Health::default());
    let mut steps = Vec::new();
    for ok in [false, false, true, false, false, false, false, true, false, true, true, true] {
        steps.push(health.observe(ok, &settings));
        assert_eq!(Health::unpack(health.pack()), health);
    }
    let mut expected = [None; 12];
    expected[5] = Some(Transition::BecameUnhealthy);
    expected[10] = Some(Transition::BecameHealthy);
    assert_eq!(steps, expected);
}

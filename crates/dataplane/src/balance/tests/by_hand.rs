//! Changes from outside the rules: by a person, and by other nodes.

use super::*;

fn change(text: &str) -> BreakerChange {
    serde_json::from_str(text).unwrap()
}

fn open() -> BreakerChange {
    change(r#"{"action": "open", "by": "ann", "why": "maintenance"}"#)
}

#[test]
fn held_open_it_stays_open_for_ever_and_says_who_and_why() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(one(), &registry);
    assert_eq!(registry.change_breakers(Some("users"), &open(), now), 1);
    let later = now + 86_400 * SECOND;
    let Unavailable::BreakerOpen(told) = cause(send(&service, SUCCESS, later).unwrap_err()).0 else {
        panic!()
    };
    assert_eq!(told.rule, "opened_by_hand");
    let summary = breaker_of(&registry, later);
    let held = BreakerHold { by: "ann".to_owned(), why: Some("maintenance".to_owned()), at: now };
    assert_eq!((summary.state, summary.hold), (BreakerState::Open, Some(held)));
    assert_eq!(reset(&registry, Some("users"), later), 1);
    send(&service, SUCCESS, later).unwrap();
    assert_eq!(breaker_of(&registry, later).hold, None);
}

#[test]
fn held_closed_it_counts_and_never_opens_until_it_is_reset() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(one(), &registry);
    send_many(&service, 20, Outcome::Failure, now);
    registry.change_breakers(None, &change(r#"{"action": "close", "by": "ann", "why": null}"#), now);
    send_many(&service, 100, Outcome::Failure, now);
    let summary = breaker_of(&registry, now);
    assert_eq!((summary.state, summary.tally.failures, summary.share), (BreakerState::Closed, 100, 100));
    assert_eq!(reset(&registry, None, now), 1);
    send_many(&service, 20, Outcome::Failure, now);
    assert_eq!(state(&registry, now), BreakerState::Open);
}

#[test]
fn a_hold_survives_a_reload() {
    let (registry, now) = (Registry::new(), Instant::now());
    live(one(), &registry);
    registry.change_breakers(None, &open(), now);
    let service = live(ServiceDocument { health_check: None, ..one() }, &registry);
    assert!(send(&service, SUCCESS, now).is_err());
}

#[test]
fn another_nodes_opening_lasts_as_long_as_it_says_but_never_longer_than_ours_may() {
    for (milliseconds, seconds) in [(5_000, 5), (u64::MAX, 120)] {
        let (registry, now) = (Registry::new(), Instant::now());
        let service = live(one(), &registry);
        let opened = BreakerChange::SharedOpen { for_ms: milliseconds };
        assert_eq!(registry.change_breakers(Some("users"), &opened, now), 1);
        assert_eq!(breaker_of(&registry, now).remaining, seconds * SECOND);
        assert_eq!(registry.change_breakers(Some("users"), &opened, now), 0, "it is open already");
        send(&service, SUCCESS, now + seconds * SECOND).unwrap();
        assert_eq!(state(&registry, now + seconds * SECOND), BreakerState::HalfOpen);
    }
}

#[test]
fn another_nodes_closing_closes_with_the_ramp() {
    let (registry, now) = (Registry::new(), Instant::now());
    let settings = BreakerDocument { ramp_ms: 120_000, ..breaker() };
    let service = live(ServiceDocument { circuit_breaker: Some(settings), ..one() }, &registry);
    send_many(&service, 20, Outcome::Failure, now);
    assert_eq!(registry.change_breakers(Some("users"), &BreakerChange::SharedClosed {}, now), 1);
    let summary = breaker_of(&registry, now);
    assert_eq!((summary.state, summary.share), (BreakerState::Closed, 10));
    assert_eq!(registry.change_breakers(Some("users"), &BreakerChange::SharedClosed {}, now), 0);
}

#[test]
fn what_a_person_holds_no_other_node_moves() {
    let (registry, now) = (Registry::new(), Instant::now());
    live(one(), &registry);
    registry.change_breakers(None, &open(), now);
    assert_eq!(registry.change_breakers(None, &BreakerChange::SharedClosed {}, now), 0);
    registry.change_breakers(None, &change(r#"{"action": "close", "by": "ann", "why": null}"#), now);
    assert_eq!(registry.change_breakers(None, &BreakerChange::SharedOpen { for_ms: 9_000 }, now), 0);
    assert_eq!(state(&registry, now), BreakerState::Closed);
}

//! What a worker remembers, and how short that is believed.

use super::*;
use crate::authenticate::cache::{NewEntry, Proof, Sought};
use crate::authenticate::standing::{Judged, Marks, Watch};
use CredentialFault as Fault;

fn is_remembered(route: &mut Route, token: &str, now: u64) -> bool {
    route.bearer_at(token, now).unwrap().cached
}

#[test]
fn a_verified_token_is_remembered_for_a_minute() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("ES256", json!({}));
    assert!(!is_remembered(&mut route, &good, NOW));
    assert!(is_remembered(&mut route, &good, NOW + 59_999));
    assert!(!is_remembered(&mut route, &good, NOW + 60_000));
    assert!(is_remembered(&mut route, &good, NOW + 60_001));
    assert_eq!(route.cache.len(), 1);
}

#[test]
fn a_remembered_token_ends_with_its_expiry() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("ES256", json!({"exp": NOW_S - 20}));
    assert!(route.bearer(&good).is_ok());
    assert!(is_remembered(&mut route, &good, NOW + 9_999));
    assert_eq!(fault_of(route.bearer_at(&good, NOW + 10_000)), Fault::Expired);
}

#[test]
fn a_remembered_token_is_not_good_before_its_beginning() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("ES256", json!({"nbf": NOW_S}));
    assert!(route.bearer(&good).is_ok());
    assert_eq!(fault_of(route.bearer_at(&good, NOW - 31_000)), Fault::NotYetValid);
}

#[test]
fn a_key_change_is_noticed_by_the_next_request() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("ES256", json!({}));
    route.bearer(&good).unwrap();
    assert!(is_remembered(&mut route, &good, NOW));
    route.store.set("mobile", &key_set(&[jwk("EdDSA")])).unwrap();
    assert_eq!(route.fault(&good), Fault::UnknownKey);
    route.store.set("mobile", &key_set(&[])).unwrap();
    assert_eq!(
        route.bearer(&good),
        Err(Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NoKeys })
    );
}

#[test]
fn another_token_is_never_taken_for_a_remembered_one() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("ES256", json!({}));
    route.bearer(&good).unwrap();
    let end = good.rfind('.').unwrap();
    let bad = format!("{}.{}", &good[..end], encode([7; 64]));
    assert_eq!(route.fault(&bad), Fault::BadSignature);
    assert!(is_remembered(&mut route, &good, NOW));
}

#[test]
fn failures_are_not_remembered() {
    let mut route = Route::with_every_key(json!({}));
    for _ in 0..3 {
        route.fault(&token("ES256", json!({"exp": 1})));
        route.fault("a.b.c");
    }
    assert!(route.cache.is_empty());
}

#[test]
fn a_reload_keeps_what_it_did_not_change_and_forgets_what_it_did() {
    let keys = json!({"keys": {"keys": [jwk("ES256")]}});
    let mut route = Route::new(&[jwt("mobile", keys.clone())], false);
    let good = token("ES256", json!({}));
    route.bearer(&good).unwrap();
    route.reload(&[jwt("mobile", keys.clone())]);
    assert!(is_remembered(&mut route, &good, NOW));
    for (changes, fault) in [
        (json!({"audiences": ["other"]}), Some(Fault::WrongAudience)),
        (json!({"issuers": ["https://other.example"]}), Some(Fault::WrongIssuer)),
        (json!({"keys": {"keys": [jwk("EdDSA")]}}), Some(Fault::UnknownKey)),
        (json!({"scope_claims": []}), None),
    ] {
        route.reload(&[jwt("mobile", changed(keys.clone(), changes))]);
        let answer = route.bearer(&good);
        match fault {
            Some(fault) => assert_eq!(fault_of(answer), fault),
            None => assert_eq!(&*answer.unwrap().scopes_text, ""),
        }
    }
}

#[test]
fn an_identity_that_moves_in_the_list_is_recorded_at_its_new_place() {
    let mobile = jwt("mobile", json!({"keys": {"keys": [jwk("ES256")]}}));
    let other = jwt("other", json!({"issuers": ["https://other.example"]}));
    let mut route = Route::new(&[mobile.clone(), other.clone()], false);
    let good = token("ES256", json!({}));
    assert_eq!(route.bearer(&good).unwrap().identity, Some(0));
    route.reload(&[other, mobile]);
    for _ in 0..2 {
        assert_eq!(route.bearer(&good).unwrap().identity, Some(1));
    }
}

#[test]
fn two_tokens_of_one_hash_are_told_apart() {
    let mut cache = TokenCache::new(10);
    let (caller, proof) = (Caller::anonymous(), Proof { identity: 1, keys: 1 });
    let marks = Marks::default();
    let judged = Judged { caller, valid_from_ms: 0, valid_until_ms: 100, marks, revocations: 0 };
    cache.insert(NewEntry { hash: 7, token: b"one", proof, judged }, 50);
    let watch = Watch::new("mobile", &Arc::default());
    let sought = |token, proof| Sought { hash: 7, token, proof, watch: &watch };
    assert!(cache.get(&sought(b"one", proof), 50).is_some());
    assert!(cache.get(&sought(b"two", proof), 50).is_none());
    assert!(cache.get(&sought(b"one", Proof { identity: 2, keys: 1 }), 50).is_none());
}

#[test]
fn the_capacity_is_never_exceeded_and_busy_tokens_stay() {
    let mut route = Route::with_every_key(json!({}));
    route.cache = TokenCache::new(10);
    let busy = token("HS256", json!({"sub": "busy"}));
    route.bearer(&busy).unwrap();
    for number in 0..100 {
        route.bearer(&token("HS256", json!({"sub": format!("user-{number}")}))).unwrap();
        assert!(route.cache.len() <= 10);
        assert!(is_remembered(&mut route, &busy, NOW), "{number}");
    }
    let last = token("HS256", json!({"sub": "user-99"}));
    assert!(is_remembered(&mut route, &last, NOW));
    assert!(!is_remembered(&mut route, &token("HS256", json!({"sub": "user-5"})), NOW));
}

#[test]
fn a_new_capacity_holds_at_once() {
    let mut route = Route::with_every_key(json!({}));
    route.cache = TokenCache::new(0);
    route.cache.set_capacity(10);
    let tokens: Vec<_> = (0..10).map(|number| token("HS256", json!({"sub": format!("{number}")}))).collect();
    for good in &tokens {
        route.bearer(good).unwrap();
    }
    assert_eq!(route.cache.len(), 10);
    route.cache.set_capacity(10);
    assert_eq!(route.cache.len(), 10, "the same capacity forgets nothing");
    route.cache.set_capacity(4);
    assert!(route.cache.is_empty());
    for good in &tokens {
        route.bearer(good).unwrap();
        assert!(route.cache.len() <= 4);
    }
}

#[test]
fn no_capacity_remembers_nothing() {
    let mut route = Route::with_every_key(json!({}));
    for capacity in [0, 1] {
        route.cache = TokenCache::new(capacity);
        let good = token("HS256", json!({}));
        assert!(!is_remembered(&mut route, &good, NOW) && !is_remembered(&mut route, &good, NOW));
        assert!(route.cache.is_empty());
    }
}

#[test]
#[ignore = "a measurement, not a claim: run it with --release or --profile quick"]
fn measure_a_hit_and_every_miss() {
    let mut route = Route::with_every_key(json!({}));
    for algorithm in ["HS256", "RS256", "PS256", "ES256", "EdDSA"] {
        let value = format!("Bearer {}", token(algorithm, json!({"pad": "x".repeat(100)})));
        let request =
            request(&[("host", "a"), ("accept", "b"), ("authorization", &value), ("user-agent", "c")]);
        for (what, capacity, rounds) in [("hit", 100, 1_000_000), ("miss", 0, 10_000)] {
            route.cache = TokenCache::new(capacity);
            let start = std::time::Instant::now();
            for _ in 0..rounds {
                identify(Some(&route.policy), &request, &mut route.cache, None, NOW).unwrap();
            }
            let each = start.elapsed().as_nanos() / rounds;
            println!("{algorithm} {what}: {each} ns, value of {} bytes", value.len());
        }
    }
}

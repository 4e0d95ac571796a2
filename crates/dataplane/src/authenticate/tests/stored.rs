//! API keys of a store that is asked for each key once.

use super::super::stored_identity::key_of;
use super::*;
use crate::refusal::Unjudged;
use crate::snapshot::document::{ApiKeyEntryDocument, KeyRefusalDocument, KeyStoreDocument};
use CredentialFault as Fault;

const SECRET: &str = "a secret of the store";
const PREVIOUS: &str = "the secret before it";
const PREFIX: &str = "AbCdEfGhIj12";
const AT_NOW: Believed = Believed { now_ms: NOW, for_ms: None };
const RANDOM: &str = "0123456789abcdefghijklmnopqrstuv";

pub(super) fn key_store() -> KeyStoreDocument {
    KeyStoreDocument {
        secret: SECRET.to_owned(),
        previous_secret: Some(PREVIOUS.to_owned()),
        cache_ttl_ms: 300_000,
        cache_keys: 1_600,
        refused_ttl_ms: 30_000,
        cache_refused: 160,
        timeout_ms: 1_000,
        max_lookups: 10,
        lookups_per_address: 10,
    }
}

fn stored(name: &str) -> IdentityDocument {
    identity(name, json!({"api_key": {"header": "x-api-key", "pepper": null, "keys": null, "stored": true}}))
}

fn route() -> Route {
    let route = Route::new(&[stored("partners")], false);
    route.store.stored().configure(&key_store());
    route
}

fn entry(id: &str, hash: &str) -> ApiKeyEntryDocument {
    let networks = ["203.0.113.0/24"];
    let entry = json!({"id": id, "hash": hash, "partner": "acme", "scopes": ["a"], "tier": "gold",
        "expires_at_ms": null, "networks": networks});
    serde_json::from_value(entry).unwrap()
}

fn refused<'a>(
    why: KeyRefusalDocument,
    id: Option<&'a str>,
) -> Result<&'a ApiKeyEntryDocument, KeyRefusal<'a>> {
    Err(KeyRefusal { why, id })
}

fn ask(route: &mut Route, key: &str, now: u64) -> Result<Arc<Caller>, Refusal> {
    route.ask(&[("x-api-key", key)], now)
}

fn not_looked_up() -> Refusal {
    Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NotLookedUp }
}

#[test]
fn an_unknown_key_is_to_be_looked_up_by_everything_but_itself() {
    let mut route = route();
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    assert_eq!(ask(&mut route, &key, NOW), Err(not_looked_up()));
    let Some(Wanted::Key(wanted)) = route.cache.take_wanted() else { panic!("no key is wanted") };
    assert_eq!((wanted.identity, &*wanted.prefix), (0, PREFIX));
    assert_eq!(wanted.hash, super::super::api_keys::hash_from_hex(&hash).unwrap());
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    assert_eq!(wanted.sha256, sha256.as_ref());
    assert_eq!(route.cache.take_wanted(), None);
}

#[test]
fn a_key_that_was_found_is_known_until_its_time_is_over() {
    let mut route = route();
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    route.store.stored().learn(&hash, Ok(&entry("k1", &hash)), AT_NOW).unwrap();
    let caller = ask(&mut route, &key, NOW + 299_999).unwrap();
    assert_eq!((caller.key_id.as_deref(), caller.partner.as_deref()), (Some("k1"), Some("acme")));
    assert_eq!(
        (caller.tier.as_deref(), caller.networks.as_ref().map(|list| list.len())),
        (Some("gold"), Some(1))
    );
    assert_eq!(ask(&mut route, &key, NOW + 300_000), Err(not_looked_up()));
}

#[test]
fn what_others_have_looked_up_is_believed_for_the_rest_of_its_time() {
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    for (given, holds) in [(Some(10), 10), (Some(u64::MAX), 300_000), (None, 300_000)] {
        let mut route = route();
        let believed = Believed { now_ms: NOW, for_ms: given };
        route.store.stored().learn(&hash, Ok(&entry("k1", &hash)), believed).unwrap();
        assert!(ask(&mut route, &key, NOW + holds - 1).is_ok());
        assert_eq!(ask(&mut route, &key, NOW + holds), Err(not_looked_up()));
    }
}

#[test]
fn a_key_ends_at_its_expiry_though_the_cache_would_keep_it() {
    let mut route = route();
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    let ending = ApiKeyEntryDocument { expires_at_ms: Some(NOW + 5), ..entry("k1", &hash) };
    route.store.stored().learn(&hash, Ok(&ending), AT_NOW).unwrap();
    assert!(ask(&mut route, &key, NOW + 4).is_ok());
    assert_eq!(fault_of(ask(&mut route, &key, NOW + 5)), Fault::Expired);
}

#[test]
fn a_refused_key_is_not_looked_up_again_for_a_while() {
    for (refusal, fault) in [
        (KeyRefusalDocument::Unknown, Fault::UnknownKey),
        (KeyRefusalDocument::Revoked, Fault::Revoked),
        (KeyRefusalDocument::Expired, Fault::Expired),
    ] {
        let mut route = route();
        let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
        route.store.stored().learn(&hash, Ok(&entry("k1", &hash)), AT_NOW).unwrap();
        route.store.stored().learn(&hash, refused(refusal, None), AT_NOW).unwrap();
        assert_eq!(fault_of(ask(&mut route, &key, NOW + 29_999)), fault);
        assert_eq!(ask(&mut route, &key, NOW + 30_000), Err(not_looked_up()));
    }
}

#[test]
fn a_key_that_was_refused_and_has_changed_is_looked_up_again_at_once() {
    let mut route = route();
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    let stored = Arc::clone(route.store.stored());
    stored.learn(&hash, refused(KeyRefusalDocument::Expired, Some("k1")), AT_NOW).unwrap();
    stored.forget(Some(&["k2".to_owned()].into()));
    assert_eq!(fault_of(ask(&mut route, &key, NOW)), Fault::Expired);
    stored.forget(Some(&["k1".to_owned()].into()));
    assert_eq!(ask(&mut route, &key, NOW), Err(not_looked_up()));
}

#[test]
fn keys_of_the_secret_before_are_looked_up_by_their_hash_under_it() {
    let mut route = route();
    let (key, hash) = key_of(PREVIOUS, PREFIX, RANDOM);
    assert_eq!(ask(&mut route, &key, NOW), Err(not_looked_up()));
    let Some(Wanted::Key(wanted)) = route.cache.take_wanted() else { panic!("no key is wanted") };
    assert_eq!(Some(wanted.hash), super::super::api_keys::hash_from_hex(&hash));
    route.store.stored().learn(&hash, Ok(&entry("k1", &hash)), AT_NOW).unwrap();
    assert!(ask(&mut route, &key, NOW).is_ok());
}

#[test]
fn a_forgotten_key_is_looked_up_again_at_once() {
    let mut route = route();
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    let stored = Arc::clone(route.store.stored());
    stored.learn(&hash, Ok(&entry("k1", &hash)), AT_NOW).unwrap();
    assert_eq!(stored.forget(Some(&["k2".to_owned()].into())), 0);
    assert!(ask(&mut route, &key, NOW).is_ok());
    assert_eq!(stored.forget(Some(&["k2".to_owned(), "k1".to_owned()].into())), 1);
    assert_eq!(ask(&mut route, &key, NOW), Err(not_looked_up()));
    // What it was used for is told all the same.
    assert_eq!(stored.take_uses().iter().map(|told| told.requests).sum::<u64>(), 1);
}

#[test]
fn whoever_changes_a_character_of_a_key_causes_no_look_up() {
    let mut route = route();
    let (key, _) = key_of(SECRET, PREFIX, RANDOM);
    for place in 0..key.len() {
        let mut bytes = key.clone().into_bytes();
        bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
        let wrong = String::from_utf8(bytes).unwrap();
        assert_eq!(fault_of(ask(&mut route, &wrong, NOW)), Fault::UnknownKey, "{wrong}");
    }
    let (foreign, _) = key_of("another secret", PREFIX, RANDOM);
    for wrong in [&foreign, &key[..59], &format!("{key}a"), "pk_live_", "", "x", &key.to_lowercase()] {
        assert_eq!(fault_of(ask(&mut route, wrong, NOW)), Fault::UnknownKey, "{wrong}");
    }
    assert_eq!(route.cache.take_wanted(), None);
}

#[test]
fn refused_keys_never_push_good_ones_out() {
    let route = route();
    let (_, good) = key_of(SECRET, PREFIX, RANDOM);
    route.store.stored().learn(&good, Ok(&entry("k1", &good)), AT_NOW).unwrap();
    for number in 0..20_000 {
        let (_, hash) = key_of(SECRET, PREFIX, &format!("{number:032}"));
        route.store.stored().learn(&hash, refused(KeyRefusalDocument::Unknown, None), AT_NOW).unwrap();
    }
    let size = route.store.stored().size();
    assert_eq!((size.known, size.evicted), (1, 0));
    assert!(size.refused <= 176, "{size:?}");
}

#[test]
fn known_keys_are_bounded_and_what_is_pushed_out_is_counted() {
    let route = route();
    for number in 0..5_000 {
        let (_, hash) = key_of(SECRET, PREFIX, &format!("{number:032}"));
        route.store.stored().learn(&hash, Ok(&entry(&format!("k{number}"), &hash)), AT_NOW).unwrap();
    }
    let size = route.store.stored().size();
    assert!(size.known <= 1_616, "{size:?}");
    assert_eq!(size.evicted + size.known as u64, 5_000);
}

#[test]
fn an_answer_about_another_key_is_none() {
    let mut route = route();
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    let (_, other) = key_of(SECRET, "another00000", RANDOM);
    assert!(route.store.stored().learn(&hash, Ok(&entry("k1", &other)), AT_NOW).is_err());
    let wrong = ApiKeyEntryDocument { networks: vec!["here".to_owned()], ..entry("k1", &hash) };
    assert!(route.store.stored().learn(&hash, Ok(&wrong), AT_NOW).is_err());
    assert_eq!(ask(&mut route, &key, NOW), Err(not_looked_up()));
}

#[test]
fn keys_of_a_file_and_of_the_store_may_share_a_header() {
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    let own = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"own");
    let own: String = own.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let listed =
        json!({"id": "f1", "hash": own, "partner": "b", "scopes": [], "tier": null, "expires_at_ms": null});
    let file = || api_key("file", None, json!({"keys": [listed.clone()]}));
    for documents in [[file(), stored("partners")], [stored("partners"), file()]] {
        let mut route = Route::new(&documents, false);
        route.store.stored().configure(&key_store());
        assert!(matches!(ask(&mut route, &key, NOW), Err(Refusal::AuthenticationUnavailable { .. })));
        assert_eq!(ask(&mut route, "own", NOW).unwrap().key_id.as_deref(), Some("f1"));
        route.store.stored().learn(&hash, Ok(&entry("k1", &hash)), AT_NOW).unwrap();
        let caller = ask(&mut route, &key, NOW).unwrap();
        let named = caller.identity.and_then(|index| documents.get(index as usize)).map(|one| &*one.name);
        assert_eq!((caller.key_id.as_deref(), named), (Some("k1"), Some("partners")));
        assert_eq!(fault_of(ask(&mut route, "neither", NOW)), Fault::UnknownKey);
    }
}

#[test]
fn uses_are_told_once_for_each_key() {
    let mut route = route();
    let (key, hash) = key_of(SECRET, PREFIX, RANDOM);
    route.store.stored().learn(&hash, Ok(&entry("k1", &hash)), AT_NOW).unwrap();
    for later in 0..3 {
        ask(&mut route, &key, NOW + later).unwrap();
    }
    let told = route.store.stored().take_uses();
    assert_eq!(told.len(), 1);
    assert_eq!((&*told[0].id, told[0].requests, told[0].last_ms), ("k1", 3, NOW + 2));
    assert_eq!(told[0].networks.len(), 1);
    assert_eq!(route.store.stored().take_uses(), []);
}

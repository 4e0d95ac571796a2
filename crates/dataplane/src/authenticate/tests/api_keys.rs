//! API keys.

use super::*;
use crate::caller::CallerKind;
use CredentialFault as Fault;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(secret: &str) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes()).as_ref())
}

fn entry(id: &str, hash: String) -> Value {
    json!({"id": id, "hash": hash, "partner": "acme", "scopes": ["orders:read", "orders:write"], "tier": "gold",
        "expires_at_ms": null})
}

fn route(keys: &[Value]) -> Route {
    Route::new(&[api_key("partners", None, json!({"keys": keys}))], false)
}

#[test]
fn a_known_key_proves_its_partner() {
    let mut route = route(&[entry("k1", sha256("pk_live_1")), entry("k2", sha256("pk_live_2"))]);
    let caller = route.ask(&[("x-api-key", "pk_live_2")], NOW).unwrap();
    assert_eq!(caller.kind, CallerKind::Partner);
    assert_eq!((caller.key_id.as_deref(), caller.partner.as_deref()), (Some("k2"), Some("acme")));
    assert_eq!((caller.tier.as_deref(), &*caller.scopes_text), (Some("gold"), "orders:read orders:write"));
    assert!(caller.has_scope("orders:write"));
    assert_eq!(caller.user, None);
}

#[test]
fn anything_but_the_whole_key_is_unknown() {
    let secret = "pk_live_1";
    let mut route = route(&[entry("k1", sha256(secret))]);
    for wrong in ["pk_live_", "pk_live_12", "PK_LIVE_1", "k1", &sha256(secret)] {
        let answer = route.ask(&[("x-api-key", wrong)], NOW);
        assert_eq!(answer, Err(unauthenticated(CredentialKind::ApiKey, 0, Fault::UnknownKey)), "{wrong}");
    }
}

#[test]
fn what_cannot_be_a_key_is_refused_before_it_is_hashed() {
    let mut route = route(&[entry("k1", sha256("x"))]);
    for (value, fault) in [
        (String::new(), Fault::Malformed),
        ("two words".to_owned(), Fault::Malformed),
        ("pk_\u{e9}".to_owned(), Fault::Malformed),
        ("x".repeat(512), Fault::UnknownKey),
        ("x".repeat(513), Fault::TooLong),
    ] {
        assert_eq!(fault_of(route.ask(&[("x-api-key", &value)], NOW)), fault, "{value:.20}");
    }
}

#[test]
fn a_key_ends_at_its_expiry_to_the_millisecond() {
    let mut route = route(&[changed(entry("k1", sha256("x")), json!({"expires_at_ms": NOW}))]);
    assert!(route.ask(&[("x-api-key", "x")], NOW - 1).is_ok());
    assert_eq!(fault_of(route.ask(&[("x-api-key", "x")], NOW)), Fault::Expired);
}

#[test]
fn a_pepper_changes_every_hash() {
    let peppered = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"pepper"), b"pk_live_1");
    let keys = json!({"keys": [entry("k1", hex(peppered.as_ref())), entry("k2", sha256("pk_live_2"))]});
    let mut route = Route::new(&[api_key("partners", Some("pepper"), keys)], false);
    assert!(route.ask(&[("x-api-key", "pk_live_1")], NOW).is_ok());
    assert_eq!(fault_of(route.ask(&[("x-api-key", "pk_live_2")], NOW)), Fault::UnknownKey);
}

#[test]
fn a_withdrawn_key_is_refused_by_the_next_request() {
    let mut route = Route::new(&[api_key("partners", None, Value::Null)], false);
    let asked = [("x-api-key", "old")];
    assert_eq!(
        route.ask(&asked, NOW),
        Err(Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NoKeys })
    );
    route.store.set("partners", &key_set(&[entry("k1", sha256("old")), entry("k2", sha256("new"))])).unwrap();
    assert!(route.ask(&asked, NOW).is_ok());
    route.store.set("partners", &key_set(&[entry("k2", sha256("new"))])).unwrap();
    assert_eq!(fault_of(route.ask(&asked, NOW)), Fault::UnknownKey);
    assert!(route.ask(&[("x-api-key", "new")], NOW).is_ok());
    // All withdrawn is a state of its own, not a failure.
    route.store.set("partners", &key_set(&[])).unwrap();
    assert_eq!(fault_of(route.ask(&[("x-api-key", "new")], NOW)), Fault::UnknownKey);
}

#[test]
fn two_key_lists_on_one_header_are_tried_in_order() {
    let list = |name: &str, id: &str, secret: &str| {
        api_key(name, None, json!({"keys": [entry(id, sha256(secret))]}))
    };
    let mut route = Route::new(&[list("partners", "k1", "one"), list("services", "k2", "two")], false);
    assert_eq!(route.ask(&[("x-api-key", "one")], NOW).unwrap().identity, Some(0));
    assert_eq!(route.ask(&[("x-api-key", "two")], NOW).unwrap().identity, Some(1));
    assert_eq!(fault_of(route.ask(&[("x-api-key", "three")], NOW)), Fault::UnknownKey);
}

#[test]
fn a_broken_list_is_refused_with_its_place_and_reason() {
    let good = entry("k1", sha256("x"));
    for (keys, reason) in [
        (
            json!([changed(good.clone(), json!({"hash": "ab"}))]),
            "key 0: `hash` is not 64 lower-case hexadecimal digits",
        ),
        (
            json!([changed(good.clone(), json!({"hash": sha256("x").to_uppercase()}))]),
            "key 0: `hash` is not 64 lower-case hexadecimal digits",
        ),
        (json!([good, changed(good.clone(), json!({"id": "k2"}))]), "key 1: the hash of `k2` is repeated"),
        (json!([good, entry("k1", sha256("y"))]), "key 1: the id `k1` is repeated"),
        (
            json!([changed(good.clone(), json!({"partner": "acme\r\nX-Admin: 1"}))]),
            "key 0: `partner` must be 1 to 256 bytes that can be sent in a header",
        ),
        (
            json!([changed(good.clone(), json!({"scopes": ["a b"]}))]),
            "key 0: the scope `a b` is not visible ASCII without spaces",
        ),
    ] {
        let document = api_key("partners", None, json!({"keys": keys}));
        let error = Identities::compile(&[document], &None, &KeyStore::new()).err().expect("it compiled");
        assert_eq!(error, format!("gateway.yaml:12:5: identity `partners`: {reason}"));
        assert!(KeyStore::new().set("partners", &key_set(keys.as_array().unwrap())).is_err());
    }
}

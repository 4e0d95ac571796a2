//! Key sets: what is taken, what is skipped, what is refused; and how they are pushed.

use super::*;
use CredentialFault as Fault;

fn inline(keys: &[Value]) -> IdentityDocument {
    jwt("mobile", json!({"keys": {"keys": keys}}))
}

fn compile_error(document: IdentityDocument) -> String {
    Identities::compile(&[document], &None, &KeyStore::new()).err().expect("it compiled")
}

#[test]
fn inline_keys_need_no_push() {
    let mut route = Route::new(&[inline(&[jwk("ES256")])], false);
    assert!(route.bearer(&token("ES256", json!({}))).is_ok());
}

#[test]
fn a_token_without_a_key_id_is_taken_only_where_there_is_one_key() {
    let header = json!({"alg": "ES256"}).to_string();
    let bare = token_of_texts("ES256", &header, &good_claims().to_string());
    assert!(Route::new(&[inline(&[jwk("ES256")])], false).bearer(&bare).is_ok());
    assert_eq!(Route::new(&[inline(&[jwk("ES256"), jwk("EdDSA")])], false).fault(&bare), Fault::UnknownKey);
    assert_eq!(Route::new(&[inline(&[jwk("EdDSA")])], false).fault(&bare), Fault::WrongAlgorithm);
}

#[test]
fn an_rsa_key_without_algorithm_is_for_rs256_only() {
    let key = changed(jwk("RS256"), json!({"alg": null}));
    let mut route = Route::new(&[inline(&[key])], false);
    assert!(route.bearer(&token("RS256", json!({}))).is_ok());
    let header = json!({"alg": "PS256", "kid": "key-RS256"}).to_string();
    assert_eq!(
        route.fault(&token_of_texts("PS256", &header, &good_claims().to_string())),
        Fault::WrongAlgorithm
    );
}

#[test]
fn no_keys_is_503_whether_none_came_or_none_is_left() {
    let mut route = Route::new(&[jwt("mobile", json!({}))], false);
    let unavailable = Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NoKeys };
    assert_eq!(route.bearer(&token("ES256", json!({}))), Err(unavailable.clone()));
    assert_eq!(route.bearer("nonsense"), Err(unavailable.clone()));
    route.store.set("mobile", &key_set(&[])).unwrap();
    assert_eq!(route.bearer(&token("ES256", json!({}))), Err(unavailable));
    // No credential at all is the caller's fault, keys or none.
    assert_eq!(fault_of(route.ask(&[], NOW)), Fault::Missing);
}

#[test]
fn keys_for_something_else_are_skipped_and_counted() {
    let store = KeyStore::new();
    let small = encode([0xff; 128]);
    let others = [
        changed(jwk("RS256"), json!({"use": "enc"})),
        changed(jwk("RS256"), json!({"alg": "RSA-OAEP"})),
        changed(jwk("RS256"), json!({"alg": "RSA1_5"})),
        changed(jwk("RS256"), json!({"n": small})),
        changed(jwk("ES256"), json!({"crv": "secp256k1"})),
        changed(jwk("ES384"), json!({"alg": "ES256"})),
        changed(jwk("EdDSA"), json!({"crv": "X25519"})),
        changed(jwk("HS256"), json!({"key_ops": ["sign"]})),
        json!({"kty": "AKP", "alg": "ML-DSA-44"}),
    ];
    store.set("mobile", &key_set(&others)).unwrap();
    assert_eq!(store.skipped("mobile"), others.len());
    store.set("mobile", &key_set(&[jwk("ES256")])).unwrap();
    assert_eq!(store.skipped("mobile"), 0);
}

#[test]
fn a_modulus_with_leading_zeros_is_the_same_number() {
    let mut modulus = vec![0];
    modulus.extend(URL_SAFE_NO_PAD.decode(jwk("RS256")["n"].as_str().unwrap()).unwrap());
    let key = changed(jwk("RS256"), json!({"n": encode(modulus)}));
    assert!(Route::new(&[inline(&[key])], false).bearer(&token("RS256", json!({}))).is_ok());
}

#[test]
fn private_members_of_a_key_are_not_read() {
    let key = changed(jwk("ES256"), json!({"d": 7}));
    assert!(Route::new(&[inline(&[key])], false).bearer(&token("ES256", json!({}))).is_ok());
}

#[test]
fn a_broken_key_is_refused_with_its_place_and_reason() {
    for (key, reason) in [
        (json!({"kid": "x"}), "`kty` is missing"),
        (json!({"kty": 1}), "`kty` is not a text"),
        (
            changed(jwk("HS256"), json!({"k": encode("short")})),
            "an HS256 secret of 5 bytes; it takes at least 32",
        ),
        (changed(jwk("HS256"), json!({"k": null})), "`k` is missing"),
        (changed(jwk("RS256"), json!({"n": "a=b"})), "`n` is not base64url without padding"),
        (changed(jwk("RS256"), json!({"e": "AA"})), "`e` is zero"),
        (changed(jwk("RS256"), json!({"e": "AQ"})), "`e` is not an odd number between 3 and 2^32"),
        (changed(jwk("ES256"), json!({"x": encode([1; 31])})), "`x` and `y` are not 32 bytes each"),
        (changed(jwk("ES256"), json!({"x": encode([1; 32])})), "`x` and `y` are not a point of the curve"),
        (changed(jwk("EdDSA"), json!({"x": encode([1; 33])})), "`x` is not 32 bytes"),
        (changed(jwk("EdDSA"), json!({"kid": 1})), "`kid` is not a text"),
    ] {
        let error = compile_error(inline(&[jwk("ES256"), key]));
        assert_eq!(error, format!("gateway.yaml:12:5: identity `mobile`: key 1: {reason}"));
    }
}

#[test]
fn two_keys_of_one_name_and_algorithm_are_refused() {
    let error = compile_error(inline(&[jwk("ES256"), jwk("ES256")]));
    assert!(error.ends_with("key 1: another key has the same `kid` and algorithm"), "{error}");
}

#[test]
fn a_repeated_identity_is_refused() {
    let error = Identities::compile(&[inline(&[]), inline(&[])], &None, &KeyStore::new()).err().unwrap();
    assert_eq!(error, "gateway.yaml:12:5: identity `mobile`: the name is repeated");
}

#[test]
fn keys_may_come_before_the_snapshot_and_change_after_it() {
    let store = KeyStore::new();
    store.set("mobile", &key_set(&[jwk("ES256")])).unwrap();
    let documents = [jwt("mobile", json!({}))];
    let policy = policy(&store, &documents, false);
    let mut route = Route { store, cache: TokenCache::new(10), policy };
    assert!(route.bearer(&token("ES256", json!({}))).is_ok());
    route.store.set("mobile", &key_set(&[jwk("EdDSA")])).unwrap();
    assert!(route.bearer(&token("EdDSA", json!({}))).is_ok());
    assert_eq!(route.fault(&token("ES256", json!({}))), Fault::UnknownKey);
}

#[test]
fn a_bad_push_is_refused_and_the_old_keys_stay() {
    let mut route = Route::new(&[jwt("mobile", json!({}))], false);
    route.store.set("mobile", &key_set(&[jwk("ES256")])).unwrap();
    let short = key_set(&[changed(jwk("HS256"), json!({"k": "c2hvcnQ"}))]);
    for bad in [&b"<html>"[..], b"[]", b"{}", b"{\"keys\": 1}", &short] {
        let error = route.store.set("mobile", bad).unwrap_err();
        assert!(error.starts_with("identity `mobile`: "), "{error}");
        assert!(!error.contains("c2hvcnQ"), "a secret in an error: {error}");
    }
    assert!(route.bearer(&token("ES256", json!({}))).is_ok());
}

#[test]
fn the_store_keeps_a_bounded_number_of_identities_and_forgets_the_unused_first() {
    let mut route = Route::new(&[jwt("mobile", json!({}))], false);
    route.store.set("mobile", &key_set(&[jwk("ES256")])).unwrap();
    for number in 0..2_500 {
        route.store.set(&format!("unused-{number}"), &key_set(&[])).unwrap();
    }
    assert!(route.bearer(&token("ES256", json!({}))).is_ok());
    route.store.set("mobile", &key_set(&[jwk("EdDSA")])).unwrap();
    assert!(
        route.bearer(&token("EdDSA", json!({}))).is_ok(),
        "the snapshot reads another slot than the push writes"
    );
}

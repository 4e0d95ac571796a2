//! Which identity judges which credential.

use super::*;
use CredentialFault as Fault;

fn keyed(name: &str, algorithm: &str, changes: Value) -> IdentityDocument {
    jwt(name, changed(json!({"keys": {"keys": [jwk(algorithm)]}}), changes))
}

fn partner_key(secret: &str) -> Value {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"id": "k1", "hash": hash, "partner": "acme", "scopes": [], "tier": null, "expires_at_ms": null})
}

fn partners() -> IdentityDocument {
    api_key("partners", None, json!({"keys": [partner_key("secret")]}))
}

#[test]
fn a_route_without_policy_is_anonymous_whatever_is_sent() {
    let request = request(&[("authorization", "Bearer nonsense")]);
    let caller = identify(None, &request, &mut TokenCache::new(10), None, NOW).unwrap();
    assert_eq!(*caller, Caller::anonymous());
}

#[test]
fn nothing_sent_is_missing_with_the_kind_of_the_first_identity() {
    let mut route = Route::new(&[keyed("mobile", "ES256", json!({})), partners()], false);
    assert_eq!(route.ask(&[], NOW), Err(unauthenticated(CredentialKind::Token, 0, Fault::Missing)));
    let mut route = Route::new(&[partners(), keyed("mobile", "ES256", json!({}))], false);
    assert_eq!(route.ask(&[], NOW), Err(unauthenticated(CredentialKind::ApiKey, 0, Fault::Missing)));
}

#[test]
fn optional_excuses_a_missing_credential_and_no_other_fault() {
    let mut route = Route::new(&[keyed("mobile", "ES256", json!({})), partners()], true);
    assert_eq!(*route.ask(&[], NOW).unwrap(), Caller::anonymous());
    for wrong in ["Bearer", "Bearer ", "Bearer x.y.z", "bearer  x"] {
        assert_eq!(fault_of(route.ask(&[("authorization", wrong)], NOW)), Fault::Malformed, "{wrong:?}");
    }
    for other in ["", "Basic YTpi", "DPoP x.y.z", "Bearerx", "x.y.z"] {
        assert_eq!(*route.ask(&[("authorization", other)], NOW).unwrap(), Caller::anonymous(), "{other:?}");
    }
    assert_eq!(fault_of(route.ask(&[("x-api-key", "wrong")], NOW)), Fault::UnknownKey);
    assert_eq!(fault_of(route.ask(&[("x-api-key", "")], NOW)), Fault::Malformed);
}

#[test]
fn the_credential_that_is_present_decides_and_of_two_the_first_accepted() {
    let mut route = Route::new(&[keyed("mobile", "ES256", json!({})), partners()], false);
    let good = format!("Bearer {}", token("ES256", json!({})));
    let (bearer, key) = (("authorization", good.as_str()), ("x-api-key", "secret"));
    assert_eq!(route.ask(&[key], NOW).unwrap().identity, Some(1));
    assert_eq!(route.ask(&[key, bearer], NOW).unwrap().identity, Some(0));
    // A wrong first credential is not saved by a right second one.
    let refusal = route.ask(&[key, ("authorization", "Bearer x")], NOW);
    assert_eq!(refusal, Err(unauthenticated(CredentialKind::Token, 0, Fault::Malformed)));
}

#[test]
fn a_repeated_credential_is_refused_even_where_both_are_good() {
    let mut route = Route::new(&[keyed("mobile", "ES256", json!({})), partners()], true);
    let good = format!("Bearer {}", token("ES256", json!({})));
    let bearer = ("authorization", good.as_str());
    assert_eq!(fault_of(route.ask(&[bearer, bearer], NOW)), Fault::Repeated);
    let basic = ("authorization", "Basic YTpi");
    assert_eq!(fault_of(route.ask(&[bearer, basic], NOW)), Fault::Repeated);
    assert_eq!(fault_of(route.ask(&[basic, bearer], NOW)), Fault::Repeated);
    let key = ("x-api-key", "secret");
    assert_eq!(fault_of(route.ask(&[key, key], NOW)), Fault::Repeated);
}

#[test]
fn a_token_is_looked_for_in_the_header_then_the_cookie_then_the_query() {
    let places = json!({"cookie": "session", "query": "access_token"});
    let mut route = Route::new(&[keyed("mobile", "ES256", places)], false);
    let named = |user: &str| token("ES256", json!({"sub": user}));
    let (bearer, cookie) = (format!("Bearer {}", named("a")), format!("x=1; session={}; y", named("b")));
    let query = format!("access_token={}", named("c"));
    let (bearer, cookie) = (("authorization", bearer.as_str()), ("cookie", cookie.as_str()));
    for (headers, query, user) in [
        (&[cookie, bearer][..], query.as_str(), "a"),
        (&[cookie], &query, "b"),
        (&[], &query, "c"),
        (&[("authorization", "Basic YTpi")], &query, "c"),
    ] {
        assert_eq!(route.ask_with(headers, query, NOW).unwrap().user.as_deref(), Some(user));
    }
    // A wrong one is not saved by a right one in another place.
    let wrong = [("authorization", "Bearer x"), cookie];
    assert_eq!(fault_of(route.ask_with(&wrong, "", NOW)), Fault::Malformed);
    assert_eq!(fault_of(route.ask_with(&[("cookie", "session=x")], &query, NOW)), Fault::Malformed);
    for (headers, query) in
        [(&[cookie, cookie][..], String::new()), (&[], format!("{query}&access%5Ftoken=x"))]
    {
        assert_eq!(fault_of(route.ask_with(headers, &query, NOW)), Fault::Repeated);
    }
    let other = [("cookie", "sessions=x; Session=y; x=session=z"), ("x-api-key", "z")];
    assert_eq!(fault_of(route.ask_with(&other, "Access_token=x&token=y", NOW)), Fault::Missing);
}

#[test]
fn claims_are_kept_only_where_something_reads_them() {
    let nested = token("ES256", json!({"realm_access": {"roles": ["clerk"]}}));
    for keeps in [false, true] {
        let mut route = Route::new(&[keyed("mobile", "ES256", json!({"keep_claims": keeps}))], false);
        for is_remembered in [false, true] {
            let caller = route.bearer(&nested).unwrap();
            assert_eq!(caller.cached, is_remembered);
            let roles = caller.claims.as_ref().and_then(|claims| claims.find("realm_access.roles"));
            assert_eq!(roles, keeps.then_some(&json!(["clerk"])));
        }
    }
}

#[test]
fn the_scheme_is_bearer_in_any_case_with_one_space() {
    let mut route = Route::new(&[keyed("mobile", "ES256", json!({}))], false);
    let good = token("ES256", json!({}));
    for scheme in ["Bearer ", "bearer ", "BEARER "] {
        assert!(route.ask(&[("authorization", &format!("{scheme}{good}"))], NOW).is_ok(), "{scheme}");
    }
    for (scheme, fault) in [
        ("Bearer  ", Fault::Malformed),
        ("Bearer Bearer ", Fault::Malformed),
        // Of another scheme, and so for somebody else.
        ("", Fault::Missing),
        ("Bearer", Fault::Missing),
        ("Bearer\t", Fault::Missing),
        ("Bearer: ", Fault::Missing),
        ("Token ", Fault::Missing),
        ("DPoP ", Fault::Missing),
    ] {
        let answer = route.ask(&[("authorization", &format!("{scheme}{good}"))], NOW);
        assert_eq!(fault_of(answer), fault, "{scheme:?}");
    }
}

#[test]
fn another_header_carries_the_bare_token() {
    let mut route = Route::new(&[keyed("mobile", "ES256", json!({"header": "x-token"}))], false);
    let good = token("ES256", json!({}));
    assert!(route.ask(&[("x-token", &good)], NOW).is_ok());
    assert_eq!(fault_of(route.ask(&[("x-token", &format!("Bearer {good}"))], NOW)), Fault::Malformed);
    assert_eq!(fault_of(route.ask(&[("authorization", &format!("Bearer {good}"))], NOW)), Fault::Missing);
}

#[test]
fn of_two_issuers_on_one_header_the_one_that_the_token_names_judges_it() {
    let other = json!({"issuers": ["https://other.example"]});
    let mut route =
        Route::new(&[keyed("mobile", "ES256", json!({})), keyed("other", "EdDSA", other.clone())], false);
    let foreign = json!({"iss": "https://other.example"});
    for _ in 0..2 {
        assert_eq!(route.bearer(&token("ES256", json!({}))).unwrap().identity, Some(0));
        assert_eq!(route.bearer(&token("EdDSA", foreign.clone())).unwrap().identity, Some(1));
    }
    let refusal = route.bearer(&token("EdDSA", changed(foreign, json!({"exp": 1}))));
    assert_eq!(refusal, Err(unauthenticated(CredentialKind::Token, 1, Fault::Expired)));
    assert_eq!(route.fault(&token("ES256", json!({"iss": "https://third.example"}))), Fault::WrongIssuer);
    // A key of one issuer says nothing about the other.
    let crossed = token("ES256", json!({"iss": "https://other.example"}));
    assert_eq!(route.bearer(&crossed), Err(unauthenticated(CredentialKind::Token, 1, Fault::UnknownKey)));
}

#[test]
fn identities_without_an_issuer_are_tried_in_order() {
    let any = json!({"issuers": []});
    let documents = [keyed("first", "ES256", any.clone()), keyed("second", "EdDSA", any)];
    let mut route = Route::new(&documents, false);
    assert_eq!(route.bearer(&token("EdDSA", json!({}))).unwrap().identity, Some(1));
    assert_eq!(route.bearer(&token("ES256", json!({}))).unwrap().identity, Some(0));
}

#[test]
fn what_is_remembered_never_changes_which_identity_answers() {
    let any = json!({"issuers": []});
    let (first, second) = (keyed("first", "ES256", any.clone()), keyed("second", "ES256", any));
    let mut route = Route::new(&[first.clone(), second.clone()], false);
    let good = token("ES256", json!({}));
    let only_second = policy_for(&route.store, &[first, second], &["second"]);
    let both = std::mem::replace(&mut route.policy, only_second);
    assert_eq!(route.bearer(&good).unwrap().identity, Some(1));
    route.policy = both;
    assert_eq!(route.bearer(&good).unwrap().identity, Some(0));
    assert_eq!(route.bearer(&good).unwrap().identity, Some(0));
}

fn policy_for(store: &KeyStore, documents: &[IdentityDocument], accept: &[&str]) -> AuthPolicy {
    let accept = accept.iter().map(|name| (*name).to_owned()).collect();
    let auth = AuthDocument { at: "gateway.yaml:30:5".to_owned(), accept, ..AuthDocument::default() };
    AuthPolicy::compile(&auth, &Identities::compile(documents, &None, store).unwrap()).unwrap()
}

#[test]
fn an_identity_without_keys_makes_it_503_only_where_no_other_accepts() {
    let any = json!({"issuers": []});
    let documents = [jwt("empty", any.clone()), keyed("full", "ES256", any)];
    let mut route = Route::new(&documents, false);
    assert_eq!(route.bearer(&token("ES256", json!({}))).unwrap().identity, Some(1));
    assert_eq!(
        route.bearer(&token("EdDSA", json!({}))),
        Err(Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NoKeys })
    );
}

#[test]
fn a_policy_that_names_no_identity_is_refused() {
    let identities = Identities::compile(&[partners()], &None, &KeyStore::new()).unwrap();
    let auth = |accept: &[&str]| AuthDocument {
        at: "gateway.yaml:30:5".to_owned(),
        accept: accept.iter().map(|name| (*name).to_owned()).collect(),
        optional: true,
        ..AuthDocument::default()
    };
    let error = AuthPolicy::compile(&auth(&["partners", "gone"]), &identities).err().unwrap();
    assert_eq!(error, "gateway.yaml:30:5: there is no identity `gone`");
    let error = AuthPolicy::compile(&auth(&[]), &identities).err().unwrap();
    assert_eq!(error, "gateway.yaml:30:5: `accept` names no identity");
}

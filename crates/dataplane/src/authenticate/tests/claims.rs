//! What an identity may demand of claims beyond the usual, and what it makes of them.

use super::*;
use CredentialFault as Fault;

#[test]
fn the_type_must_be_the_one_that_is_demanded() {
    let ask = |types: Value, typ: Value| {
        let mut route = Route::with_every_key(json!({"types": types}));
        let header = changed(good_header("ES256"), json!({"typ": typ})).to_string();
        route.bearer(&token_of_texts("ES256", &header, &good_claims().to_string())).map(drop)
    };
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt", "Application/AT+JWT"] {
        assert_eq!(ask(json!(null), json!(typ)), Ok(()), "{typ}");
    }
    assert_eq!(ask(json!(null), json!(null)), Ok(()));
    for typ in ["at+jwt", "application/at+jwt"] {
        assert_eq!(ask(json!(["AT+jwt"]), json!(typ)), Ok(()), "{typ}");
    }
    for typ in [json!("JWT"), json!("dpop+jwt"), json!("at+jwt "), json!(""), json!(null)] {
        assert_eq!(fault_of_nobody(ask(json!(["at+jwt"]), typ.clone())), Fault::WrongType, "{typ}");
    }
    assert_eq!(fault_of_nobody(ask(json!([]), json!("JWT"))), Fault::WrongType);
}

fn fault_of_nobody(answer: Result<(), Refusal>) -> Fault {
    fault_of(answer.map(|()| Arc::new(Caller::anonymous())))
}

#[test]
fn a_token_of_any_of_several_issuers_is_taken() {
    let issuers = json!({"issuers": ["https://new.example", "https://id.example.com"]});
    let mut route = Route::with_every_key(issuers);
    for (issuer, is_good) in
        [("https://id.example.com", true), ("https://new.example", true), ("https://other.example", false)]
    {
        let answer = route.bearer(&token("ES256", json!({"iss": issuer})));
        assert_eq!(answer.is_ok(), is_good, "{issuer}");
    }
    assert_eq!(route.fault(&token("ES256", json!({"iss": null}))), Fault::WrongIssuer);
}

#[test]
fn a_token_may_be_too_old_whatever_its_issuer_says() {
    let mut route = Route::with_every_key(json!({"max_age_ms": 60_000}));
    let of_age = |age: u64| token("ES256", json!({"iat": NOW_S - age, "nbf": null}));
    assert!(route.bearer(&of_age(0)).is_ok());
    // The leeway is added as everywhere.
    assert!(route.bearer(&of_age(89)).is_ok());
    assert_eq!(route.fault(&of_age(90)), Fault::Expired);
    assert_eq!(route.fault(&token("ES256", json!({"iat": null}))), Fault::MissingIssueTime);
    // It grows too old in the cache, too.
    let remembered = of_age(80);
    assert!(route.bearer(&remembered).is_ok() && route.bearer(&remembered).unwrap().cached);
    assert_eq!(fault_of(route.bearer_at(&remembered, NOW + 10_000)), Fault::Expired);
}

#[test]
fn required_claims_must_be_there_with_one_of_their_values() {
    let tests = json!([
        {"claim": "email_verified", "equals": [true]}, {"claim": "org.id", "equals": ["a", 7]}, {"claim": "x", "equals": null},
    ]);
    let mut route = Route::with_every_key(json!({"required_claims": tests}));
    let good = json!({"email_verified": true, "org": {"id": "a"}, "x": false});
    assert!(route.bearer(&token("ES256", good.clone())).is_ok());
    for change in
        [json!({"org": {"id": 7.0}}), json!({"org": {"id": ["c", "a"]}}), json!({"org.id": "a", "org": 1})]
    {
        assert!(route.bearer(&token("ES256", changed(good.clone(), change.clone()))).is_ok(), "{change}");
    }
    for change in [
        json!({"email_verified": "true"}),
        json!({"email_verified": null}),
        json!({"org": {"id": "A"}}),
        json!({"org": {"id": "7"}}),
        json!({"org": {"id": []}}),
        json!({"org": {"id": null}}),
        json!({"org": "a"}),
        json!({"x": null}),
    ] {
        let bad = token("ES256", changed(good.clone(), change.clone()));
        assert_eq!(route.fault(&bad), Fault::MissingClaim, "{change}");
    }
}

#[test]
fn forbidden_claims_must_not_be_there_or_not_have_these_values() {
    let tests = json!([{"claim": "act", "equals": null}, {"claim": "status", "equals": ["blocked", "test"]}]);
    let mut route = Route::with_every_key(json!({"forbidden_claims": tests}));
    assert!(route.bearer(&token("ES256", json!({"status": "active"}))).is_ok());
    for change in [
        json!({"act": {}}),
        json!({"act": ""}),
        json!({"status": "test"}),
        json!({"status": ["x", "blocked"]}),
    ] {
        assert_eq!(route.fault(&token("ES256", change.clone())), Fault::ForbiddenClaim, "{change}");
    }
}

#[test]
fn scopes_and_roles_are_read_at_their_paths_and_kept_apart() {
    let paths = json!({"scope_claims": ["permissions.api"], "role_claims": ["realm_access.roles", "https://x.test/groups"],
        "user_claim": "user.id"});
    let mut route = Route::with_every_key(paths);
    let claims = json!({
        "permissions": {"api": ["read", "write"]}, "realm_access": {"roles": ["clerk", "Domain Users", "clerk"]},
        "https://x.test/groups": "staff night", "user": {"id": "u-1"},
    });
    let caller = route.bearer(&token("ES256", claims.clone())).unwrap();
    assert_eq!((caller.user.as_deref(), &*caller.scopes_text), (Some("u-1"), "read write"));
    assert_eq!(caller.roles.as_ref().map(|roles| &*roles.text), Some("clerk,Domain Users,staff,night"));
    assert!(caller.has_role("Domain Users") && !caller.has_role("read") && !caller.has_scope("clerk"));
    let none = route.bearer(&token("ES256", json!({"realm_access": {"roles": []}}))).unwrap();
    assert_eq!(none.roles, None);
    for roles in [json!(["a,b"]), json!([" a"]), json!([1]), json!({}), json!(["a\nb"]), json!(true)] {
        let bad = token("ES256", changed(claims.clone(), json!({"realm_access": {"roles": roles}})));
        assert_eq!(route.fault(&bad), Fault::Malformed);
    }
}

#[test]
fn claims_become_header_lines_or_refuse_their_token() {
    let headers = json!({"claim_headers": [
        {"header": "x-org", "claim": "org.id"}, {"header": "x-level", "claim": "level"}, {"header": "x-groups", "claim": "groups"},
    ]});
    let mut route = Route::with_every_key(headers);
    for (change, lines) in [
        (json!({}), None),
        (
            json!({"org": {"id": "acme"}, "level": 3, "groups": ["a", true, 1.5]}),
            Some("x-org: acme\r\nx-level: 3\r\nx-groups: a,true,1.5\r\n"),
        ),
        (
            json!({"org": {"id": "Zürich"}, "level": null, "groups": []}),
            Some("x-org: Zürich\r\nx-groups: \r\n"),
        ),
        (json!({"org": {"id": ""}}), Some("x-org: \r\n")),
    ] {
        let good = token("ES256", change);
        for _ in 0..2 {
            let caller = route.bearer(&good).unwrap();
            let told = caller.header_lines.as_ref().map(|lines| String::from_utf8(lines.to_vec()).unwrap());
            assert_eq!(told.as_deref(), lines);
        }
    }
    for org in [
        json!("a\r\nX-User-ID: root"),
        json!("a\u{0}"),
        json!(" a"),
        json!({}),
        json!(["a,b"]),
        json!([[]]),
        json!([" a"]),
        json!("x".repeat(2_049)),
    ] {
        assert_eq!(route.fault(&token("ES256", json!({"org": {"id": org}}))), Fault::Malformed);
    }
    for bad in ["", "X-Org", "x org", "x:org", "x_org", "x\r\n"] {
        let document = jwt("mobile", json!({"claim_headers": [{"header": bad, "claim": "org"}]}));
        assert!(Identities::compile(&[document], &None, &KeyStore::new()).is_err(), "{bad:?}");
    }
}

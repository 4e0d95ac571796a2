//! Tokens that were good, and count no more.

use super::*;
use crate::snapshot::document::{RevocationDocument, RevokedKindDocument};
use CredentialFault as Fault;
use RevokedKindDocument::{Identity, Subject, Token};

const AT: i64 = NOW as i64;
const LATER: i64 = AT + 1_000_000;

fn entry(kind: RevokedKindDocument, identity: Option<&str>, value: Option<&str>) -> RevocationDocument {
    RevocationDocument {
        kind,
        identity: identity.map(str::to_owned),
        value: value.map(str::to_owned),
        issued_before_ms: AT,
        until_ms: LATER,
    }
}

fn revoke(route: &Route, entries: &[RevocationDocument]) -> u64 {
    route.store.revocations().revoke(entries, false, AT).unwrap()
}

/// A route with room for many revocations.
fn route() -> Route {
    let route = Route::with_every_key(json!({}));
    route.store.revocations().set_most(100);
    route
}

#[test]
fn what_an_entry_means_is_refused_and_nothing_else_remembered_or_not() {
    let tokens = [
        json!({"jti": "t1", "sub": "ann"}),
        json!({"jti": "t2", "sub": "ann"}),
        json!({"jti": "t3", "sub": "bob"}),
        json!({"jti": "t4", "sub": "ann", "iat": NOW_S}),
        json!({"jti": "t5", "sub": "ann", "iat": null}),
        json!({"sub": "t1"}),
    ];
    let tokens = tokens.map(|claims| token("ES256", claims));
    let cases: [(RevocationDocument, &[usize]); 8] = [
        (entry(Token, None, Some("t1")), &[0]),
        (entry(Token, Some("mobile"), Some("t4")), &[3]),
        (entry(Token, Some("other"), Some("t1")), &[]),
        (entry(Subject, None, Some("ann")), &[0, 1, 4]),
        (entry(Subject, Some("mobile"), Some("bob")), &[2]),
        (entry(Subject, Some("other"), Some("bob")), &[]),
        (entry(Identity, Some("mobile"), None), &[0, 1, 2, 4, 5]),
        (entry(Identity, None, None), &[0, 1, 2, 4, 5]),
    ];
    for (entry, refused) in cases {
        let mut cold = route();
        let mut warm = route();
        tokens.iter().for_each(|token| assert!(warm.bearer(token).is_ok()));
        for route in [&mut cold, &mut warm] {
            revoke(route, std::slice::from_ref(&entry));
            for (index, token) in tokens.iter().enumerate() {
                let answer = route.bearer(token);
                assert_eq!(answer.is_err(), refused.contains(&index), "{entry:?} {index}");
                if answer.is_err() {
                    assert_eq!(fault_of(answer), Fault::Revoked);
                }
            }
        }
    }
}

#[test]
fn it_ends_when_it_is_over_or_taken_away() {
    let mut route = route();
    let good = token("ES256", json!({"jti": "t1", "exp": NOW_S + 10_000}));
    let entries = [entry(Token, None, Some("t1"))];
    revoke(&route, &entries);
    assert_eq!(fault_of(route.bearer_at(&good, NOW + 999_999)), Fault::Revoked);
    assert!(route.bearer_at(&good, NOW + 1_000_000).is_ok());
    revoke(&route, &entries);
    assert_eq!(route.fault(&good), Fault::Revoked);
    assert_eq!(route.store.revocations().restore(&entries), Ok(1));
    assert_eq!(route.store.revocations().restore(&entries), Ok(0));
    assert!(route.bearer(&good).is_ok());
}

#[test]
fn without_room_all_tokens_of_the_identity_count_no_more() {
    let mut route = route();
    route.store.revocations().set_most(2);
    let withdrawn: Vec<_> =
        (0..4).map(|number| entry(Token, Some("mobile"), Some(&format!("t{number}")))).collect();
    assert_eq!(revoke(&route, &withdrawn), 2);
    let size = route.store.revocations().size();
    assert_eq!((size.held, size.covered, size.most), (3, 2, 2));
    for claims in [json!({"jti": "t3"}), json!({"jti": "never revoked"}), json!({"iat": null})] {
        assert_eq!(route.fault(&token("ES256", claims)), Fault::Revoked);
    }
    // Whoever logs in again has a newer one.
    assert!(route.bearer(&token("ES256", json!({"jti": "t9", "iat": NOW_S}))).is_ok());
    // The list as a whole, when there is room for it.
    route.store.revocations().set_most(4);
    assert_eq!(route.store.revocations().revoke(&withdrawn, true, AT), Ok(0));
    assert!(route.bearer(&token("ES256", json!({"jti": "never revoked"}))).is_ok());
    assert_eq!(route.fault(&token("ES256", json!({"jti": "t3"}))), Fault::Revoked);
}

#[test]
fn what_is_over_makes_room() {
    let route = route();
    route.store.revocations().set_most(2);
    let over = |name| RevocationDocument { until_ms: AT, ..entry(Subject, None, Some(name)) };
    assert_eq!(revoke(&route, &[over("a"), over("b")]), 0);
    assert_eq!(revoke(&route, &[entry(Subject, None, Some("c")), entry(Subject, None, Some("d"))]), 0);
    assert_eq!(route.store.revocations().size().held, 2);
    // The same again takes no room.
    assert_eq!(revoke(&route, &[entry(Subject, None, Some("d"))]), 0);
}

#[test]
fn identities_beyond_the_bound_are_all_identities() {
    let route = route();
    let named = |number: usize| entry(Identity, Some(&format!("identity-{number}")), None);
    revoke(&route, &(0..2_000).map(named).collect::<Vec<_>>());
    assert_eq!(route.store.revocations().size().held, 1_001);
    let mut route = route;
    assert_eq!(route.fault(&token("ES256", json!({}))), Fault::Revoked);
}

#[test]
fn what_is_no_entry_changes_nothing() {
    let mut route = route();
    for wrong in [entry(Token, None, None), entry(Subject, None, None), entry(Identity, None, Some("ann"))] {
        let list = [entry(Subject, None, Some("ann")), wrong];
        assert!(route.store.revocations().revoke(&list, false, AT).is_err());
        assert!(route.store.revocations().restore(&list).is_err());
    }
    assert!(route.bearer(&token("ES256", json!({}))).is_ok());
}

#[test]
fn a_token_whose_id_is_no_text_is_malformed() {
    let mut route = route();
    assert_eq!(route.fault(&token("ES256", json!({"jti": 7}))), Fault::Malformed);
}

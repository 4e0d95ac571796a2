//! Names and passwords that Python checks once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::refusal::Unjudged;
use crate::snapshot::document::PasswordsDocument;
use CredentialFault as Fault;

fn checks(cache: u32) -> PasswordsDocument {
    PasswordsDocument {
        cache_ttl_ms: 60_000,
        cache,
        timeout_ms: 1_000,
        max_checks: 10,
        checks_per_address: 10,
    }
}

fn staff(hash: u8) -> IdentityDocument {
    let hash = format!("{hash:064x}");
    let user = json!({"user": "ann", "hash": hash, "scopes": ["a"], "tier": "gold"});
    identity("staff", json!({"basic": {"realm": "staff", "users": [user]}}))
}

fn route() -> Route {
    let route = Route::new(&[staff(1)], false);
    route.store.passwords().configure(&checks(1_600));
    route
}

fn header(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

fn ask(route: &mut Route, text: &str, now: u64) -> Result<Arc<Caller>, Refusal> {
    route.ask(&[("authorization", &header(text))], now)
}

fn not_checked() -> Refusal {
    Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::NotChecked }
}

/// Asks, and lets what is wanted be right or wrong.
fn check(route: &mut Route, text: &str, is_right: bool, now: u64) {
    assert_eq!(ask(route, text, now), Err(not_checked()), "{text}");
    let Some(Wanted::Password(wanted)) = route.cache.take_wanted() else { panic!("{text}") };
    route.store.passwords().remember(wanted.proof.unwrap(), is_right, now);
}

#[test]
fn a_password_is_to_be_checked_against_the_hash_of_its_user_or_of_nobody() {
    let mut route = route();
    for (text, password, hash) in
        [("ann:a:b", "a:b", Some(format!("{:064x}", 1))), ("bob:a:b", "a:b", None), (":", "", None)]
    {
        assert_eq!(ask(&mut route, text, NOW), Err(not_checked()));
        let Some(Wanted::Password(wanted)) = route.cache.take_wanted() else { panic!("{text}") };
        assert_eq!((wanted.identity, wanted.hash, &*wanted.password.0), (0, hash, password));
        assert_eq!(format!("{:?}", wanted.password), "secret");
    }
}

#[test]
fn a_right_password_is_believed_for_its_time_and_proves_its_user() {
    let mut route = route();
    check(&mut route, "ann:right", true, NOW);
    let caller = ask(&mut route, "ann:right", NOW + 59_999).unwrap();
    assert_eq!((caller.user.as_deref(), caller.tier.as_deref()), (Some("ann"), Some("gold")));
    assert_eq!((&*caller.scopes_text, caller.identity), ("a", Some(0)));
    assert_eq!(ask(&mut route, "ann:right", NOW + 60_000), Err(not_checked()));
}

#[test]
fn a_wrong_password_is_wrong_for_a_second_and_says_nothing_of_others() {
    let mut route = route();
    check(&mut route, "ann:right", true, NOW);
    check(&mut route, "ann:wrong", false, NOW);
    check(&mut route, "bob:right", false, NOW);
    for text in ["ann:wrong", "bob:right"] {
        assert_eq!(fault_of(ask(&mut route, text, NOW + 999)), Fault::WrongPassword);
        assert_eq!(ask(&mut route, text, NOW + 1_000), Err(not_checked()));
    }
    assert!(ask(&mut route, "ann:right", NOW + 1_000).is_ok());
}

#[test]
fn who_is_nobody_is_let_in_by_no_answer() {
    let mut route = route();
    check(&mut route, "bob:right", true, NOW);
    assert_eq!(fault_of(ask(&mut route, "bob:right", NOW)), Fault::WrongPassword);
}

#[test]
fn another_hash_makes_what_was_checked_void() {
    let mut route = route();
    check(&mut route, "ann:right", true, NOW);
    route.reload(&[staff(2)]);
    assert_eq!(ask(&mut route, "ann:right", NOW), Err(not_checked()));
    route.reload(&[staff(1)]);
    assert!(ask(&mut route, "ann:right", NOW).is_ok());
}

#[test]
fn what_is_remembered_is_bounded_and_wrong_ones_never_push_right_ones_out() {
    let mut route = route();
    check(&mut route, "ann:right", true, NOW);
    for number in 0..10_000 {
        check(&mut route, &format!("ann:{number}"), false, NOW);
    }
    assert!(ask(&mut route, "ann:right", NOW).is_ok());
    let size = route.store.passwords().size();
    assert_eq!(size.right, 1);
    assert!((1_000..=4_200).contains(&size.wrong), "{size:?}");
    for number in 10_000..15_000 {
        check(&mut route, &format!("ann:{number}"), true, NOW);
    }
    assert!(route.store.passwords().size().right <= 1_616);
}

#[test]
fn names_and_passwords_are_not_mistaken_for_each_other() {
    let mut route = route();
    check(&mut route, "a:bc", false, NOW);
    for text in ["ab:c", "a:b", ":abc", "a:bc "] {
        assert_eq!(ask(&mut route, text, NOW), Err(not_checked()), "{text}");
    }
}

#[test]
fn what_is_no_name_and_password_is_asked_of_nobody() {
    let mut route = route();
    let long = header(&format!("ann:{}", "x".repeat(2_000)));
    for (value, fault) in [
        ("Basic".to_owned(), Fault::Malformed),
        ("Basic !!!".to_owned(), Fault::Malformed),
        ("Basic YW5u".to_owned(), Fault::Malformed),
        (header("ann:a\u{7f}"), Fault::Malformed),
        (format!("Basic {}", STANDARD.encode([b'a', b':', 0xff])), Fault::Malformed),
        (long, Fault::TooLong),
        ("Bearer YW5uOmE=".to_owned(), Fault::Missing),
    ] {
        assert_eq!(fault_of(route.ask(&[("authorization", &value)], NOW)), fault, "{value}");
    }
    assert_eq!(route.cache.take_wanted(), None);
}

#[test]
fn users_that_cannot_be_are_refused_with_their_name() {
    let store = KeyStore::new();
    let hash = "0".repeat(64);
    for (user, message) in [
        (json!({"user": "a:b", "hash": hash, "scopes": [], "tier": null}), "user `a:b`: the name"),
        (json!({"user": "a", "hash": "0", "scopes": [], "tier": null}), "user `a`: the hash is no SHA-256"),
        (json!({"user": "a", "hash": hash, "scopes": ["a b"], "tier": null}), "user `a`: the scope `a b`"),
    ] {
        let document = identity("staff", json!({"basic": {"realm": "r", "users": [user]}}));
        let error = Identities::compile(&[document], &None, &store).err().unwrap();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_route_has_one_identity_with_passwords_at_most() {
    let store = KeyStore::new();
    let documents = [staff(1), IdentityDocument { name: "others".to_owned(), ..staff(2) }];
    let identities = Identities::compile(&documents, &None, &store).unwrap();
    let accept = vec!["staff".to_owned(), "others".to_owned()];
    let auth = AuthDocument { at: "1:1".to_owned(), accept, ..AuthDocument::default() };
    let error = AuthPolicy::compile(&auth, &identities).err().unwrap();
    assert_eq!(error, "1:1: `accept` names two identities with passwords");
}

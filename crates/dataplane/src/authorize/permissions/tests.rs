//! What patterns match, held against a model that reads them naively.

use proptest::prelude::*;

use super::*;
use crate::caller::{CallerKind, Roles};
use crate::request::Method;

const SEGMENTS: [&str; 4] = ["a", "b", "A", "%C3"];
const METHODS: [&str; 4] = ["GET", "HEAD", "DELETE", "PURGE"];

fn as_it_is(path: &str) -> Result<String, String> {
    Ok(path.to_owned())
}

fn section(entries: &[(HolderDocument, Vec<String>)]) -> Result<Permissions, String> {
    let documents: Vec<_> = entries
        .iter()
        .map(|(holder, patterns)| PermissionDocument {
            at: "t:1:1".to_owned(),
            name: "x".to_owned(),
            holder: holder.clone(),
            patterns: patterns.clone(),
        })
        .collect();
    Permissions::compile(&documents, as_it_is)
}

fn of_scope(patterns: &[&str]) -> Permissions {
    let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    section(&[(HolderDocument::Scope("s".to_owned()), patterns)]).unwrap()
}

fn caller() -> Caller {
    Caller::new(CallerKind::User, Some(0), vec!["s".into()])
}

fn permits(patterns: &[&str], permission: &str) -> bool {
    of_scope(patterns).named(permission).check(&caller()).is_ok()
}

fn opens(patterns: &[&str], method: &str, path: &str) -> bool {
    let target = Target { method: Method::from_bytes(method.as_bytes()), name: method, path };
    of_scope(patterns).endpoints.check(&caller(), target).is_ok()
}

/// Matches segments one by one, backwards and forwards, with no tree and nothing prepared.
fn naive_segments(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern, parts) {
        ([], []) => true,
        (["**"], _) => true,
        (["*", pattern @ ..], [_, parts @ ..]) => naive_segments(pattern, parts),
        ([literal, pattern @ ..], [part, parts @ ..]) => literal == part && naive_segments(pattern, parts),
        _ => false,
    }
}

fn naive_endpoint(pattern: &str, method: &str, path: &str) -> bool {
    let (methods, pattern) = pattern.split_once(' ').unwrap();
    let is_meant =
        methods == "*" || methods.split('|').any(|one| one == method || (one == "GET" && method == "HEAD"));
    let split = |path| str::split(path, '/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let (pattern, path): (Vec<&str>, Vec<&str>) = (split(pattern), split(path));
    is_meant && naive_segments(&pattern, &path)
}

/// Deny wins, and what nothing allows is refused.
fn naive(patterns: &[String], fits: impl Fn(&str) -> bool) -> bool {
    let denied = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(&fits);
    !denied && patterns.iter().filter(|pattern| !pattern.starts_with('!')).any(|pattern| fits(pattern))
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(&SEGMENTS[..]).prop_map(str::to_owned), 2 => Just("*".to_owned())]
}

fn segments_of_a_pattern() -> impl Strategy<Value = Vec<String>> {
    (prop::collection::vec(segment(), 0..4), any::<bool>()).prop_map(|(mut segments, open)| {
        if open {
            segments.push("**".to_owned());
        }
        segments
    })
}

fn endpoint() -> impl Strategy<Value = String> {
    let methods = prop_oneof![
        Just("*".to_owned()),
        prop::sample::subsequence(&METHODS[..], 1..3).prop_map(|methods| methods.join("|"))
    ];
    (any::<bool>(), methods, segments_of_a_pattern()).prop_map(|(denies, methods, segments)| {
        format!("{}{methods} /{}", if denies { "!" } else { "" }, segments.join("/"))
    })
}

fn name() -> impl Strategy<Value = String> {
    (any::<bool>(), segments_of_a_pattern().prop_filter("of something", |segments| !segments.is_empty()))
        .prop_map(|(denies, segments)| format!("{}{}", if denies { "!" } else { "" }, segments.join(":")))
}

fn path() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec(prop::sample::select(&SEGMENTS[..]), 0..5);
    (parts, any::<bool>()).prop_map(|(parts, slash)| {
        format!("/{}{}", parts.join("/"), if slash && !parts.is_empty() { "/" } else { "" })
    })
}

proptest! {
    #[test]
    fn endpoints_are_those_of_the_model(
        patterns in prop::collection::vec(endpoint(), 0..6),
        method in prop::sample::select(&METHODS[..]),
        path in path(),
    ) {
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let expected = naive(&patterns, |pattern| naive_endpoint(pattern, method, &path));
        prop_assert_eq!(opens(&texts, method, &path), expected, "{:?} {} {}", patterns, method, path);
    }

    #[test]
    fn names_are_those_of_the_model(
        patterns in prop::collection::vec(name(), 0..6),
        parts in prop::collection::vec(prop::sample::select(&SEGMENTS[..]), 1..5),
    ) {
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let fits = |pattern: &str| naive_segments(&pattern.split(':').collect::<Vec<_>>(), &parts);
        prop_assert_eq!(permits(&texts, &parts.join(":")), naive(&patterns, fits), "{:?} {:?}", patterns, parts);
    }

    #[test]
    fn no_text_is_a_pattern_that_panics(text in ".{0,40}") {
        let _ = section(&[(HolderDocument::Role("r".to_owned()), vec![text])]);
    }
}

#[test]
fn a_star_is_one_segment_and_two_are_any_number() {
    for (pattern, yes, no) in [
        ("orders:*", ["orders:read", "orders:write"], ["orders", "orders:read:own"]),
        ("orders:**", ["orders", "orders:read:own"], ["order", "Orders:read"]),
        ("*:read", ["orders:read", "users:read"], ["read", "a:orders:read"]),
    ] {
        assert_eq!(yes.map(|name| permits(&[pattern], name)), [true, true], "{pattern}");
        assert_eq!(no.map(|name| permits(&[pattern], name)), [false, false], "{pattern}");
    }
    for (pattern, yes, no) in [
        ("GET /orders/*", ["/orders/7", "/orders/7/"], ["/orders", "/orders/7/items"]),
        ("GET /orders/**", ["/orders", "/orders/7/items"], ["/orderss", "/"]),
        (
            "GET /orders/*/items",
            ["/orders/7/items", "/orders/8/items"],
            ["/orders/items", "/orders/7/items/1"],
        ),
        ("* /**", ["/", "/anything/at/all"], ["", ""]),
    ] {
        assert_eq!(yes.map(|path| opens(&[pattern], "GET", path)), [true, true], "{pattern}");
        if pattern != "* /**" {
            assert_eq!(no.map(|path| opens(&[pattern], "GET", path)), [false, false], "{pattern}");
        }
    }
}

#[test]
fn what_is_forbidden_stays_forbidden_whatever_else_the_caller_has() {
    let permissions = section(&[
        (HolderDocument::Scope("s".to_owned()), vec!["orders:**".to_owned(), "* /**".to_owned()]),
        (
            HolderDocument::Role("r".to_owned()),
            vec!["!orders:delete".to_owned(), "!DELETE /orders/**".to_owned()],
        ),
    ])
    .unwrap();
    let with_role = Caller { roles: Some(Roles::new(vec!["r".into()]).into()), ..caller() };
    let delete = Target { method: Method::Delete, name: "DELETE", path: "/orders/7" };
    assert!(permissions.named("orders:delete").check(&caller()).is_ok_and(|by| by == 0));
    let missing = permissions.named("orders:delete").check(&with_role).err().unwrap();
    assert_eq!((missing.permission.as_deref(), missing.forbidden_by), (Some("orders:delete"), Some(1)));
    assert_eq!(permissions.endpoints.check(&caller(), delete), Ok(0));
    assert_eq!(permissions.endpoints.check(&with_role, delete), Err(Some(1)));
    assert!(permissions.named("orders:read").check(&with_role).is_ok());
}

#[test]
fn a_scope_is_no_role_of_the_same_name() {
    let permissions =
        section(&[(HolderDocument::Role("s".to_owned()), vec!["a".to_owned(), "GET /".to_owned()])]);
    let permissions = permissions.unwrap();
    assert!(permissions.named("a").check(&caller()).is_err());
    let root = Target { method: Method::Get, name: "GET", path: "/" };
    assert_eq!(permissions.endpoints.check(&caller(), root), Err(None));
}

#[test]
fn what_is_no_pattern_says_why() {
    for (text, why) in [
        ("orders:", "empty segment"),
        ("ord*", "a segment of its own"),
        ("**:read", "only at the end"),
        ("orders**", "a segment of its own"),
        ("get /a", "such as `GET`"),
        ("GET a", "begins with `/`"),
        ("", "empty segment"),
    ] {
        let error = section(&[(HolderDocument::Scope("s".to_owned()), vec![text.to_owned()])]).err().unwrap();
        assert!(error.starts_with("t:1:1: `") && error.contains(why), "{text}: {error}");
    }
}

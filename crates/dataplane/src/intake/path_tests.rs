use proptest::prelude::*;

use super::*;

fn canonical(raw: &str) -> Result<String, Malformed> {
    canonical_as(raw, PathParameters::Refuse)
}

fn canonical_as(raw: &str, parameters: PathParameters) -> Result<String, Malformed> {
    let mut out = b"before".to_vec();
    let answer = canonical_path(raw.as_bytes(), parameters, &mut out);
    let made = String::from_utf8(out.split_off(6)).unwrap();
    assert_eq!(out, b"before");
    if answer.is_err() {
        assert_eq!(made, "", "a refusal leaves nothing behind");
    }
    answer.map(|()| made)
}

#[test]
fn one_path_has_one_form() {
    for (raw, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/./a/./b/.", "/a/b/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/a//../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/%61%2D%7e", "/a-~"),
        ("/a%20b%c3%a9", "/a%20b%C3%A9"),
        ("/%3a:%40@", "/%3A:%40@"),
        ("/...", "/..."),
        ("/.a/b.", "/.a/b."),
        ("/a|b", "/a%7Cb"),
        ("/a%7cb", "/a%7Cb"),
        ("/<{\"`^[]}>", "/%3C%7B%22%60%5E%5B%5D%7D%3E"),
        ("/100%25", "/100%25"),
        ("/%2561", "/%2561"),
        ("/*", "/*"),
    ] {
        assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
    }
}

#[test]
fn what_services_read_in_different_ways_is_refused() {
    for (raw, expected) in [
        ("", Malformed::Target),
        ("a", Malformed::Target),
        ("*", Malformed::Target),
        ("/..", Malformed::Target),
        ("/a/../..", Malformed::Target),
        ("/a/%2e%2e/%2e%2e/b", Malformed::Target),
        ("/.//..", Malformed::Target),
        ("/a?b", Malformed::Target),
        ("/%", Malformed::PathEscape),
        ("/%2", Malformed::PathEscape),
        ("/%zz", Malformed::PathEscape),
        ("/%2/a", Malformed::PathEscape),
        ("/%252f", Malformed::PathEscape),
        ("/%252E%252e", Malformed::PathEscape),
        ("/%255C", Malformed::PathEscape),
        ("/%2500", Malformed::PathEscape),
        ("/%25252f", Malformed::PathEscape),
        ("/%25%32e", Malformed::PathEscape),
        ("/%25%32%66", Malformed::PathEscape),
        ("/%c0%ae", Malformed::PathEscape),
        ("/%e0%80%af", Malformed::PathEscape),
        ("/%f0%80%80%af", Malformed::PathEscape),
        ("/%2f", Malformed::PathSeparator),
        ("/a%2Fb", Malformed::PathSeparator),
        ("/%5c", Malformed::PathSeparator),
        ("/a\\..\\b", Malformed::PathSeparator),
        ("/%00", Malformed::PathControl),
        ("/%0d%0a", Malformed::PathControl),
        ("/%7F", Malformed::PathControl),
        ("/a b", Malformed::PathControl),
        ("/é", Malformed::PathControl),
        ("/a;b", Malformed::PathParameters),
        ("/a%3bb", Malformed::PathParameters),
        ("/..;/b", Malformed::PathParameters),
        ("/a#b", Malformed::Fragment),
    ] {
        assert_eq!(canonical(raw), Err(expected), "{raw}");
    }
}

#[test]
fn kept_parameters_never_hide_dot_segments() {
    let keep = |raw| canonical_as(raw, PathParameters::Keep);
    assert_eq!(keep("/a;v=1/b;c").as_deref(), Ok("/a;v=1/b;c"));
    assert_eq!(keep("/a%3bv").as_deref(), Ok("/a%3Bv"));
    assert_eq!(keep("/a/../b;c").as_deref(), Ok("/b;c"));
    assert_eq!(keep("/...;a").as_deref(), Ok("/...;a"));
    for raw in ["/a/..;x/b", "/.;/a", "/a/%2e%2e;/b", "/a/..%3b/b", "/a/.;", "/..;"] {
        assert_eq!(keep(raw), Err(Malformed::PathParameters), "{raw}");
    }
}

/// Pieces from which the paths that brought gateways down were made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "//", ".", "..", "a", "B", ";", ";x", "\\", "#", "%2e", "%2E", "%2f", "%5c", "%00", "%25",
        "%252e", "%25%32", "25", "2e", "%", "%c0", "%ae", "%C3%A9", "%3B", "%61", "~", "|", "?", "é", " ",
        "%7c", "*",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|list| format!("/{}", list.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn canonicalising_twice_changes_nothing(raw in pieces(), keep in any::<bool>()) {
        let parameters = if keep { PathParameters::Keep } else { PathParameters::Refuse };
        if let Ok(once) = canonical_as(&raw, parameters) {
            let twice = canonical_as(&once, parameters);
            prop_assert_eq!(twice.as_deref(), Ok(once.as_str()));
            prop_assert!(once.starts_with('/') && !once.contains("//"));
            prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(once.bytes().all(|byte| is_path_byte(byte) || byte == b'%'));
        }
    }

    #[test]
    fn the_short_way_and_the_long_way_agree(raw in pieces()) {
        if is_canonical(raw.as_bytes()) {
            let mut out = Vec::new();
            rewrite(raw.as_bytes(), PathParameters::Refuse, &mut out).unwrap();
            prop_assert_eq!(out, raw.as_bytes());
        }
    }

    #[test]
    fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = canonical_path(&raw, PathParameters::Keep, &mut Vec::new());
    }
}

//! Precedence, refusals, matchers, forwarding: one claim a test.

use super::*;

const HOST: &str = "api.example.com";

/// Each case lists the loser first, so that file order alone would choose wrongly.
#[test]
fn the_more_specific_route_wins_whatever_its_place_in_the_file() {
    let cases = [
        (route(prefix("/a")), route(exact("/a/b/c"))),
        (route(pattern("/a/{x}/c")), route(exact("/a/b/c"))),
        (route(prefix("/a/b")), route(pattern("/a/{x}/c"))),
        (route(regex("/a/.*")), route(prefix("/a"))),
        (route(regex("/a/.*")), route(prefix("/"))),
        (route(prefix("/a")), route(prefix("/a/b"))),
        (route(prefix("/a/{x}")), route(prefix("/a/b"))),
        (route(prefix("/a")), route(prefix("/{x}/b"))),
        (route(pattern("/a/{x}/{y}")), route(pattern("/a/{x}/c"))),
        (route(pattern("/{x}/b/c")), route(pattern("/a/{x}/c"))),
        (route(pattern("/a/{x}/{y}")), route(pattern("/{x}/b/c"))),
        (route(exact("/a/b/c")), route(prefix("/")).hosts(&["*.com"])),
        (route(exact("/a/b/c")).hosts(&["*.com"]), route(prefix("/")).hosts(&["*.example.com"])),
        (route(exact("/a/b/c")).hosts(&["*.example.com"]), route(prefix("/")).hosts(&[HOST])),
        (route(prefix("/a")), route(prefix("/a")).methods(&["GET"])),
        (route(prefix("/a")).query("q", equals("1")), route(prefix("/a")).methods(&["GET"])),
        (
            route(prefix("/a")).query("q", equals("1")),
            route(prefix("/a")).query("q", equals("1")).header("x", ValueTestDocument::Absent),
        ),
        (route(exact("/a/b/c")).hosts(&[HOST]), route(regex("/.*")).precedence(1)),
        (route(exact("/a/b/c")).precedence(-1), route(prefix("/"))),
    ];
    for (index, (loser, better)) in cases.into_iter().enumerate() {
        let routes = [loser, better];
        assert_eq!(winner(&routes[..1], HOST, "/a/b/c?q=1"), Some(0), "case {index}: the loser fits alone");
        assert_eq!(winner(&routes, HOST, "/a/b/c?q=1"), Some(1), "case {index}");
    }
}

#[test]
fn equals_are_decided_by_their_order_in_the_file() {
    assert_eq!(winner(&[route(prefix("/a")), route(prefix("/a"))], HOST, "/a"), Some(0));
    assert_eq!(winner(&[route(regex("/a.*")), route(regex("/.*"))], HOST, "/a"), Some(0));
}

#[test]
fn a_prefix_ends_at_a_segment_boundary() {
    for (text, target, fits) in [
        ("/a", "/a", true),
        ("/a", "/a/", true),
        ("/a", "/a/x", true),
        ("/a", "/ab", false),
        ("/a", "/", false),
        ("/", "/", true),
        ("/", "/any/thing", true),
        ("/a/", "/a", true),
        ("/{x}/b", "/a/b/c", true),
        ("/{x}/b", "//b", false),
    ] {
        assert_eq!(winner(&[route(prefix(text))], HOST, target).is_some(), fits, "{text} {target}");
    }
}

#[test]
fn an_exact_path_does_not_match_with_a_final_slash() {
    assert_eq!(winner(&[route(exact("/a"))], HOST, "/a/"), None);
    assert_eq!(winner(&[route(exact("/a"))], HOST, "/a"), Some(0));
}

#[test]
fn a_name_binds_exactly_one_segment_that_is_not_empty() {
    for (target, fits) in [
        ("/users/7", true),
        ("/users/", false),
        ("/users", false),
        ("/users/7/", false),
        ("/users/7/x", false),
    ] {
        assert_eq!(winner(&[route(pattern("/users/{id}"))], HOST, target).is_some(), fits, "{target}");
    }
}

#[test]
fn bound_segments_are_found_in_the_text_of_the_request() {
    let table = compile(&[route(pattern("/{kind}/x/{id}")), route(prefix("/{a}/{b}"))]);
    let request = request(HOST, "/users/x/42", &[]);
    let found = find(&table, &request, b"GET").unwrap();
    let bound: Vec<&str> = found.parameters.as_slice().iter().map(|span| request.str(*span)).collect();
    assert_eq!(bound, ["users", "42"]);
    let names: Vec<&str> = table.names(found.route).iter().map(AsRef::as_ref).collect();
    assert_eq!(names, ["kind", "id"]);
}

#[test]
fn a_regex_must_match_the_whole_path() {
    assert_eq!(winner(&[route(regex("/a|/b"))], HOST, "/a/b"), None);
    assert_eq!(winner(&[route(regex("/a|/b"))], HOST, "/b"), Some(0));
}

#[test]
fn a_wildcard_host_stands_for_one_or_more_labels() {
    let routes = [route(prefix("/")).hosts(&["*.Example.com."])];
    for (host, fits) in [
        ("a.example.com", true),
        ("a.b.example.com", true),
        ("example.com", false),
        (".example.com", false),
        ("badexample.com", false),
        ("example.com.evil", false),
    ] {
        assert_eq!(winner(&routes, host, "/").is_some(), fits, "{host}");
    }
}

#[test]
fn matching_falls_through_to_the_next_best_path() {
    let routes = [
        route(exact("/a")).methods(&["POST"]),
        route(exact("/a")).header("x-beta", ValueTestDocument::Present),
        route(prefix("/")).methods(&["GET"]),
    ];
    assert_eq!(winner(&routes, HOST, "/a"), Some(2));
}

#[test]
fn a_wrong_method_is_told_every_method_that_would_do() {
    let routes = [
        route(exact("/a")).methods(&["POST", "GET"]),
        route(prefix("/")).methods(&["DELETE", "POST", "PURGE"]),
        route(exact("/a")).methods(&["PATCH"]).header("x-beta", ValueTestDocument::Present),
        route(exact("/b")).methods(&["PUT"]),
    ];
    let refusal = find(&compile(&routes), &request(HOST, "/a", &[]), b"OPTIONS").unwrap_err();
    assert_eq!(refusal, Refusal::MethodNotAllowed { allow: "DELETE, GET, HEAD, POST, PURGE".into() });
}

#[test]
fn a_method_that_no_fitting_route_lists_but_whose_matchers_fail_is_no_route() {
    let routes = [route(exact("/a")).methods(&["POST"]).header("x", ValueTestDocument::Present)];
    assert_eq!(find(&compile(&routes), &request(HOST, "/a", &[]), b"GET").unwrap_err(), Refusal::NoRoute);
}

#[test]
fn head_is_answered_where_get_is_listed_and_methods_are_case_sensitive() {
    let table = compile(&[route(exact("/a")).methods(&["GET", "PURGE"])]);
    let request = request(HOST, "/a", &[]);
    for (method, fits) in [("HEAD", true), ("GET", true), ("get", false), ("PURGE", true), ("BAN", false)] {
        assert_eq!(find(&table, &request, method.as_bytes()).is_ok(), fits, "{method}");
    }
}

#[test]
fn any_value_of_a_repeated_header_may_match_in_any_order() {
    let table = compile(&[route(exact("/a")).header("X-Tier", equals("gold"))]);
    for values in [[("x-tier", "gold"), ("x-tier", "tin")], [("x-tier", "tin"), ("x-tier", "gold")]] {
        assert!(find(&table, &request(HOST, "/a", &values), b"GET").is_ok());
    }
    assert!(find(&table, &request(HOST, "/a", &[("x-tier", "golden")]), b"GET").is_err());
}

#[test]
fn a_header_regex_must_match_the_whole_value() {
    let table = compile(&[route(exact("/a")).header("x", ValueTestDocument::Regex("v[0-9]".to_owned()))]);
    assert!(find(&table, &request(HOST, "/a", &[("x", "v1")]), b"GET").is_ok());
    assert!(find(&table, &request(HOST, "/a", &[("x", "v12")]), b"GET").is_err());
}

#[test]
fn query_names_and_values_are_decoded_once() {
    for (test, query, fits) in [
        (equals("a b"), "n=a+b", true),
        (equals("a b"), "n=a%20b", true),
        (equals("a b"), "x=1&%6E=a%20b", true),
        (equals("a%20b"), "n=a%2520b", true),
        (equals("a b"), "n=a%2520b", false),
        (equals("a%2"), "n=a%2", true),
        (equals("2"), "n=1&n=2", true),
        (equals(""), "n", true),
        (equals("b=c"), "n=b=c", true),
        (ValueTestDocument::Present, "m=1&n", true),
        (ValueTestDocument::Present, "m=n", false),
        (ValueTestDocument::Absent, "m=n", true),
        (ValueTestDocument::Absent, "%6e=", false),
        (ValueTestDocument::Regex("a.c".to_owned()), "n=a+c", true),
        (ValueTestDocument::Regex("a".to_owned()), "n=ab", false),
    ] {
        let routes = [route(exact("/a")).query("n", test.clone())];
        assert_eq!(winner(&routes, HOST, &format!("/a?{query}")).is_some(), fits, "{test:?} {query}");
    }
}

#[test]
fn what_can_never_match_is_refused_with_its_route_and_place() {
    for document in [
        route(exact("a")),
        route(prefix("")),
        route(pattern("/a//{x}")),
        route(pattern("/a{x}")),
        route(pattern("/{x}/{x}")),
        route(pattern("/{}")),
        route(pattern("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}")),
        route(regex("/(")),
        route(regex("/a)|(?:/b")),
        route(regex("(?x)/a # comment")),
        route(exact("/")).hosts(&["a.*.com"]),
        route(exact("/")).hosts(&["example.com:80"]),
        route(exact("/")).methods(&["GE T"]),
        route(exact("/")).header("x", ValueTestDocument::Regex("(".to_owned())),
        route(exact("/")).query("x", ValueTestDocument::Regex("a)|(?:b".to_owned())),
    ] {
        let error = Table::compile(std::slice::from_ref(&document), identity).unwrap_err();
        assert!(error.starts_with("gateway.yaml:1:1: route `one`: "), "{error}");
    }
}

#[test]
fn literals_of_the_configuration_are_made_canonical() {
    fn lower(path: &str) -> Result<String, String> {
        Ok(path.to_ascii_lowercase())
    }
    for path in [exact("/ABC/x"), pattern("/ABC/{X}"), prefix("/ABC")] {
        let table = Table::compile(&[route(path)], lower).unwrap();
        assert!(find(&table, &request(HOST, "/abc/x", &[]), b"GET").is_ok());
    }
}

fn forwarded(strip: Option<&str>, rewrite: Option<(&str, &str)>, path: &str) -> Result<String, String> {
    let rewrite = rewrite.map(|(regex, replacement)| RewriteDocument {
        regex: regex.to_owned(),
        replacement: replacement.to_owned(),
    });
    let document = ProxyDocument {
        websocket: None,
        service: "users".to_owned(),
        strip_prefix: strip.map(str::to_owned),
        rewrite,
        circuit_breaker: crate::snapshot::document::BreakerUseDocument::Shared,
        host: crate::snapshot::document::HostHeader::Preserve,
    };
    let mut out = b"left from before".to_vec();
    Forwarding::compile(&document, identity)?.forward_path(path, &mut out);
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_prefix_is_stripped_at_a_segment_boundary_only() {
    for (strip, path, expected) in [
        ("/api/v2", "/api/v2/users/me", "/users/me"),
        ("/api/v2", "/api/v2", "/"),
        ("/api/v2", "/api/v2/", "/"),
        ("/api/v2/", "/api/v2/users", "/users"),
        ("/api/v2", "/api/v20/users", "/api/v20/users"),
        ("/api/v2", "/other", "/other"),
        ("/", "/a", "/a"),
    ] {
        assert_eq!(forwarded(Some(strip), None, path).unwrap(), expected, "{strip} {path}");
    }
}

#[test]
fn a_rewrite_replaces_the_whole_path_or_nothing() {
    let rule = Some(("/old/([^/]+)(?<rest>/.*)?", "/new/${1}_x${rest}"));
    assert_eq!(forwarded(None, rule, "/old/7/a").unwrap(), "/new/7_x/a");
    assert_eq!(forwarded(None, rule, "/very/old/7").unwrap(), "/very/old/7");
    assert_eq!(forwarded(Some("/v1"), rule, "/v1/old/7").unwrap(), "/new/7_x");
}

#[test]
fn a_replacement_that_names_a_missing_group_is_refused() {
    for replacement in ["/$2", "/$1_x", "/${nobody}"] {
        assert!(forwarded(None, Some(("/(.*)", replacement)), "/a").is_err(), "{replacement}");
    }
    assert_eq!(forwarded(None, Some(("/(.*)", "/$$1/$1")), "/a").unwrap(), "/$1/a");
}

//! What expressions give, what they refuse, and what they may cost.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::*;
use crate::caller::{CallerKind, Roles};
use crate::claims::Claims;
use crate::refusal::{Forbidden, RuleFault};
use crate::request::{Header, Known, Request, Span};

mod bounds;
mod oracle;
mod timing;

fn parameters() -> Vec<String> {
    vec!["id".to_owned(), "item".to_owned()]
}

fn request(query: &str, headers: &[(&str, &[u8], Known)]) -> Request {
    let mut request = Request::new(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)));
    request.method_text = request.append(b"GET");
    request.path = request.append(b"/orders/7/items/%C3%BC");
    request.host = request.append(b"api.example.com");
    request.query = (!query.is_empty()).then(|| request.append(query.as_bytes()));
    for (name, value, known) in headers {
        let (name, value) = (request.append(name.as_bytes()), request.append(value));
        request.headers.push(Header { name, value, known: *known });
    }
    request
}

/// The segments of the path that `id` and `item` are.
fn spans(request: &Request) -> [Span; 2] {
    let start = request.path.start;
    [Span { start: start + 8, end: start + 9 }, Span { start: start + 16, end: start + 22 }]
}

fn ann() -> Caller {
    let claims =
        json!({"level": 3, "ratio": 1.5, "org": {"id": "acme", "tags": ["a", "b"]}, "nothing": null});
    Caller {
        user: Some("ann".into()),
        roles: Some(Roles::new(vec!["clerk".into()]).into()),
        claims: Claims::parse(claims.to_string().as_bytes()).map(Arc::new),
        ..Caller::new(CallerKind::User, Some(0), vec!["read".into(), "write".into()])
    }
}

fn holds_for(text: &str, request: &Request, caller: &Caller, steps: u32) -> Result<bool, RuleFault> {
    let parameters = parameters();
    let node = compile(text, Ground { route: "orders", parameters: &parameters }).expect(text);
    let identities = ["mobile".into()];
    let spans = spans(request);
    let asked = Asked { request, parameters: &spans, tenant: Some("acme"), unix_ms: 1_700_000_000_500 };
    Evaluation::new(Facts { asked, caller, identities: &identities }, steps).holds(&node)
}

fn holds(text: &str) -> Result<bool, RuleFault> {
    let headers: [(&str, &[u8], Known); 5] = [
        ("x-tag", b"one", Known::Other),
        ("x-tag", b"two", Known::Other),
        ("x-raw", b"\xff", Known::Other),
        ("x-user-id", b"root", Known::ClientSentIdentity),
        ("x-hop", b"1", Known::NamedInConnection),
    ];
    holds_for(text, &request("a=1&b=x%20y&twice=1&twice=2&c=%ff&empty", &headers), &ann(), 10_000)
}

fn mistake(text: &str) -> String {
    let parameters = parameters();
    let mistake = compile(text, Ground { route: "orders", parameters: &parameters }).map(|_| ()).unwrap_err();
    let place = mistake.place.map_or(String::new(), |(line, column)| format!("{line}:{column}: "));
    format!("{place}{}", mistake.message)
}

#[test]
fn every_variable_is_what_its_name_says() {
    for text in [
        "caller.kind == 'user'",
        "caller.identity == 'mobile'",
        "caller.user == 'ann'",
        "caller.partner == null && caller.key_id == null && caller.tier == null",
        "has(caller.user) && !has(caller.partner)",
        "caller.scopes == ['read', 'write']",
        "'clerk' in caller.roles",
        "caller.claims.level == 3 && caller.claims.org.tags[1] == 'b' && caller.claims['ratio'] > 1",
        "has(caller.claims.org.id) && !has(caller.claims.org.name) && caller.claims.nothing == null",
        "request.method == 'GET'",
        "request.path.startsWith('/orders/')",
        "request.host == 'api.example.com'",
        "request.scheme == 'http' && request.protocol == 'HTTP/1.1'",
        "request.client_ip == '10.1.2.3' && string(request.client_ip) == '10.1.2.3'",
        "request.time == 1700000000 && request.tenant == 'acme'",
        "request.params.id == '7' && request.params['item'] == '%C3%BC'",
        "request.query.a == '1' && request.query['b'] == 'x y' && request.query.empty == ''",
        "request.headers['X-Tag'] == 'one, two'",
        "route.name == 'orders'",
    ] {
        assert_eq!(holds(text), Ok(true), "{text}");
    }
}

#[test]
fn what_a_client_says_of_itself_is_not_there() {
    for text in [
        "'x-user-id' in request.headers",
        "has(request.headers['x-hop'])",
        "request.headers.exists(h, h == 'x-user-id')",
    ] {
        let text = text.replace("has(request.headers['x-hop'])", "'x-hop' in request.headers");
        assert_eq!(holds(&text), Ok(false), "{text}");
    }
}

#[test]
fn functions_and_loops_give_what_they_say() {
    for text in [
        "size('äb') == 2 && size(caller.scopes) == 2 && caller.claims.org.size() == 2 && size(request.query) == 6",
        "'abc'.contains('b') && 'abc'.startsWith('ab') && 'abc'.endsWith('bc')",
        "'AbC'.lowerAscii() == 'abc' && 'AbC'.upperAscii() == 'ABC'",
        "request.path.matches('^/orders/[0-9]+/') && !matches(request.path, '^orders')",
        "int('7') == 7 && uint(7) == 7u && double('1.5') == 1.5 && string(7) == '7' && int(request.params.id) == 7",
        "in_network(request.client_ip, '10.0.0.0/8') && !in_network('::1', ['10.0.0.0/8', '::2'])",
        "caller.scopes.exists(s, s == 'read') && !caller.scopes.all(s, s == 'read')",
        "caller.scopes.exists_one(s, s.startsWith('w'))",
        "caller.scopes.map(s, s + '!') == ['read!', 'write!'] && caller.scopes.map(s, s != 'read', s) == ['write']",
        "caller.scopes.filter(s, s != 'read') == ['write']",
        "caller.scopes.exists(s, caller.claims.org.tags.exists(t, s != t && t == 'b'))",
        "caller.claims.exists(name, name == 'org')",
        "(true ? 1 : 2) == 1 && -(1) == -1 && 7 % 4 == 3 && 7 / 2 == 3 && 1.0 / 2.0 == 0.5",
        "int(-7.9) == -7 && uint(7.9) == 7u && int('-7') == -7 && uint('7') == 7u && double('7') == 7.0 && double(7u) == 7.0",
        "18446744073709551615u - 1u == 18446744073709551614u && 7u / 2u == 3u && -7 % 4 == -3",
        "1 < 2u && 2.5 > 2 && 'a' < 'b' && [1, 2] + [3] == [1, 2, 3]",
    ] {
        assert_eq!(holds(text), Ok(true), "{text}");
    }
}

#[test]
fn what_fails_is_a_fault_and_never_true() {
    for (text, fault) in [
        ("request.headers['x-none'] == 'a'", RuleFault::MissingKey),
        ("caller.claims.none == 1", RuleFault::MissingKey),
        ("caller.partner.startsWith('a')", RuleFault::WrongType),
        ("caller.claims.level.startsWith('a')", RuleFault::WrongType),
        ("caller.claims.level", RuleFault::NotBoolean),
        ("request.query.twice == '1'", RuleFault::Repeated),
        ("request.query.c == '1'", RuleFault::NotText),
        ("request.headers['x-raw'] == '1'", RuleFault::NotText),
        ("int('x') == 1", RuleFault::Conversion),
        ("in_network('nowhere', '::/0')", RuleFault::Conversion),
        ("9223372036854775807 + 1 == 0", RuleFault::Overflow),
        ("1 / 0 == 1", RuleFault::DivisionByZero),
        ("1u % 0u == 1u", RuleFault::DivisionByZero),
        ("1u - 2u == 0u", RuleFault::Overflow),
        ("18446744073709551615u * 18446744073709551615u == 0u", RuleFault::Overflow),
        ("-9223372036854775808 / -1 == 0", RuleFault::Overflow),
        ("int(18446744073709551615u) == 0", RuleFault::Overflow),
        ("int(9223372036854775808.0) == 0", RuleFault::Overflow),
        ("int(0.0 / 0.0) == 0", RuleFault::Overflow),
        ("uint(-1) == 0u", RuleFault::Overflow),
        ("uint(1e300) == 0u", RuleFault::Overflow),
        ("uint('-x') == 0u", RuleFault::Conversion),
        ("int(true) == 1", RuleFault::WrongType),
        ("caller.scopes[2] == 'a'", RuleFault::OutOfRange),
        ("caller.scopes[-1] == 'a'", RuleFault::OutOfRange),
    ] {
        assert_eq!(holds(text), Err(fault), "{text}");
        assert!(holds(&format!("!({text})")).is_err(), "{text}");
    }
}

#[test]
fn one_side_may_decide_whatever_becomes_of_the_other() {
    let fault = "request.query.twice == '1'";
    for (text, expected) in [
        (format!("true || {fault}"), Ok(true)),
        (format!("{fault} || true"), Ok(true)),
        (format!("{fault} && false"), Ok(false)),
        (format!("{fault} && true"), Err(RuleFault::Repeated)),
        (format!("{fault} || false"), Err(RuleFault::Repeated)),
        ("caller.scopes.exists(s, s == 'write' || caller.claims.none == 1)".to_owned(), Ok(true)),
        ("caller.scopes.all(s, s == 'x' && caller.claims.none == 1)".to_owned(), Ok(false)),
    ] {
        assert_eq!(holds(&text), expected, "{text}");
    }
    // What is there twice is there.
    assert_eq!(holds("has(request.query.twice) && 'c' in request.query"), Ok(true));
}

#[test]
fn mistakes_are_found_before_there_is_a_request() {
    for (text, message) in [
        ("caller.usr == 'a'", "1:8: there is no `caller.usr`; there are `kind`, `identity`"),
        (
            "true &&\n  user == 'a'",
            "2:3: there is no `user`; expressions speak of `caller`, `request` and `route`",
        ),
        ("caller == 'a'", "1:1: `caller` alone is no value; it has `kind`"),
        ("request.params.nr == 'a'", "1:16: the path of the route names no `nr`; it names `id`, `item`"),
        ("request.method == 5", "`==` stands between a string and an integer: which are never equal"),
        ("request.method", "a rule takes a boolean, not a string"),
        ("!request.method", "`!` takes a boolean, not a string"),
        ("size(caller.scopes, 1) > 1", "1:1: `size` takes 1 of what it is called on and with, not 2"),
        ("now() > 1", "1:1: there is no function `now`; there are `size`"),
        ("request.path.matches('(')", "1:14: not a regular expression: unclosed group"),
        ("request.path.matches(request.host)", "1:14: the pattern of `matches` is written out"),
        ("request.path.matches('\\\\w{100}')", "1:14: the regular expression is too large"),
        ("in_network(request.client_ip, '10.0.0.0/33')", "1:32: `10.0.0.0/33` is no network"),
        ("caller.scopes.exists(s, s)", "the condition of a loop takes a boolean, not a string"),
        ("request.method.exists(s, true)", "a loop goes over a list or the keys of a map, not over a string"),
        ("{'a': 1}.a == 1", "expressions here cannot write maps and messages"),
        ("caller.claims.x == b'1'", "expressions here have no bytes"),
        ("'a' in request.method", "`in` looks into a list or a map, not into a string"),
        ("1 in caller.scopes", "`in` stands between an integer and a string"),
        ("request.client_ip < request.client_ip", "which have no order"),
        ("1 + 1.0 == 2", "`+` stands between an integer and a double"),
        ("request.method.length() > 1", "1:16: there is no function `length`"),
        ("request.method.x == 1", "a string has no member `x`"),
    ] {
        let found = mistake(text);
        assert!(found.contains(message), "{text}: {found}");
    }
}

#[test]
fn a_rule_that_denies_wins_and_one_that_allows_is_enough() {
    let document = |name: &str, allows: bool, expression: &str| RuleDocument {
        name: name.to_owned(),
        at: "t:1:1".to_owned(),
        allows,
        expression: expression.to_owned(),
        message: Some(format!("says {name}")),
    };
    let documents = [
        document("a", true, "request.method == 'POST'"),
        document("b", true, "caller.user == 'ann'"),
        document("c", false, "'admin' in caller.roles"),
        document("d", false, "request.query.twice == 'x'"),
    ];
    let settings = RuleSettings { identities: ["mobile".into()].into(), max_steps: 1_000 };
    let ground = Ground { route: "orders", parameters: &[] };
    let rules = Rules::compile(&documents, ground, &settings, 10).unwrap().unwrap();
    let check = |caller: &Caller, query: &str| {
        let request = request(query, &[]);
        rules.check(caller, Asked { request: &request, parameters: &[], tenant: None, unix_ms: 0 })
    };
    let refused = |rule, ruling, name: &str| {
        Err(Refusal::Forbidden(Forbidden::Ruled {
            rule,
            ruling,
            message: Some(format!("says {name}").into()),
        }))
    };
    let fine = "twice=y";
    assert_eq!(check(&ann(), fine), Ok(Some(11)));
    let admin = Caller { roles: Some(Roles::new(vec!["admin".into()]).into()), ..ann() };
    assert_eq!(check(&admin, fine), refused(12, Ruling::Denied, "c"));
    assert_eq!(check(&Caller::anonymous(), fine), refused(11, Ruling::NotAllowed, "b"));
    let failed = Ruling::Failed(RuleFault::MissingKey);
    assert_eq!(check(&ann(), "other=1"), refused(13, failed, "d"));
    assert!(Rules::compile(&[], ground, &settings, 0).unwrap().is_none());
}

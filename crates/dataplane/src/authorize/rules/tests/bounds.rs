//! No expression holds a worker up: what it may cost is bounded before it runs, and counted while it does.

use proptest::prelude::*;

use super::*;

/// As many scopes as a token has room for.
fn caller_of(scopes: usize) -> Caller {
    Caller::new(CallerKind::User, None, (0..scopes).map(|number| format!("s{number}").into()).collect())
}

#[test]
fn an_expression_ends_when_its_steps_are_spent() {
    let caller = caller_of(2_000);
    let costly = [
        "caller.scopes.exists(a, caller.scopes.exists(b, a + b == 'x'))",
        "caller.scopes.map(a, caller.scopes.map(b, a + b)).size() > 0",
        "caller.scopes.all(a, caller.scopes.filter(b, b == a).size() < 2)",
        "caller.scopes.exists(a, a in caller.scopes.map(b, b + 'x'))",
        "caller.scopes.exists(a, (caller.scopes + caller.scopes).size() < 1)",
    ];
    for text in costly {
        assert_eq!(
            holds_for(text, &request("", &[]), &caller, 10_000),
            Err(RuleFault::TooManySteps),
            "{text}"
        );
    }
    // No part of an expression hides that.
    let text = format!("({}) || true || ({})", costly[0], costly[1]);
    assert_eq!(holds_for(&text, &request("", &[]), &caller, 10_000), Err(RuleFault::TooManySteps));
}

#[test]
fn long_texts_are_paid_for_by_their_length() {
    let long = vec![b'a'; 60_000];
    let request = request("", &[("x-long", &long, Known::Other)]);
    let once = "request.headers['x-long'].contains('b')";
    assert_eq!(holds_for(once, &request, &ann(), 10_000), Ok(false));
    let often = format!("{once} || request.headers['x-long'].matches('b+$')");
    assert_eq!(holds_for(&often, &request, &ann(), 10_000), Err(RuleFault::TooManySteps));
    // The larger a pattern, the dearer each byte.
    let part = vec![b'a'; 2_000];
    let request = self::request("", &[("x-long", &long, Known::Other), ("x-part", &part, Known::Other)]);
    for (pattern, expected) in [("b+$", Ok(false)), ("([ab]{1,40}a){1,10}c", Err(RuleFault::TooManySteps))] {
        let text = format!("request.headers['x-part'].matches('{pattern}')");
        assert_eq!(holds_for(&text, &request, &ann(), 10_000), expected, "{pattern}");
    }
    let doubled = "request.headers['x-long'] + request.headers['x-long'] == 'a'";
    assert_eq!(holds_for(doubled, &request, &ann(), 10_000), Err(RuleFault::TooManySteps));
}

#[test]
fn a_cheap_rule_takes_a_handful_of_steps() {
    let text = "caller.kind == 'user' && 'read' in caller.scopes && request.path.startsWith('/orders/')";
    assert_eq!(holds_for(text, &request("", &[]), &ann(), 20), Ok(true));
}

#[test]
fn loops_and_operators_have_a_depth() {
    assert!(
        mistake("caller.scopes.exists(a, caller.scopes.exists(b, caller.scopes.exists(c, a == c)))")
            .contains("more than 2 of")
    );
    let chain = vec!["1"; 200].join("+");
    assert!(mistake(&format!("{chain} == 1")).contains("more than 100 operators in one chain"));
    // `&&` and `||` are balanced by the parser, so a long list of them is not deep.
    assert_eq!(holds(&vec!["true"; 300].join(" && ")), Ok(true));
    let networks = vec!["'10.0.0.0/8'"; 65].join(", ");
    assert!(mistake(&format!("in_network(request.client_ip, [{networks}])")).contains("64 networks at most"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_is_more_than_a_mistake(text in r#"[a-z.()\[\]'"&|!?:,0-9 +*/<>=_{}-]{0,60}"#) {
        let _ = compile(&text, Ground { route: "orders", parameters: &[] });
    }

    #[test]
    fn no_request_makes_a_rule_more_than_a_fault(
        query in "[a-z=&%0-9+]{0,30}",
        value in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let request = request(&query, &[("x-any", &value, Known::Other), ("x-any", b"2", Known::Other)]);
        let text = "request.query.exists(name, name == 'a' && request.query[name].matches('^[0-9]+$')) \
            || request.headers['x-any'].size() > int(request.query.b) || request.query.size() / size(request.query.c) > 1";
        let _ = holds_for(text, &request, &ann(), 10_000);
    }
}

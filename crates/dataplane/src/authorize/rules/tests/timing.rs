//! What rules cost. Measurements, not claims.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::*;

/// The shortest of several rounds: the others were disturbed.
fn nanoseconds(rounds: u32, mut work: impl FnMut()) -> u128 {
    let best = (0..7).map(|_| {
        let began = Instant::now();
        (0..rounds).for_each(|_| work());
        began.elapsed()
    });
    best.min().unwrap_or(Duration::ZERO).as_nanos() / u128::from(rounds)
}

fn time(text: &str, request: &Request, caller: &Caller, rounds: u32) -> u128 {
    let document = RuleDocument {
        name: "one".to_owned(),
        at: "t:1:1".to_owned(),
        allows: false,
        expression: text.to_owned(),
        message: None,
    };
    let settings = RuleSettings { identities: ["mobile".into()].into(), max_steps: 10_000 };
    let parameters = parameters();
    let ground = Ground { route: "orders", parameters: &parameters };
    let rules = Rules::compile(&[document], ground, &settings, 0).unwrap().unwrap();
    let spans = spans(request);
    let asked = Asked { request, parameters: &spans, tenant: None, unix_ms: 1_700_000_000_000 };
    nanoseconds(rounds, || drop(black_box(rules.check(black_box(caller), asked))))
}

#[test]
#[ignore = "a measurement, not a claim: run it with --release or --profile quick"]
fn measure_rules() {
    let headers: Vec<(String, Vec<u8>)> =
        (0..20).map(|number| (format!("x-{number}"), b"value".to_vec())).collect();
    let headers: Vec<(&str, &[u8], Known)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_slice(), Known::Other)).collect();
    let request = request("a=1&b=x%20y", &headers);
    for text in [
        "request.method == 'DELETE'",
        "caller.kind == 'partner' && request.method != 'GET' && !in_network(request.client_ip, '10.0.0.0/8')",
        "!(caller.user == 'ann' && 'clerk' in caller.roles && request.path.startsWith('/orders/'))",
        "caller.claims.org.id != 'acme'",
        "request.headers['x-19'] != 'value'",
        "request.query.b != 'x y'",
        "request.path.matches('^/admin/[0-9]+$')",
        "caller.scopes.exists(s, s.startsWith('x'))",
    ] {
        println!("{:>7} ns  {text}", time(text, &request, &ann(), 100_000));
    }
    let scopes = (0..2_000).map(|number| format!("s{number}").into()).collect();
    let many = Caller::new(CallerKind::User, None, scopes);
    for text in [
        "caller.scopes.exists(a, caller.scopes.exists(b, a + b == 'x'))",
        "caller.scopes.map(a, caller.scopes.map(b, a + b)).size() > 0",
        "caller.scopes.exists(a, (caller.scopes + caller.scopes).size() < 1)",
    ] {
        println!("{:>7} ns until its steps are spent  {text}", time(text, &request, &many, 100));
    }
    let long = vec![b'a'; 9_000];
    let long = self::request("", &[("x-long", &long, Known::Other)]);
    for text in
        ["request.headers['x-long'].matches('[ab]*a[ab]{30}c|x')", "request.headers['x-long'].contains('b')"]
    {
        println!("{:>7} ns for 9,000 bytes  {text}", time(text, &long, &ann(), 50));
    }
}

//! A naive matcher: tries every route on every request, and sorts what fits by the rules as written down.

use std::cmp::Ordering;

use super::*;

fn segments(text: &str) -> Vec<&str> {
    if text == "/" { Vec::new() } else { text.split('/').skip(1).collect() }
}

fn agree(wanted: &[&str], given: &[&str]) -> bool {
    wanted
        .iter()
        .zip(given)
        .all(|(wanted, given)| wanted == given || wanted.starts_with('{') && !given.is_empty())
}

fn path_fits(path: &PathMatchDocument, given: &str) -> bool {
    let parts: Vec<&str> = given.split('/').skip(1).collect();
    match path {
        PathMatchDocument::Exact(text) => text == given,
        PathMatchDocument::Pattern(text) => {
            segments(text).len() == parts.len() && agree(&segments(text), &parts)
        }
        PathMatchDocument::Prefix(text) => {
            segments(text).len() <= parts.len() && agree(&segments(text), &parts)
        }
        PathMatchDocument::Regex(text) => {
            regex::Regex::new(&format!("^(?:{text})$")).unwrap().is_match(given)
        }
    }
}

/// `None`: does not fit. Less is better.
fn host_class(route: &RouteDocument, host: &str) -> Option<(u8, i64)> {
    if route.matching.hosts.is_empty() {
        return Some((2, 0));
    }
    let class = |wanted: &String| match wanted.strip_prefix("*.") {
        Some(suffix) => host.ends_with(&format!(".{suffix}")).then_some((1, -(suffix.len() as i64))),
        None => (wanted == host).then_some((0, 0)),
    };
    route.matching.hosts.iter().filter_map(class).min()
}

fn methods(route: &RouteDocument) -> Vec<String> {
    let mut list = route.matching.methods.clone();
    if list.iter().any(|method| method == "GET") {
        list.push("HEAD".to_owned());
    }
    list
}

fn compare_paths(left: &PathMatchDocument, right: &PathMatchDocument) -> Ordering {
    use PathMatchDocument::{Exact, Pattern, Prefix, Regex};
    let class = |path: &PathMatchDocument| match path {
        Exact(_) => 0,
        Pattern(_) => 1,
        Prefix(_) => 2,
        Regex(_) => 3,
    };
    let by_literals = |left: &str, right: &str| {
        let names = |text: &str| -> Vec<bool> {
            segments(text).iter().map(|segment| segment.starts_with('{')).collect()
        };
        let literals = |text: &str| names(text).iter().filter(|name| !**name).count();
        literals(right).cmp(&literals(left)).then_with(|| names(left).cmp(&names(right)))
    };
    match (left, right) {
        (Pattern(left), Pattern(right)) => by_literals(left, right),
        (Prefix(left), Prefix(right)) => {
            segments(right).len().cmp(&segments(left).len()).then_with(|| by_literals(left, right))
        }
        _ => class(left).cmp(&class(right)),
    }
}

fn compare(left: &(usize, &RouteDocument), right: &(usize, &RouteDocument), host: &str) -> Ordering {
    let (first, second) = (left.1, right.1);
    let matchers = |route: &RouteDocument| route.matching.headers.len() + route.matching.query.len();
    (second.precedence.cmp(&first.precedence))
        .then_with(|| host_class(first, host).cmp(&host_class(second, host)))
        .then_with(|| compare_paths(&first.matching.path, &second.matching.path))
        .then_with(|| first.matching.methods.is_empty().cmp(&second.matching.methods.is_empty()))
        .then_with(|| matchers(second).cmp(&matchers(first)))
        .then_with(|| left.0.cmp(&right.0))
}

fn naive(routes: &[RouteDocument], request: &Request, method: &str) -> Result<u32, Refusal> {
    let host = request.host();
    let has_header = request.values(b"x").next().is_some();
    let mut fitting: Vec<(usize, &RouteDocument)> = (routes.iter().enumerate())
        .filter(|(_, route)| host_class(route, host).is_some())
        .filter(|(_, route)| path_fits(&route.matching.path, request.path()))
        .filter(|(_, route)| route.matching.headers.is_empty() || has_header)
        .collect();
    if fitting.is_empty() {
        return Err(Refusal::NoRoute);
    }
    let mut allow: Vec<String> = fitting.iter().flat_map(|(_, route)| methods(route)).collect();
    allow.sort();
    allow.dedup();
    fitting.retain(|(_, route)| {
        route.matching.methods.is_empty() || methods(route).iter().any(|name| name == method)
    });
    fitting.sort_by(|left, right| compare(left, right, host));
    match fitting.first() {
        Some((index, _)) => Ok(*index as u32),
        None => Err(Refusal::MethodNotAllowed { allow: allow.join(", ").into() }),
    }
}

fn any_path() -> impl Strategy<Value = PathMatchDocument> {
    let literal = prop::sample::select(vec!["a", "b", "ab"]);
    let literals = prop::collection::vec(literal.clone(), 0..4);
    let mixed = prop::collection::vec((literal, any::<bool>()), 1..4);
    let join = |parts: Vec<&str>| format!("/{}", parts.join("/"));
    let with_names = |parts: Vec<(&str, bool)>| -> String {
        let part = |(index, (text, name)): (usize, (&str, bool))| {
            if name { format!("/{{n{index}}}") } else { format!("/{text}") }
        };
        parts.into_iter().enumerate().map(part).collect()
    };
    prop_oneof![
        literals.clone().prop_map(join).prop_map(PathMatchDocument::Exact),
        literals.prop_map(join).prop_map(PathMatchDocument::Prefix),
        mixed.clone().prop_map(with_names).prop_map(PathMatchDocument::Pattern),
        mixed.prop_map(with_names).prop_map(PathMatchDocument::Prefix),
        prop::sample::select(vec![
            "/a.*",
            "/.*b",
            "/[ab]+/[ab]+",
            "/a|/b",
            ".*",
            "/a/.*",
            "/a/b/?.*",
            "/a/(a|b)/.+"
        ])
        .prop_map(|text| PathMatchDocument::Regex(text.to_owned())),
    ]
}

fn any_route() -> impl Strategy<Value = RouteDocument> {
    let host = prop::sample::select(vec!["x.com", "a.x.com", "*.x.com", "*.com", "*.a.x.com"]);
    let method = prop::sample::select(vec!["GET", "POST", "HEAD", "PURGE"]);
    let (hosts, methods) = (prop::collection::vec(host, 0..3), prop::collection::vec(method, 0..3));
    let precedence = prop_oneof![4 => Just(0), 1 => -1..2];
    (any_path(), hosts, methods, any::<bool>(), precedence).prop_map(
        |(path, hosts, methods, header, precedence)| {
            let route = route(path).hosts(&hosts).methods(&methods).precedence(precedence);
            if header { route.header("x", ValueTestDocument::Present) } else { route }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_answers_as_trying_every_route_would(
        routes in prop::collection::vec(any_route(), 0..25),
        targets in prop::collection::vec("(/(a|b|ab)){0,4}/?", 1..12),
        host in prop::sample::select(vec!["x.com", "a.x.com", "b.a.x.com", "y.com", "z", ""]),
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PURGE", "BAN"]),
        header in any::<bool>(),
    ) {
        let table = compile(&routes);
        for target in targets {
            let target = if target.is_empty() { "/" } else { target.as_str() };
            let headers: &[(&str, &str)] = if header { &[("x", "1")] } else { &[] };
            let request = request(host, target, headers);
            let found = find(&table, &request, method.as_bytes());
            if let Ok(found) = &found {
                prop_assert_eq!(found.parameters.as_slice().len(), table.names(found.route).len());
            }
            prop_assert_eq!(found.map(|found| found.route), naive(&routes, &request, method), "{}", target);
        }
    }
}

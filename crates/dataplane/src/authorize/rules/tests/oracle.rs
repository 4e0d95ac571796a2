//! The same expressions, evaluated by the interpreter of the `cel` crate: where both know what is written, they agree.

use cel::objects::Value as Theirs;
use cel::{Context, Program};
use proptest::prelude::*;
use std::collections::HashMap;

use super::*;

/// What both are told of the caller and the request.
fn theirs() -> Context<'static> {
    let mut context = Context::default();
    let texts = |list: &[&str]| Theirs::from(list.iter().map(|text| Theirs::from(*text)).collect::<Vec<_>>());
    let caller: HashMap<&str, Theirs> =
        [("user", Theirs::from("ann")), ("scopes", texts(&["read", "write"])), ("partner", Theirs::Null)]
            .into();
    let request: HashMap<&str, Theirs> = [
        ("method", Theirs::from("GET")),
        ("host", Theirs::from("api.example.com")),
        ("time", Theirs::Int(1_700_000_000)),
    ]
    .into();
    context.add_variable_from_value("caller", caller);
    context.add_variable_from_value("request", request);
    context
}

fn text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "caller.user",
        "request.method",
        "request.host",
        "''",
        "'ann'",
        "'GET'",
        "'api'",
        "'r'",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), inner).prop_map(|(left, right)| format!("({left} + {right})"))
    })
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["0", "1", "-1", "7", "9223372036854775807", "request.time"])
            .prop_map(str::to_owned),
        text().prop_map(|text| format!("size({text})")),
        Just("size(caller.scopes)".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/", "%"]);
        (inner.clone(), operator, inner)
            .prop_map(|(left, operator, right)| format!("({left} {operator} {right})"))
    })
}

fn list() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("caller.scopes".to_owned()),
        prop::collection::vec(text(), 0..3).prop_map(|texts| format!("[{}]", texts.join(", "))),
        text().prop_map(|text| format!("caller.scopes.map(s, s + {text})")),
        text().prop_map(|text| format!("caller.scopes.filter(s, s.contains({text}))")),
    ]
}

fn boolean() -> impl Strategy<Value = String> {
    let compared = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let tested = prop::sample::select(vec!["contains", "startsWith", "endsWith"]);
    let looped = prop::sample::select(vec!["exists", "all", "exists_one"]);
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("caller.partner == null".to_owned()),
        (number(), compared.clone(), number()).prop_map(|(left, by, right)| format!("{left} {by} {right}")),
        (text(), compared, text()).prop_map(|(left, by, right)| format!("{left} {by} {right}")),
        (text(), tested, text()).prop_map(|(left, test, right)| format!("{left}.{test}({right})")),
        (text(), list()).prop_map(|(text, list)| format!("{text} in {list}")),
        (list(), list()).prop_map(|(left, right)| format!("{left} == {right}")),
        (list(), looped, text()).prop_map(|(list, test, text)| format!("{list}.{test}(e, e == {text})")),
        (list(), number()).prop_map(|(list, number)| format!("{list}[{number}] == 'read'")),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} && {right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} || {right})")),
            inner.clone().prop_map(|inner| format!("!({inner})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(if_, yes, no)| format!("({if_} ? {yes} : {no})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn both_interpreters_agree(text in boolean()) {
        let expected = Program::compile(&text).unwrap().execute(&theirs());
        let found = holds(&text);
        match expected {
            Ok(Theirs::Bool(expected)) => prop_assert_eq!(found, Ok(expected), "{}", text),
            other => prop_assert!(found.is_err(), "{}: {:?} and {:?}", text, other.is_ok(), found),
        }
    }
}

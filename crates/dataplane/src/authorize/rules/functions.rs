//! Functions that are given their values.

use super::evaluate::{Evaluation, Outcome};
use super::node::Function;
use super::value::Value;
use crate::refusal::RuleFault;

pub(super) fn call<'r>(
    evaluation: &mut Evaluation<'r>,
    function: Function,
    first: &Value<'r>,
    second: Option<&Value<'r>>,
) -> Outcome<'r> {
    if let Ok(text) = first.text() {
        evaluation.pay_text(text.len())?;
    }
    match function {
        Function::Size => size(evaluation, first),
        Function::Contains => pair(first, second, |text, part| text.contains(part)),
        Function::StartsWith => pair(first, second, |text, part| text.starts_with(part)),
        Function::EndsWith => pair(first, second, |text, part| text.ends_with(part)),
        Function::Lower => Ok(Value::made(&first.text()?.to_ascii_lowercase())),
        Function::Upper => Ok(Value::made(&first.text()?.to_ascii_uppercase())),
        Function::ToText => to_text(first),
        Function::ToInt => to_int(first).map(Value::Int),
        Function::ToUint => to_uint(first).map(Value::Uint),
        Function::ToDouble => to_double(first).map(Value::Double),
    }
}

fn pair<'r>(first: &Value<'r>, second: Option<&Value<'r>>, test: fn(&str, &str) -> bool) -> Outcome<'r> {
    let part = second.ok_or(RuleFault::WrongType)?.text()?;
    Ok(Value::Bool(test(first.text()?, part)))
}

/// Characters of a text, elements of a list, names of a map.
fn size<'r>(evaluation: &mut Evaluation<'r>, value: &Value<'r>) -> Outcome<'r> {
    let size = match value.text() {
        Ok(text) => text.chars().count(),
        Err(_) => evaluation.keys(value.clone())?.length().unwrap_or(0),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| RuleFault::Overflow)
}

fn to_text<'r>(value: &Value<'r>) -> Outcome<'r> {
    match value {
        Value::Text(_) | Value::Made(_) => Ok(value.clone()),
        Value::Bool(value) => Ok(Value::Text(if *value { "true" } else { "false" })),
        Value::Int(number) => Ok(Value::made(itoa::Buffer::new().format(*number))),
        Value::Uint(number) => Ok(Value::made(itoa::Buffer::new().format(*number))),
        Value::Double(number) => Ok(Value::made(&number.to_string())),
        Value::Address(address) => Ok(Value::made(&address.to_string())),
        Value::Null
        | Value::Names(_)
        | Value::List(_)
        | Value::Array(_)
        | Value::Object(_)
        | Value::Headers
        | Value::Query => Err(RuleFault::WrongType),
    }
}

fn to_int(value: &Value<'_>) -> Result<i64, RuleFault> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Uint(number) => i64::try_from(*number).map_err(|_| RuleFault::Overflow),
        // Doubles next to the bounds are beyond them already.
        Value::Double(number) if number.abs() < 9.223_372_036_854_775e18 => Ok(*number as i64),
        Value::Double(_) => Err(RuleFault::Overflow),
        Value::Text(_) | Value::Made(_) => value.text()?.parse().map_err(|_| RuleFault::Conversion),
        Value::Null
        | Value::Bool(_)
        | Value::Address(_)
        | Value::Names(_)
        | Value::List(_)
        | Value::Array(_)
        | Value::Object(_)
        | Value::Headers
        | Value::Query => Err(RuleFault::WrongType),
    }
}

fn to_uint(value: &Value<'_>) -> Result<u64, RuleFault> {
    match value {
        Value::Uint(number) => Ok(*number),
        Value::Int(number) => u64::try_from(*number).map_err(|_| RuleFault::Overflow),
        Value::Double(number) if (0.0..1.844_674_407_370_955e19).contains(number) => Ok(*number as u64),
        Value::Double(_) => Err(RuleFault::Overflow),
        Value::Text(_) | Value::Made(_) => value.text()?.parse().map_err(|_| RuleFault::Conversion),
        Value::Null
        | Value::Bool(_)
        | Value::Address(_)
        | Value::Names(_)
        | Value::List(_)
        | Value::Array(_)
        | Value::Object(_)
        | Value::Headers
        | Value::Query => Err(RuleFault::WrongType),
    }
}

fn to_double(value: &Value<'_>) -> Result<f64, RuleFault> {
    match value {
        Value::Double(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Uint(number) => Ok(*number as f64),
        Value::Text(_) | Value::Made(_) => value.text()?.parse().map_err(|_| RuleFault::Conversion),
        Value::Null
        | Value::Bool(_)
        | Value::Address(_)
        | Value::Names(_)
        | Value::List(_)
        | Value::Array(_)
        | Value::Object(_)
        | Value::Headers
        | Value::Query => Err(RuleFault::WrongType),
    }
}

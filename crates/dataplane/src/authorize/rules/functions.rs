//! Functions that are given their values.

use std::str::FromStr;

use super::evaluate::{Evaluation, Outcome};
use super::node::Function;
use super::operators::integer;
use super::value::Value;
use crate::refusal::RuleFault;

/// No whole number of 64 bits is as large.
const BEYOND: f64 = 2e19;

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
        Function::ToInt => integer(to_whole(first)?).map(Value::Int),
        Function::ToUint => integer(to_whole(first)?).map(Value::Uint),
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

/// A double loses what is behind its point.
fn to_whole(value: &Value<'_>) -> Result<i128, RuleFault> {
    if let Value::Double(number) = value {
        return if number.abs() < BEYOND { Ok(*number as i128) } else { Err(RuleFault::Overflow) };
    }
    value.whole().map_or_else(|| parsed(value), Ok)
}

fn to_double(value: &Value<'_>) -> Result<f64, RuleFault> {
    value.number().map_or_else(|| parsed(value), Ok)
}

/// What a text says.
fn parsed<T: FromStr>(value: &Value<'_>) -> Result<T, RuleFault> {
    value.text()?.parse().map_err(|_| RuleFault::Conversion)
}

//! Operators that are given their values.

use std::cmp::Ordering;
use std::rc::Rc;

use super::evaluate::{Evaluation, Outcome};
use super::node::Operator;
use super::value::Value;
use crate::refusal::RuleFault;

pub(super) fn negate<'r>(value: &Value<'r>) -> Outcome<'r> {
    if let Value::Double(number) = value {
        return Ok(Value::Double(-number));
    }
    let Value::Int(number) = value else { return Err(RuleFault::WrongType) };
    number.checked_neg().map(Value::Int).ok_or(RuleFault::Overflow)
}

pub(super) fn binary<'r>(
    evaluation: &mut Evaluation<'r>,
    operator: Operator,
    left: &Value<'r>,
    right: &Value<'r>,
) -> Outcome<'r> {
    evaluation.pay(size(left).min(size(right)))?;
    let ordered = |wanted: fn(Ordering) -> bool| Ok(Value::Bool(wanted(left.compare(right)?)));
    match operator {
        Operator::Equal => Ok(Value::Bool(left.equals(right))),
        Operator::Unequal => Ok(Value::Bool(!left.equals(right))),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        Operator::Add => add(evaluation, left, right),
        Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
            reckon(operator, left, right)
        }
        Operator::In => contains(evaluation, right, left),
    }
}

/// What comparing with it may cost, in steps.
fn size(value: &Value<'_>) -> usize {
    value.length().or_else(|| value.text().ok().map(|text| text.len() / 8)).unwrap_or(0)
}

fn contains<'r>(evaluation: &mut Evaluation<'r>, collection: &Value<'r>, value: &Value<'r>) -> Outcome<'r> {
    let Some(length) = collection.length() else {
        return evaluation.has(collection, value.text()?).map(Value::Bool);
    };
    evaluation.pay(length)?;
    Ok(Value::Bool(collection.elements().any(|element| element.equals(value))))
}

fn add<'r>(evaluation: &mut Evaluation<'r>, left: &Value<'r>, right: &Value<'r>) -> Outcome<'r> {
    if let (Some(one), Some(two)) = (left.length(), right.length()) {
        evaluation.pay(one + two)?;
        return Ok(Value::List(left.elements().chain(right.elements()).collect::<Rc<[_]>>()));
    }
    if let (Ok(one), Ok(two)) = (left.text(), right.text()) {
        evaluation.pay_text(one.len() + two.len())?;
        return Ok(Value::made(&[one, two].concat()));
    }
    reckon(Operator::Add, left, right)
}

/// Numbers of one type; nothing is converted.
fn reckon<'r>(operator: Operator, left: &Value<'r>, right: &Value<'r>) -> Outcome<'r> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return integers(operator, *left, *right);
    }
    if let (Value::Uint(left), Value::Uint(right)) = (left, right) {
        return unsigned(operator, *left, *right);
    }
    if let (Value::Double(left), Value::Double(right)) = (left, right) {
        return doubles(operator, *left, *right);
    }
    Err(RuleFault::WrongType)
}

fn integers<'r>(operator: Operator, left: i64, right: i64) -> Outcome<'r> {
    let is_division = matches!(operator, Operator::Divide | Operator::Remainder);
    if is_division && right == 0 {
        return Err(RuleFault::DivisionByZero);
    }
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide => left.checked_div(right),
        Operator::Remainder => left.checked_rem(right),
        Operator::Equal
        | Operator::Unequal
        | Operator::Less
        | Operator::LessOrEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::In => return Err(RuleFault::WrongType),
    };
    result.map(Value::Int).ok_or(RuleFault::Overflow)
}

fn unsigned<'r>(operator: Operator, left: u64, right: u64) -> Outcome<'r> {
    let is_division = matches!(operator, Operator::Divide | Operator::Remainder);
    if is_division && right == 0 {
        return Err(RuleFault::DivisionByZero);
    }
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide => left.checked_div(right),
        Operator::Remainder => left.checked_rem(right),
        Operator::Equal
        | Operator::Unequal
        | Operator::Less
        | Operator::LessOrEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::In => return Err(RuleFault::WrongType),
    };
    result.map(Value::Uint).ok_or(RuleFault::Overflow)
}

/// There is no remainder of doubles.
fn doubles<'r>(operator: Operator, left: f64, right: f64) -> Outcome<'r> {
    match operator {
        Operator::Add => Ok(Value::Double(left + right)),
        Operator::Subtract => Ok(Value::Double(left - right)),
        Operator::Multiply => Ok(Value::Double(left * right)),
        Operator::Divide => Ok(Value::Double(left / right)),
        Operator::Remainder
        | Operator::Equal
        | Operator::Unequal
        | Operator::Less
        | Operator::LessOrEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::In => Err(RuleFault::WrongType),
    }
}

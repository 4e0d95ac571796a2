//! Operators that are given their values.

use std::cmp::Ordering;
use std::rc::Rc;

use super::evaluate::{Evaluation, Outcome};
use super::node::{Arithmetic, Operator};
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
        Operator::In => contains(evaluation, right, left),
        Operator::Reckon(Arithmetic::Add) => add(evaluation, left, right),
        Operator::Reckon(operator) => reckon(operator, left, right),
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
    reckon(Arithmetic::Add, left, right)
}

/// Numbers of one type; nothing is converted.
fn reckon<'r>(operator: Arithmetic, left: &Value<'r>, right: &Value<'r>) -> Outcome<'r> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return integer(whole(operator, (*left).into(), (*right).into())?).map(Value::Int);
    }
    if let (Value::Uint(left), Value::Uint(right)) = (left, right) {
        return integer(whole(operator, (*left).into(), (*right).into())?).map(Value::Uint);
    }
    if let (Value::Double(left), Value::Double(right)) = (left, right) {
        return double(operator, *left, *right).map(Value::Double);
    }
    Err(RuleFault::WrongType)
}

/// A whole number as one of a type that may be too small for it.
pub(super) fn integer<T: TryFrom<i128>>(number: i128) -> Result<T, RuleFault> {
    T::try_from(number).map_err(|_| RuleFault::Overflow)
}

/// Of two numbers of 64 bits: a result that does not fit there is refused afterwards.
fn whole(operator: Arithmetic, left: i128, right: i128) -> Result<i128, RuleFault> {
    let result = match operator {
        Arithmetic::Divide | Arithmetic::Remainder if right == 0 => return Err(RuleFault::DivisionByZero),
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    };
    result.ok_or(RuleFault::Overflow)
}

/// There is no remainder of doubles.
fn double(operator: Arithmetic, left: f64, right: f64) -> Result<f64, RuleFault> {
    match operator {
        Arithmetic::Add => Ok(left + right),
        Arithmetic::Subtract => Ok(left - right),
        Arithmetic::Multiply => Ok(left * right),
        Arithmetic::Divide => Ok(left / right),
        Arithmetic::Remainder => Err(RuleFault::WrongType),
    }
}

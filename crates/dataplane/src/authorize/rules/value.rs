//! Values of an expression while it is evaluated. Texts and lists are borrowed from the request, its caller and the
//! expression itself; only what is made anew takes memory.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::node::Literal;
use crate::refusal::RuleFault;

#[derive(Clone, Debug)]
pub(super) enum Value<'r> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'r str),
    Made(Rc<str>),
    Address(IpAddr),
    Names(&'r [Arc<str>]),
    List(Rc<[Value<'r>]>),
    Array(&'r [Json]),
    Object(&'r Map<String, Json>),
    /// Those of the request that is decided about.
    Headers,
    Query,
}

impl<'r> Value<'r> {
    pub(super) fn literal(literal: &'r Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Int(number) => Self::Int(*number),
            Literal::Uint(number) => Self::Uint(*number),
            Literal::Double(number) => Self::Double(*number),
            Literal::Text(text) => Self::Text(text),
        }
    }

    pub(super) fn optional(text: Option<&'r str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub(super) fn made(text: &str) -> Self {
        Self::Made(text.into())
    }

    pub(super) fn json(value: &'r Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => {
                let int = number.as_i64().map(Self::Int);
                let uint = || number.as_u64().map(Self::Uint);
                int.or_else(uint).unwrap_or_else(|| Self::Double(number.as_f64().unwrap_or(f64::NAN)))
            }
            Json::String(text) => Self::Text(text),
            Json::Array(list) => Self::Array(list),
            Json::Object(members) => Self::Object(members),
        }
    }

    pub(super) fn text(&self) -> Result<&str, RuleFault> {
        if let Self::Text(text) = self {
            return Ok(text);
        }
        if let Self::Made(text) = self { Ok(text) } else { Err(RuleFault::WrongType) }
    }

    /// An integer of either type.
    pub(super) fn whole(&self) -> Option<i128> {
        if let Self::Int(number) = self {
            return Some((*number).into());
        }
        if let Self::Uint(number) = self { Some((*number).into()) } else { None }
    }

    /// A number of any type.
    pub(super) fn number(&self) -> Option<f64> {
        if let Self::Double(number) = self { Some(*number) } else { self.whole().map(|number| number as f64) }
    }

    /// How long a list is; `None` where this is no list.
    pub(super) fn length(&self) -> Option<usize> {
        if let Self::Names(list) = self {
            return Some(list.len());
        }
        if let Self::Array(list) = self {
            return Some(list.len());
        }
        if let Self::List(list) = self { Some(list.len()) } else { None }
    }

    /// An element of a list.
    pub(super) fn element(&self, index: usize) -> Option<Value<'r>> {
        if let Self::Names(list) = self {
            return list.get(index).map(|name| Value::Text(name));
        }
        if let Self::Array(list) = self {
            return list.get(index).map(Value::json);
        }
        if let Self::List(list) = self { list.get(index).cloned() } else { None }
    }

    /// Every element of a list.
    pub(super) fn elements(&self) -> impl Iterator<Item = Value<'r>> {
        (0..self.length().unwrap_or(0)).filter_map(|index| self.element(index))
    }

    /// Values of different types are not equal; numbers are compared as numbers, addresses also with how they are written.
    pub(super) fn equals(&self, other: &Self) -> bool {
        if let Some(ordering) = numbers(self, other) {
            return ordering == Some(Ordering::Equal);
        }
        if let (Ok(left), Ok(right)) = (self.text(), other.text()) {
            return left == right;
        }
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Address(left), Self::Address(right)) => left == right,
            (Self::Address(address), text) | (text, Self::Address(address)) => {
                text.text().is_ok_and(|text| text.parse() == Ok(*address))
            }
            (Self::Object(left), Self::Object(right)) => left == right,
            (left, right) => match (left.length(), right.length()) {
                (Some(one), Some(two)) if one == two => {
                    left.elements().zip(right.elements()).all(|(left, right)| left.equals(&right))
                }
                _ => false,
            },
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Result<Ordering, RuleFault> {
        if let Some(ordering) = numbers(self, other) {
            return ordering.ok_or(RuleFault::WrongType);
        }
        if let (Self::Bool(left), Self::Bool(right)) = (self, other) {
            return Ok(left.cmp(right));
        }
        Ok(self.text()?.cmp(other.text()?))
    }
}

/// The order of two numbers, of whatever types; `None` where one of them is none.
fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    if let (Some(left), Some(right)) = (left.whole(), right.whole()) {
        return Some(Some(left.cmp(&right)));
    }
    Some(left.number()?.partial_cmp(&right.number()?))
}

//! The evaluation of an expression. Each step is paid for, so that none can hold a worker up: what walks over a text or a
//! list pays by its length.

use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use super::facts::{self, Facts};
use super::functions;
use super::node::{Function, Loop, LoopKind, Node, Pattern};
use super::operators;
use super::value::Value;
use crate::refusal::RuleFault;

/// Bytes of a text that one step looks at.
const BYTES_A_STEP: usize = 8;

pub(super) type Outcome<'r> = Result<Value<'r>, RuleFault>;

/// The evaluation of all rules of a route for one request, which have one purse.
pub(super) struct Evaluation<'r> {
    facts: Facts<'r>,
    steps: u32,
    locals: Vec<Value<'r>>,
}

impl<'r> Evaluation<'r> {
    pub(super) fn new(facts: Facts<'r>, steps: u32) -> Self {
        Self { facts, steps, locals: Vec::new() }
    }

    /// Does the expression hold? What is no boolean is a fault.
    pub(super) fn holds(&mut self, expression: &'r Node) -> Result<bool, RuleFault> {
        self.locals.clear();
        let value = self.evaluate(expression)?;
        if let Value::Bool(holds) = value { Ok(holds) } else { Err(RuleFault::NotBoolean) }
    }

    /// What is left after the last payment is never spent, so whoever had too little once fails to the end.
    pub(super) fn pay(&mut self, steps: usize) -> Result<(), RuleFault> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or(RuleFault::TooManySteps)
    }

    pub(super) fn pay_text(&mut self, bytes: usize) -> Result<(), RuleFault> {
        self.pay(bytes / BYTES_A_STEP)
    }

    fn evaluate(&mut self, node: &'r Node) -> Outcome<'r> {
        self.pay(1)?;
        match node {
            Node::Literal(literal) => Ok(Value::literal(literal)),
            Node::Variable(variable) => Ok(self.facts.value(*variable)),
            Node::Local(place) => self.locals.get(*place).cloned().ok_or(RuleFault::MissingKey),
            Node::IsKnown(variable) => Ok(Value::Bool(self.facts.is_known(*variable))),
            Node::List(elements) => self.list(elements),
            Node::Member(operand, name) => {
                let operand = self.evaluate(operand)?;
                self.member(&operand, name)?.ok_or(RuleFault::MissingKey)
            }
            Node::HasMember(operand, name) => {
                let operand = self.evaluate(operand)?;
                self.has(&operand, name).map(Value::Bool)
            }
            Node::Index(sides) => self.index(&sides.0, &sides.1),
            Node::Not(operand) => Ok(Value::Bool(!self.boolean(operand)?)),
            Node::Negate(operand) => operators::negate(&self.evaluate(operand)?),
            Node::And(sides) => self.either(&sides.0, &sides.1, false),
            Node::Or(sides) => self.either(&sides.0, &sides.1, true),
            Node::Conditional(parts) => {
                let chosen = if self.boolean(&parts.0)? { &parts.1 } else { &parts.2 };
                self.evaluate(chosen)
            }
            Node::Binary(operator, sides) => {
                let (left, right) = (self.evaluate(&sides.0)?, self.evaluate(&sides.1)?);
                operators::binary(self, *operator, &left, &right)
            }
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Matches(text, pattern) => self.matches(text, pattern),
            Node::InNetwork(address, networks) => self.in_network(address, networks),
            Node::Loop(inner) => self.run(inner),
        }
    }

    fn matches(&mut self, text: &'r Node, pattern: &Pattern) -> Outcome<'r> {
        let text = self.evaluate(text)?;
        let text = text.text()?;
        self.pay(text.len().saturating_mul(pattern.weight))?;
        Ok(Value::Bool(pattern.regex.is_match(text)))
    }

    fn in_network(&mut self, address: &'r Node, networks: &[IpNet]) -> Outcome<'r> {
        self.pay(networks.len() / BYTES_A_STEP)?;
        let address = address_of(&self.evaluate(address)?)?;
        Ok(Value::Bool(networks.iter().any(|network| network.contains(&address))))
    }

    fn boolean(&mut self, node: &'r Node) -> Result<bool, RuleFault> {
        if let Value::Bool(value) = self.evaluate(node)? { Ok(value) } else { Err(RuleFault::WrongType) }
    }

    /// `decisive` on either side decides, whatever becomes of the other one: `false && fault` is `false`, and so is
    /// `fault && false`.
    fn either(&mut self, left: &'r Node, right: &'r Node, decisive: bool) -> Outcome<'r> {
        let first = self.boolean(left);
        if first == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        let second = self.boolean(right);
        if second == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        first.and(second).map(Value::Bool)
    }

    fn list(&mut self, elements: &'r [Node]) -> Outcome<'r> {
        let values = elements.iter().map(|element| self.evaluate(element));
        values.collect::<Result<Rc<[_]>, _>>().map(Value::List)
    }

    fn call(&mut self, function: Function, arguments: &'r [Node]) -> Outcome<'r> {
        let Some((first, others)) = arguments.split_first() else { return Err(RuleFault::WrongType) };
        let first = self.evaluate(first)?;
        let second = others.first().map(|second| self.evaluate(second)).transpose()?;
        functions::call(self, function, &first, second.as_ref())
    }

    fn index(&mut self, operand: &'r Node, index: &'r Node) -> Outcome<'r> {
        let (operand, index) = (self.evaluate(operand)?, self.evaluate(index)?);
        if operand.length().is_none() {
            return self.member(&operand, index.text()?)?.ok_or(RuleFault::MissingKey);
        }
        let place = if let Value::Int(place) = index {
            usize::try_from(place).ok()
        } else if let Value::Uint(place) = index {
            usize::try_from(place).ok()
        } else {
            return Err(RuleFault::WrongType);
        };
        place.and_then(|place| operand.element(place)).ok_or(RuleFault::OutOfRange)
    }

    /// Whether a map has something under a name, even where what it has is of no use.
    pub(super) fn has(&mut self, map: &Value<'r>, name: &str) -> Result<bool, RuleFault> {
        match self.member(map, name) {
            Err(RuleFault::Repeated | RuleFault::NotText) => Ok(true),
            found => found.map(|found| found.is_some()),
        }
    }

    /// What a map has under a name; a fault where it is no map.
    pub(super) fn member(&mut self, map: &Value<'r>, name: &str) -> Result<Option<Value<'r>>, RuleFault> {
        let request = self.facts.asked.request;
        if let Value::Object(members) = map {
            return Ok(members.get(name).map(Value::json));
        }
        if let Value::Headers = map {
            self.pay(request.headers.len() / BYTES_A_STEP)?;
            return facts::header(request, name);
        }
        let Value::Query = map else { return Err(RuleFault::WrongType) };
        self.pay_text(request.query().len())?;
        facts::parameter(request, name)
    }

    /// The elements of a list, or the names of a map, as a list.
    pub(super) fn keys(&mut self, value: Value<'r>) -> Outcome<'r> {
        let request = self.facts.asked.request;
        if let Value::Object(members) = value {
            self.pay(members.len())?;
            return Ok(Value::List(members.keys().map(|name| Value::Text(name)).collect()));
        }
        if let Value::Headers = value {
            self.pay(request.headers.len())?;
            let names = facts::headers(request).map(|header| Value::Text(request.str(header.name)));
            return Ok(Value::List(names.collect()));
        }
        if let Value::Query = value {
            self.pay_text(request.query().len())?;
            let names = facts::parameters(request).map(|(name, _)| facts::text(name));
            return names.collect::<Result<Rc<[_]>, _>>().map(Value::List);
        }
        if value.length().is_some() { Ok(value) } else { Err(RuleFault::WrongType) }
    }

    fn run(&mut self, inner: &'r Loop) -> Outcome<'r> {
        let range = self.evaluate(&inner.range)?;
        let range = self.keys(range)?;
        match inner.kind {
            LoopKind::Exists => self.any(&range, &inner.body, true),
            LoopKind::All => self.any(&range, &inner.body, false),
            LoopKind::ExistsOne => {
                let mut found = 0;
                for element in range.elements() {
                    found += u32::from(self.with(element, |own| own.boolean(&inner.body))?);
                }
                Ok(Value::Bool(found == 1))
            }
            LoopKind::Map => self.map(&range, inner),
        }
    }

    /// `decisive` for one element decides, whatever became of the others.
    fn any(&mut self, range: &Value<'r>, body: &'r Node, decisive: bool) -> Outcome<'r> {
        let mut fault = None;
        for element in range.elements() {
            match self.with(element, |own| own.boolean(body)) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(RuleFault::TooManySteps) => return Err(RuleFault::TooManySteps),
                Err(other) => fault = Some(other),
            }
        }
        fault.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn map(&mut self, range: &Value<'r>, inner: &'r Loop) -> Outcome<'r> {
        let mut made = Vec::new();
        for element in range.elements() {
            let value = self.with(element, |own| {
                let wanted = inner.filter.as_ref().map_or(Ok(true), |filter| own.boolean(filter))?;
                wanted.then(|| own.evaluate(&inner.body)).transpose()
            })?;
            made.extend(value);
        }
        Ok(Value::List(made.into()))
    }

    /// With the variable of a loop.
    fn with<T>(&mut self, element: Value<'r>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.locals.push(element);
        let done = work(self);
        self.locals.pop();
        done
    }
}

fn address_of(value: &Value<'_>) -> Result<IpAddr, RuleFault> {
    if let Value::Address(address) = value {
        return Ok(*address);
    }
    value.text()?.parse().map_err(|_| RuleFault::Conversion)
}

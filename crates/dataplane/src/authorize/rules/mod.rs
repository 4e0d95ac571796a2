//! Rules in CEL, the Common Expression Language: what a route demands beyond scopes, roles and permissions.
//!
//! The `cel` crate reads the text; what it means is decided here, once, when a snapshot is compiled: every name is
//! resolved, every pattern is made, and what can be known to fail is refused. A request then costs what its expressions
//! look at and no more, and never more than its steps.

mod calls;
mod compile;
mod evaluate;
mod facts;
mod functions;
mod loops;
mod names;
mod node;
mod operators;
mod parse;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::authorize::Asked;
use crate::caller::Caller;
use crate::refusal::{Forbidden, Refusal, Ruling};
use crate::snapshot::document::RuleDocument;
use compile::{Compiler, demand};
use evaluate::Evaluation;
use facts::Facts;
use node::{Node, Type};

/// What an expression stands on: the name of its route, and the names that its path binds.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    pub route: &'a str,
    pub parameters: &'a [String],
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub message: String,
    /// Line and column in the expression, both from 1, where they are known.
    pub place: Option<(usize, usize)>,
    word: Option<String>,
}

impl Mistake {
    fn new(message: String) -> Self {
        Self { message, place: None, word: None }
    }

    /// About a word of the expression; the tree does not say where it stands, so it is looked for later.
    fn about(word: &str, message: String) -> Self {
        Self { message, place: None, word: Some(word.to_owned()) }
    }

    fn located(mut self, text: &str) -> Self {
        self.place = self.place.or_else(|| locate(text, self.word.as_deref()?));
        self
    }
}

/// The first place of a word that no longer word contains.
fn locate(text: &str, word: &str) -> Option<(usize, usize)> {
    let is_part =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let stands_alone = |start: &usize| {
        let (before, from) = text.split_at(*start);
        let behind = from.get(word.len()..).unwrap_or_default();
        !is_part(before.chars().next_back()) && !is_part(behind.chars().next())
    };
    let (start, _) = text.match_indices(word).find(|(start, _)| stands_alone(start))?;
    let before = text.get(..start)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    Some((line, column))
}

/// Says what is wrong with an expression, where something is.
pub fn examine(text: &str, ground: Ground<'_>) -> Result<(), Mistake> {
    compile(text, ground).map(|_| ())
}

fn compile(text: &str, ground: Ground<'_>) -> Result<Node, Mistake> {
    let compiled = parse::parse(text, |tree| {
        let (node, kind) = Compiler::new(&ground).compile(tree)?;
        demand(kind, Type::Bool, "a rule")?;
        Ok(node)
    });
    compiled.map_err(|mistake| mistake.located(text))
}

struct Rule {
    /// Index in the snapshot.
    number: u32,
    expression: Node,
    message: Option<Arc<str>>,
}

/// The rules of one route.
pub(super) struct Rules {
    denies: Box<[Rule]>,
    allows: Box<[Rule]>,
    identities: Arc<[Arc<str>]>,
    /// For all of them together, for one request.
    max_steps: u32,
}

/// What rules of all routes have in common.
#[derive(Clone)]
pub struct RuleSettings {
    /// Names of the snapshot's identities, in order.
    pub identities: Arc<[Arc<str>]>,
    pub max_steps: u32,
}

impl Rules {
    /// `first` is the index in the snapshot of the first of them. `None`: there are none.
    pub(super) fn compile(
        documents: &[RuleDocument],
        ground: Ground<'_>,
        settings: &RuleSettings,
        first: u32,
    ) -> Result<Option<Box<Self>>, String> {
        let (mut denies, mut allows) = (Vec::new(), Vec::new());
        for (document, number) in documents.iter().zip(first..) {
            let mistaken =
                |error: Mistake| format!("{}: rule `{}`: {}", document.at, document.name, error.message);
            let expression = compile(&document.expression, ground).map_err(mistaken)?;
            let rule = Rule { number, expression, message: document.message.as_deref().map(Into::into) };
            let list = if document.allows { &mut allows } else { &mut denies };
            list.push(rule);
        }
        let RuleSettings { identities, max_steps } = settings.clone();
        let rules = Self { denies: denies.into(), allows: allows.into(), identities, max_steps };
        Ok((!documents.is_empty()).then(|| Box::new(rules)))
    }

    /// No `deny` may hold, and where there is an `allow`, one of them must. An expression that fails refuses. Gives the
    /// `allow` that held.
    pub(super) fn check(&self, caller: &Caller, asked: Asked<'_>) -> Result<Option<u32>, Refusal> {
        let facts = Facts { asked, caller, identities: &self.identities };
        let mut evaluation = Evaluation::new(facts, self.max_steps);
        for rule in &self.denies {
            match evaluation.holds(&rule.expression) {
                Ok(false) => {}
                Ok(true) => return Err(rule.refusal(Ruling::Denied)),
                Err(fault) => return Err(rule.refusal(Ruling::Failed(fault))),
            }
        }
        for rule in &self.allows {
            match evaluation.holds(&rule.expression) {
                Ok(false) => {}
                Ok(true) => return Ok(Some(rule.number)),
                Err(fault) => return Err(rule.refusal(Ruling::Failed(fault))),
            }
        }
        // Of several that did not hold, the last one speaks.
        self.allows.last().map_or(Ok(None), |rule| Err(rule.refusal(Ruling::NotAllowed)))
    }
}

impl Rule {
    fn refusal(&self, ruling: Ruling) -> Refusal {
        Refusal::Forbidden(Forbidden::Ruled { rule: self.number, ruling, message: self.message.clone() })
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (denies, allows) = (self.denies.len(), self.allows.len());
        formatter
            .debug_struct("Rules")
            .field("denies", &denies)
            .field("allows", &allows)
            .finish_non_exhaustive()
    }
}

//! KDL 2, read as the same data that YAML would give.
//!
//! | KDL | data |
//! |---|---|
//! | `timeout "10s"` | `timeout: "10s"`: one argument is a scalar |
//! | `methods "GET" "POST"` | `methods: [GET, POST]`: several are a list |
//! | `pool size=3 { idle "60s" }` | properties and children are a map; so is a bare `pool`, an empty one |
//! | `instances { - "a:1"; - address="b:2" }` | children called `-` are a list, each by these same rules |
//! | `route "users" { ... }`, at top level | one element of `routes`, the argument is its `name`; see [`SECTIONS`] |
//! | `#true` `#false` `#null` | booleans and null; a bare word is a text |
//!
//! Refused, each with its cure: repeated names, an argument together with properties or children anywhere else, type
//! annotations, `/-` inside what another `/-` removes, escaped line ends in multi-line strings, infinite numbers.
//!
//! The parser library recurses without a bound, also while it recovers from errors. So `scan` first proves that
//! the text is lexically sound and nested within bounds, and blanks the comments; only then the library reads it.

mod data;
mod fault;
mod scan;
mod strings;
#[cfg(test)]
mod tests;
mod words;

use ::kdl::{KdlDiagnostic, KdlNode};

use crate::place::Lines;
use crate::{Node, Problem};

/// Top-level nodes that may be repeated, and the lists that they are collected into.
pub(crate) const SECTIONS: [(&str, &str); 5] = [
    ("listener", "listeners"),
    ("service", "services"),
    ("identity", "identities"),
    ("tier", "tiers"),
    ("route", "routes"),
];

/// The text is read as the children of this node: the library's parser of whole documents recurses once for each thing
/// that it skips, its parser of one node does not.
const BEFORE: &str = "r{";
const AFTER: &str = "\n}";

pub(crate) fn read(text: &str) -> Result<Node, Vec<Problem>> {
    let lines = Lines::of(text);
    let sound = scan::check(text).map_err(|fault| vec![lines.place(fault.offset).problem(fault.message)])?;
    let whole = [BEFORE, &sound, AFTER].concat();
    match KdlNode::parse(&whole) {
        Ok(node) => data::document(&node, &lines),
        Err(error) => Err(syntax_problems(&error.diagnostics, &lines)),
    }
}

/// Offset in the user's text of one in the text that the library saw.
fn original(offset: usize) -> usize {
    offset.saturating_sub(BEFORE.len())
}

fn syntax_problems(diagnostics: &[KdlDiagnostic], lines: &Lines<'_>) -> Vec<Problem> {
    // Those that point at our own brackets only repeat that the text ended early; the furthest one says where.
    let ours = |diagnostic: &&KdlDiagnostic| diagnostic.span.offset() >= BEFORE.len();
    let problems: Vec<Problem> =
        diagnostics.iter().filter(ours).map(|diagnostic| syntax_problem(diagnostic, lines)).collect();
    if problems.is_empty() {
        let end = diagnostics.iter().map(|diagnostic| diagnostic.span.offset() + diagnostic.span.len()).max();
        let at = lines.place(original(end.unwrap_or(0)));
        return vec![at.problem("this is not a KDL 2 node; write `name argument key=value { children }`")];
    }
    problems
}

fn syntax_problem(diagnostic: &KdlDiagnostic, lines: &Lines<'_>) -> Problem {
    let message = diagnostic.message.as_deref().unwrap_or("unexpected text").trim_end_matches('.');
    let mut characters = message.chars();
    let first = characters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    lines.place(original(diagnostic.span.offset())).problem(first + characters.as_str())
}

//! Route: which rule of the configuration does this request fall under?
//! Takes a request and the compiled table. Gives the route and its path parameters. Refuses with `NoRoute` or
//! `MethodNotAllowed`.
//!
//! The order in which routes win (design.md section 10) is decided once, at compile time: every route gets a rank
//! per host, and a look-up is a search for the lowest rank that fits. See [`precedence`] for the order itself.

mod candidate;
mod forwarding;
mod methods;
mod parameters;
mod path;
mod precedence;
mod regexes;
mod rule;
mod search;
mod table;
mod trie;
mod values;

#[cfg(test)]
mod tests;

pub use forwarding::Forwarding;
pub use parameters::{MAX_PARAMETERS, Parameters};
pub use regexes::whole;
pub use table::Table;

use crate::refusal::Refusal;
use crate::request::Request;

/// How a literal path of the configuration becomes what intake makes of a request's path; an error says what is wrong
/// with it. It is handed in because stages do not import each other.
pub type Canonical = fn(&str) -> Result<String, String>;

/// The route that a request falls under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Index of the route in the document that the table was compiled from.
    pub route: u32,
    /// The segments bound by `{name}`, in the order of the path; their names are [`Table::names`].
    pub parameters: Parameters,
}

/// Finds the winning route for a request, as if it had been sent with `method`. The method is separate so that a
/// CORS preflight can ask for the method that it announces.
///
/// Refuses with `NoRoute` when nothing fits, with `MethodNotAllowed` when some route fits in everything but the
/// method; `allow` then names the methods of all such routes, sorted.
pub fn find(table: &Table, request: &Request, method: &[u8]) -> Result<Found, Refusal> {
    search::find(table, request, method)
}

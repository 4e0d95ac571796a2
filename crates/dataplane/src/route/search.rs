//! One look-up: walk everything that matches host and path, keep the lowest rank that fits in the rest too.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Found;
use super::candidate::{Candidate, Sink};
use super::methods::Asked;
use super::parameters::Parameters;
use super::rule::Rule;
use super::table::Table;
use crate::refusal::Refusal;
use crate::request::Request;

pub(super) fn find(table: &Table, request: &Request, method: &[u8]) -> Result<Found, Refusal> {
    let found = Found { route: 0, parameters: Parameters::default() };
    let mut best =
        Best { table, request, asked: Asked::new(method), rank: u32::MAX, found, wrong_method: false };
    table.visit(request, &mut best);
    if best.rank != u32::MAX {
        return Ok(best.found);
    }
    if !best.wrong_method {
        return Err(Refusal::NoRoute);
    }
    refuse_method(table, request)
}

/// A second walk, only for requests that are refused anyway.
fn refuse_method(table: &Table, request: &Request) -> Result<Found, Refusal> {
    let mut allowed = Allowed { table, request, methods: BTreeSet::new() };
    table.visit(request, &mut allowed);
    if allowed.methods.is_empty() {
        return Err(Refusal::NoRoute);
    }
    let list: Vec<&str> = allowed.methods.into_iter().collect();
    Err(Refusal::MethodNotAllowed { allow: Arc::from(list.join(", ")) })
}

struct Best<'a> {
    table: &'a Table,
    request: &'a Request,
    asked: Asked<'a>,
    rank: u32,
    found: Found,
    wrong_method: bool,
}

impl Best<'_> {
    fn fits(&mut self, rule: &Rule) -> bool {
        if !rule.methods.admits(self.asked) {
            self.wrong_method = true;
            return false;
        }
        rule.values.fit(self.request)
    }
}

impl Sink for Best<'_> {
    fn limit(&self) -> u32 {
        self.rank
    }

    fn offer(&mut self, candidates: &[Candidate], bound: &Parameters) {
        for candidate in candidates {
            if candidate.rank >= self.rank {
                return;
            }
            let Some(rule) = self.table.rule(candidate.route) else { continue };
            if self.fits(rule) {
                self.rank = candidate.rank;
                self.found.route = candidate.route;
                self.found.parameters.copy_from(bound);
                return;
            }
        }
    }
}

/// Collects the methods of every route that fits in everything else.
struct Allowed<'a> {
    table: &'a Table,
    request: &'a Request,
    methods: BTreeSet<&'a str>,
}

impl Sink for Allowed<'_> {
    fn limit(&self) -> u32 {
        u32::MAX
    }

    fn offer(&mut self, candidates: &[Candidate], _bound: &Parameters) {
        for candidate in candidates {
            let Some(rule) = self.table.rule(candidate.route) else { continue };
            if rule.values.fit(self.request) {
                self.methods.extend(rule.methods.names().iter().map(AsRef::as_ref));
            }
        }
    }
}

//! What is counted of rules in CEL.

use super::page::Kind::Counter;
use super::page::{Labels, Page};
use super::registry::Registry;
use crate::refusal::RuleFault;

pub(super) fn print(page: &mut Page, registry: &Registry) {
    let name = "gateway_rule_failures_total";
    page.heading(name, Counter, "Requests refused because the expression of a rule failed, by reason.");
    for (index, fault) in RuleFault::ALL.into_iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.rule_faults);
        page.series(name, &Labels::new("reason", fault.text()), count);
    }
}

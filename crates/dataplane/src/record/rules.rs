//! What is counted of rules in CEL.

use super::registry::Registry;
use super::text::Kind::Counter;
use super::text::{Labels, Text};
use crate::refusal::RuleFault;

pub(super) fn print(text: &mut Text, registry: &Registry) {
    let name = "gateway_rule_failures_total";
    text.heading(name, Counter, "Requests refused because the expression of a rule failed, by reason.");
    for (index, fault) in RuleFault::ALL.into_iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.rule_faults);
        text.series(name, &Labels::new("reason", fault.text()), count);
    }
}

//! Costs that are only known when the response is: what a request still owes.

use super::Limits;
use super::rule::Cost;
use super::shard::{Ask, Key};
use super::shared::{Line, Share, Wanted};
use super::subject::{Owned, Part};
use super::tier::Tiers;
use crate::snapshot::document::CountsDocument;

/// The most that a header of a service can charge.
const MOST: u64 = 1_000_000_000_000;

/// What one request owes its tiers. Belongs to the snapshot that admitted the request.
#[derive(Debug, Default)]
pub struct Debts {
    list: Vec<Debt>,
}

#[derive(Debug)]
struct Debt {
    tier: u32,
    hash: u64,
    subject: Owned,
    /// What the service said that the request cost. Where it says nothing, 1: a failure is not free.
    told: u64,
}

impl Debts {
    pub(super) fn owe(&mut self, tier: u32, key: &Key<'_>) {
        self.list.push(Debt { tier, hash: key.hash, subject: Owned::of(key.subject), told: 1 });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The head of the response is there; `value` gives a header of it by its lower-case name.
    pub fn hear<'h>(&mut self, tiers: &Tiers, value: impl Fn(&[u8]) -> Option<&'h [u8]>) {
        for debt in &mut self.list {
            if let Some(CountsDocument::ResponseHeader(name)) = tiers.get(debt.tier).map(|tier| &tier.counts)
                && let Some(told) = value(name.as_bytes()).and_then(number)
            {
                debt.told = told;
            }
        }
    }

    /// The response is over, however it ended, after so many bytes. Gives what is to be told to the store of shared limits,
    /// where that can be told.
    pub fn settle(self, limits: Limits<'_>, (bytes, now_ms): (u64, u64), is_told: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        let Limits { counters, tiers, cpu_percent } = limits;
        for debt in self.list {
            let Some(tier) = tiers.get(debt.tier) else { continue };
            let charged = match tier.counts {
                CountsDocument::ResponseKib => bytes.div_ceil(1024),
                CountsDocument::ResponseHeader(_) => debt.told,
                CountsDocument::Requests => continue,
            };
            let rule = tier.rule_at(now_ms, cpu_percent).unwrap_or(tier.rule);
            let parts: Vec<Part<&str>> = debt.subject.parts().iter().map(Part::borrow).collect();
            let key = Key { hash: debt.hash, tier: tier.key, subject: &parts };
            let cost = Cost { charged, ..Cost::LATER };
            let ask = Ask { key, rule: &rule, penalty: None, cost, now_ms };
            if is_told && tier.share != Share::None {
                lines.push(Wanted::new((debt.tier, tier), &ask, rule, 0).late(charged, limits));
            } else {
                counters.charge_late(&ask);
            }
        }
        lines
    }
}

/// Whole numbers only; what is no number says nothing.
fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    text.parse().ok().map(|number: u64| number.min(MOST))
}

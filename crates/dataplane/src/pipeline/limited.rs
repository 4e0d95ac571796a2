//! What the account of a request knows of its limits: what the caller is told, what is charged when all is over.

use std::time::Instant;

use crate::http1::response_head::ResponseHead;
use crate::limit::{self, Limits, Permit};
use crate::pipeline::account::{Account, Visit};
use crate::pipeline::shared_limits;
use crate::respond::Limited;
use crate::snapshot::Snapshot;
use crate::snapshot::document::LimitHeaders;
use crate::trail::Rule;
use crate::worker::Worker;

impl Account {
    /// Keeps what the request owes: it is charged for whatever becomes of it.
    pub fn permitted(&mut self, mut permit: Permit) -> Permit {
        if permit.is_asking() {
            // It is not permitted yet.
            return permit;
        }
        self.limit = permit.state();
        self.debts = permit.take_debts();
        self.ahead = permit.take_ahead();
        permit
    }

    /// What the caller is told of its limit.
    pub fn limited<'v>(&self, visit: &'v Visit) -> Option<Limited<'v>> {
        let state = self.limit?;
        let form = visit.snapshot.limits.headers;
        let is_told = matches!(form, LimitHeaders::Ietf | LimitHeaders::Both);
        let policy = if is_told { visit.snapshot.tiers.policy(state.tier) } else { None };
        Some(Limited { state, form, policy, now_ms: visit.facts.unix_ms })
    }

    /// The head of the service's response is there.
    pub fn heard(&mut self, visit: &Visit, response: &ResponseHead, now: Instant) {
        self.status = response.status;
        self.answered = Some(now);
        if let Some(debts) = &mut self.debts {
            debts.hear(&visit.snapshot.tiers, |name| response.value(name));
        }
    }

    /// Charges what the request costs beyond its admission.
    pub(super) fn settle(&mut self, worker: &Worker, visit: &Visit, bytes: u64) {
        let Some(debts) = self.debts.take() else { return };
        let (counters, tiers) = (&worker.node.counters, &visit.snapshot.tiers);
        let cpu_percent = worker.node.load.pressure().cpu.percent;
        let limits = Limits { counters, tiers, cpu_percent };
        // While the store is not asked, this node counts for itself.
        let is_told = !worker.shared.is_open();
        let lines = debts.settle(limits, (bytes, worker.unix_ms(Instant::now())), is_told);
        if !lines.is_empty() {
            shared_limits::tell(worker, visit, lines);
        }
    }

    /// What tiers on trial would have refused.
    pub(super) fn count_trials(&self, worker: &Worker, snapshot: &Snapshot) {
        if !snapshot.tiers.has_trials() {
            return;
        }
        for step in self.trail.steps().iter().filter(|step| step.verdict == limit::WOULD_REFUSE) {
            if let Rule::Tier(index) = step.rule
                && let Some(tier) = snapshot.tier_entries.get(index as usize)
            {
                tier.would_refuse.count(worker.index);
            }
        }
    }
}

//! What is counted of limits that nodes share.

use std::time::Duration;

use super::cells::Cell;
use super::external::External;
use super::histogram::{Histogram, HistogramTotals, Overhead};
use super::page::Kind::{Counter, Gauge, Histogram as Buckets};
use super::page::{Labels, Page};
use super::registry::Registry;
use crate::micros::micros;

/// Why the shared store gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    Late,
    Connection,
    Answer,
    Full,
    Open,
}

/// In the order of `StoreFailure`.
const FAILURES: [&str; 5] = ["late", "connection", "answer", "full", "open"];

/// What a request was decided by in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    Local,
    Open,
    Closed,
    Bypass,
}

/// In the order of `Fallback`.
const FALLBACKS: [&str; 4] = ["local", "open", "closed", "bypass"];

/// One worker's questions.
#[derive(Debug, Default)]
pub struct SharedLimits {
    answers: Histogram<Overhead>,
    failures: [Cell; FAILURES.len()],
    fallbacks: [Cell; FALLBACKS.len()],
}

impl SharedLimits {
    pub fn answered(&self, after: Duration) {
        self.answers.observe(micros(after));
    }

    pub fn failed(&self, failure: StoreFailure) {
        if let Some(cell) = self.failures.get(failure as usize) {
            cell.add(1);
        }
    }

    pub fn fell_back(&self, to: Fallback) {
        if let Some(cell) = self.fallbacks.get(to as usize) {
            cell.add(1);
        }
    }
}

/// The store as the node sees it, when the page is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedStoreLine {
    /// Workers that are connected, and workers that do not ask for a while.
    pub connected: u64,
    pub open: u64,
    pub openings: u64,
    /// Nodes that share the limits.
    pub nodes: u64,
    pub is_bypassed: bool,
}

pub(super) fn print(page: &mut Page, registry: &Registry, external: &External) {
    let name = "gateway_limit_store_duration_seconds";
    page.heading(name, Buckets, "Answers of Redis about shared limits: one round trip each.");
    let mut answers = HistogramTotals::default();
    registry.node().each(|counts| answers.add(&counts.shared_limits.answers));
    page.histogram::<Overhead>(name, &Labels::default(), &answers);
    let name = "gateway_limit_store_failures_total";
    page.heading(name, Counter, "Questions about shared limits that Redis did not answer, by reason.");
    for (index, reason) in FAILURES.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.shared_limits.failures);
        page.series(name, &Labels::new("reason", reason), count);
    }
    let name = "gateway_limit_fallbacks_total";
    page.heading(name, Counter, "Requests that were decided without Redis, by what decided them.");
    for (index, mode) in FALLBACKS.iter().enumerate() {
        let count = registry.node().sum_at(index, |counts| &counts.shared_limits.fallbacks);
        page.series(name, &Labels::new("mode", mode), count);
    }
    let store = external.shared_store;
    let name = "gateway_limit_store_workers";
    page.heading(name, Gauge, "Workers by how they stand with Redis: `open` ones do not ask for a while.");
    page.series(name, &Labels::new("state", "connected"), store.connected);
    page.series(name, &Labels::new("state", "open"), store.open);
    let help = "How often a worker has ceased to ask Redis for a while.";
    page.single("gateway_limit_store_openings_total", Counter, help, store.openings);
    page.single("gateway_limit_nodes", Gauge, "Nodes that share limits, as last heard.", store.nodes);
    let help = "1 while an operator has shared limits bypassed.";
    page.single("gateway_limit_store_bypassed", Gauge, help, u64::from(store.is_bypassed));
}

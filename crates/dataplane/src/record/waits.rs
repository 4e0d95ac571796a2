//! What requests waited for: in the decision of a record, and counted by what it was.

use super::histogram::{Histogram, HistogramTotals, Whole};
use super::line::milliseconds;
use super::page::Kind::Histogram as Buckets;
use super::page::{Labels, Page};
use super::registry::Registry;
use crate::trail::{Awaited, Wait};

const NAME: &str = "gateway_wait_duration_seconds";

/// One worker's waits.
#[derive(Debug)]
pub struct Waits {
    /// In the order of `Awaited`.
    durations: [Histogram<Whole>; Awaited::ALL.len()],
}

impl Default for Waits {
    fn default() -> Self {
        Self { durations: std::array::from_fn(|_| Histogram::default()) }
    }
}

impl Waits {
    /// Of Redis nothing: `gateway_limit_store_duration_seconds` has its answers.
    pub fn count(&self, waits: &[Wait]) {
        for wait in waits.iter().filter(|wait| wait.cause.awaited != Awaited::Redis) {
            if let Some(durations) = self.durations.get(wait.cause.awaited as usize) {
                durations.observe(wait.took);
            }
        }
    }
}

/// Within a decision, before its inputs.
#[cold]
pub(super) fn tell(out: &mut Vec<u8>, wait: &Wait) {
    out.extend_from_slice(b",\"waited_ms\":");
    milliseconds(out, wait.took);
    out.extend_from_slice(b",\"waited_for\":\"");
    out.extend_from_slice(wait.cause.awaited.text().as_bytes());
    out.extend_from_slice(b"\",\"waited_at_ms\":");
    milliseconds(out, wait.at);
}

/// Only what was waited for: of most nodes that is little.
pub(super) fn print(page: &mut Page, registry: &Registry) {
    page.heading(NAME, Buckets, "How long requests waited for what lies outside, by what it was.");
    for awaited in Awaited::ALL {
        let mut totals = HistogramTotals::default();
        registry.node().each(|counts| {
            if let Some(durations) = counts.waits.durations.get(awaited as usize) {
                totals.add(durations);
            }
        });
        if !totals.is_empty() {
            page.histogram::<Whole>(NAME, &Labels::new("cause", awaited.text()), &totals);
        }
    }
}

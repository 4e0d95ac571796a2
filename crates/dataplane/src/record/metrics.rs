//! What is counted for each route, tier and identity.

use super::cells::{Cell, PerWorker};
use super::histogram::{Histogram, HistogramTotals, Overhead, Whole};
use super::statuses::{StatusTotals, Statuses};
use super::websocket::WebSocketSlot;

/// What one finished request adds to its route. Times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// 0 where no response began.
    pub status: u16,
    pub total: u64,
    /// The gateway's own share of `total`.
    pub overhead: u64,
    /// `None` where no service was reached.
    pub upstream: Option<u64>,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// The counters of one route. Compiled routes hold it; it outlives snapshots.
#[derive(Debug)]
pub struct RouteMetrics {
    pub(super) service: Box<str>,
    slots: PerWorker<RouteSlot>,
}

#[derive(Debug, Default)]
struct RouteSlot {
    statuses: Statuses,
    request_bytes: Cell,
    response_bytes: Cell,
    overhead: Histogram<Overhead>,
    upstream: Histogram<Whole>,
    total: Histogram<Whole>,
    excused: Cell,
    websocket: WebSocketSlot,
}

impl RouteMetrics {
    pub(super) fn new(service: &str, workers: usize) -> Self {
        Self { service: service.into(), slots: PerWorker::new(workers) }
    }

    /// Counts one request. Only the worker of that number may call it with that number.
    pub fn observe(&self, worker: usize, sample: &Sample) {
        let slot = self.slots.slot(worker);
        slot.statuses.count(sample.status);
        slot.request_bytes.add(sample.request_bytes);
        slot.response_bytes.add(sample.response_bytes);
        slot.overhead.observe(sample.overhead);
        slot.total.observe(sample.total);
        if let Some(upstream) = sample.upstream {
            slot.upstream.observe(upstream);
        }
    }

    /// The cells that only the worker of that number may write.
    pub fn websocket(&self, worker: usize) -> &WebSocketSlot {
        &self.slots.slot(worker).websocket
    }

    pub(super) fn websockets(&self) -> impl Iterator<Item = &WebSocketSlot> {
        self.slots.used().map(|slot| &slot.websocket)
    }

    /// Counts a request that its grace period let pass without a credential.
    pub fn excuse(&self, worker: usize) {
        self.slots.slot(worker).excused.add(1);
    }

    /// The sums over all workers; `None` for a route that nobody has asked for.
    pub(super) fn totals(&self) -> Option<RouteTotals> {
        let mut totals: Option<RouteTotals> = None;
        for slot in self.slots.used() {
            totals.get_or_insert_default().add(slot);
        }
        totals
    }
}

#[derive(Debug, Default)]
pub(super) struct RouteTotals {
    pub(super) statuses: StatusTotals,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) overhead: HistogramTotals,
    pub(super) upstream: HistogramTotals,
    pub(super) total: HistogramTotals,
    pub(super) excused: u64,
}

impl RouteTotals {
    fn add(&mut self, slot: &RouteSlot) {
        self.statuses.add(&slot.statuses);
        self.request_bytes += slot.request_bytes.get();
        self.response_bytes += slot.response_bytes.get();
        self.overhead.add(&slot.overhead);
        self.upstream.add(&slot.upstream);
        self.total.add(&slot.total);
        self.excused += slot.excused.get();
    }
}

/// A single counter with a name: refusals of a tier, failures of an identity.
#[derive(Debug)]
pub struct Tally {
    slots: PerWorker<Cell>,
}

impl Tally {
    pub(super) fn new(workers: usize) -> Self {
        Self { slots: PerWorker::new(workers) }
    }

    /// Counts one. Only the worker of that number may call it with that number.
    pub fn count(&self, worker: usize) {
        self.slots.slot(worker).add(1);
    }

    pub(super) fn get(&self) -> u64 {
        self.slots.sum(|cell| cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_reached_no_service_has_no_upstream_duration() {
        let route = RouteMetrics::new("", 1);
        assert!(route.totals().is_none());
        route.observe(0, &Sample { status: 404, total: 9, overhead: 9, ..Sample::default() });
        let totals = route.totals().expect("counted");
        assert_eq!((totals.total.count(), totals.overhead.count(), totals.upstream.count()), (1, 1, 0));
    }
}

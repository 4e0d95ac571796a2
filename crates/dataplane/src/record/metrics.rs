//! What is counted for each route, tier and identity.

use super::cells::{Cell, PerWorker};
use super::exemplars::{Exemplars, OVERHEAD, TOTAL, UPSTREAM};
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

/// The trace of a request that somebody can look at.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// In hexadecimal digits.
    pub id: &'a [u8; 32],
    /// When the request ended, in milliseconds of Unix time.
    pub ended_ms: u64,
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
    record_bytes: Cell,
    overhead: Histogram<Overhead>,
    upstream: Histogram<Whole>,
    total: Histogram<Whole>,
    exemplars: Exemplars,
    excused: Cell,
    websocket: WebSocketSlot,
}

impl RouteMetrics {
    pub(super) fn new(service: &str, workers: usize) -> Self {
        Self { service: service.into(), slots: PerWorker::new(workers) }
    }

    /// Counts one request; its `trace`, in hexadecimal digits, may be kept as an exemplar of requests that took as long.
    /// Only the worker of that number may call it with that number.
    pub fn observe(&self, worker: usize, sample: &Sample, trace: Option<Trace<'_>>) {
        let slot = self.slots.slot(worker);
        slot.statuses.count(sample.status);
        slot.request_bytes.add(sample.request_bytes);
        slot.response_bytes.add(sample.response_bytes);
        let overhead = slot.overhead.observe(sample.overhead);
        let total = slot.total.observe(sample.total);
        let upstream = sample.upstream.map(|upstream| (slot.upstream.observe(upstream), upstream));
        if let Some(Trace { id, ended_ms }) = trace
            && slot.exemplars.wants(total, ended_ms)
        {
            let places = [Some((overhead, sample.overhead)), upstream, Some((total, sample.total))];
            slot.exemplars.keep(id, places, ended_ms);
        }
    }

    /// Counts the bytes of a record. Only the worker of that number may call it with that number.
    pub fn recorded(&self, worker: usize, bytes: u64) {
        self.slots.slot(worker).record_bytes.add(bytes);
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

    /// The gateway's share of each request.
    pub(super) fn overhead(&self) -> HistogramTotals {
        self.histogram(OVERHEAD, |totals, slot| totals.add(&slot.overhead))
    }

    /// The service's share of each request that reached it.
    pub(super) fn upstream(&self) -> HistogramTotals {
        self.histogram(UPSTREAM, |totals, slot| totals.add(&slot.upstream))
    }

    /// The whole of each request.
    pub(super) fn total(&self) -> HistogramTotals {
        self.histogram(TOTAL, |totals, slot| totals.add(&slot.total))
    }

    fn histogram(&self, which: usize, add: impl Fn(&mut HistogramTotals, &RouteSlot)) -> HistogramTotals {
        let mut totals = HistogramTotals::default();
        for slot in self.slots.used() {
            add(&mut totals, slot);
            slot.exemplars.collect(which, &mut totals.exemplars);
        }
        totals
    }
}

/// What is added up of a route, but for its histograms: of many routes at once those would be large.
#[derive(Debug, Default)]
pub(super) struct RouteTotals {
    pub(super) statuses: StatusTotals,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) record_bytes: u64,
    pub(super) excused: u64,
}

impl RouteTotals {
    fn add(&mut self, slot: &RouteSlot) {
        self.statuses.add(&slot.statuses);
        self.request_bytes += slot.request_bytes.get();
        self.response_bytes += slot.response_bytes.get();
        self.record_bytes += slot.record_bytes.get();
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
        route.observe(0, &Sample { status: 404, total: 9, overhead: 9, ..Sample::default() }, None);
        assert!(route.upstream().is_empty() && !route.total().is_empty() && !route.overhead().is_empty());
    }
}

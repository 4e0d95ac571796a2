//! What is counted for each route, service, listener, tier and identity.

use super::cells::{Cell, PerWorker};
use super::histogram::{Histogram, HistogramTotals, Overhead, Whole};
use super::http2::{FLOODS, Http2Slot, RESETS};
use super::statuses::{StatusTotals, Statuses};
use super::websocket::WebSocketSlot;
use crate::refusal::{Unavailable, UpstreamFault};
use crate::request::Version;

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
}

impl RouteTotals {
    fn add(&mut self, slot: &RouteSlot) {
        self.statuses.add(&slot.statuses);
        self.request_bytes += slot.request_bytes.get();
        self.response_bytes += slot.response_bytes.get();
        self.overhead.add(&slot.overhead);
        self.upstream.add(&slot.upstream);
        self.total.add(&slot.total);
    }
}

/// The connections of one service and how attempts at it failed.
#[derive(Debug)]
pub struct ServiceMetrics {
    slots: PerWorker<ServiceSlot>,
}

/// The writing half of `ServiceMetrics` for one worker.
#[derive(Debug, Default)]
pub struct ServiceSlot {
    /// Connections opened.
    pub opened: Cell,
    /// Connections that wait in the pool now.
    pub idle: Cell,
    /// Connections that carry a request now.
    pub active: Cell,
    /// Exchanges under way on connections that carry several (HTTP/2).
    pub streams: Cell,
    /// Requests sent again, without any `retry`, because a connection had been closed or refused.
    pub resent: Cell,
    /// Further attempts, by cause in the order of `RETRIES`.
    retried: [Cell; RETRIES.len()],
    /// Attempts beside the first, by how they ended, in the order of `HEDGES`.
    hedged: [Cell; HEDGES.len()],
    /// Further attempts that were not made because the budget was used up.
    pub budget_exhausted: Cell,
    faults: [Cell; FAULTS.len()],
    causes: [Cell; CAUSES.len()],
}

/// `reason` labels of retries, in the order of `proxy::retry::Cause`.
pub(super) const RETRIES: [&str; 4] = ["connect_failure", "reset", "timeout", "status"];

/// `result` labels of attempts beside the first, in the order of `Hedged`.
pub(super) const HEDGES: [&str; 3] = ["won", "lost", "failed"];

/// How an attempt beside the first ended; lost: another was quicker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedged {
    Won,
    Lost,
    Failed,
}

/// `fault` labels: those of `UpstreamFault` and, last, a response that came too late.
pub(super) const FAULTS: [&str; 14] = [
    "connection_refused",
    "connection_timeout",
    "connection_failed",
    "connection_reset",
    "invalid_response",
    "upstream_headers_too_large",
    "tls_handshake_failed",
    "tls_certificate_expired",
    "tls_certificate_untrusted",
    "tls_certificate_wrong_name",
    "tls_certificate_invalid",
    "stream_reset",
    "no_extended_connect",
    "upstream_timeout",
];

/// `cause` labels: why a service was not asked.
pub(super) const CAUSES: [&str; 9] = [
    "breaker_open",
    "breaker_ramp",
    "no_healthy_instance",
    "no_instance",
    "pool_exhausted",
    "too_many_pending",
    "too_many_in_flight",
    "too_many_per_second",
    "no_descriptor",
];

impl ServiceSlot {
    /// Counts a request for which the service was not asked.
    pub fn unavailable(&self, cause: Unavailable) {
        let text = cause.text();
        let cell = CAUSES.iter().zip(&self.causes).find(|(label, _)| **label == text);
        if let Some((_, cell)) = cell {
            cell.add(1);
        }
    }

    /// Counts an attempt that failed.
    pub fn failed(&self, fault: UpstreamFault) {
        if let Some(cell) = self.faults.get(fault as usize) {
            cell.add(1);
        }
    }

    /// Counts a further attempt; `cause` is its place in `RETRIES`.
    pub fn retried(&self, cause: usize) {
        if let Some(cell) = self.retried.get(cause) {
            cell.add(1);
        }
    }

    pub fn hedged(&self, how: Hedged) {
        if let Some(cell) = self.hedged.get(how as usize) {
            cell.add(1);
        }
    }

    /// Counts an attempt that ran into the route's timeout.
    pub fn timed_out(&self) {
        let [.., last] = &self.faults;
        last.add(1);
    }
}

impl ServiceMetrics {
    pub(super) fn new(workers: usize) -> Self {
        Self { slots: PerWorker::new(workers) }
    }

    /// The cells that only the worker of that number may write.
    pub fn worker(&self, worker: usize) -> &ServiceSlot {
        self.slots.slot(worker)
    }

    pub(super) fn sum(&self, cell: impl Fn(&ServiceSlot) -> &Cell) -> u64 {
        self.slots.sum(cell)
    }

    pub(super) fn causes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots.labelled(&CAUSES, |slot| &slot.causes)
    }

    pub(super) fn retries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots.labelled(&RETRIES, |slot| &slot.retried)
    }

    pub(super) fn hedges(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots.labelled(&HEDGES, |slot| &slot.hedged)
    }

    pub(super) fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots.labelled(&FAULTS, |slot| &slot.faults)
    }
}

/// The client connections of one listener.
#[derive(Debug)]
pub struct ListenerMetrics {
    slots: PerWorker<ListenerSlot>,
}

/// The writing half of `ListenerMetrics` for one worker.
#[derive(Debug, Default)]
pub struct ListenerSlot {
    pub accepted: Cell,
    /// Connections that are open now.
    pub open: Cell,
    /// Connections closed at once because the listener had its maximum.
    pub refused: Cell,
    /// Connections closed at once because their client had its maximum.
    pub refused_clients: Cell,
    /// Connections closed because their PROXY header was wrong, missing or late.
    pub proxy_protocol_errors: Cell,
    /// TLS handshakes that are in progress now.
    pub handshakes_open: Cell,
    handshakes: [Cell; HANDSHAKES.len()],
    pub http2: Http2Slot,
    requests: [Cell; PROTOCOLS.len()],
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    Full,
    /// An earlier session was taken up again.
    Resumed,
    Failed,
    TimedOut,
    /// As many as allowed were in progress.
    Refused,
}

/// In the order of `Version`.
pub(super) const PROTOCOLS: [&str; 3] = ["HTTP/1.0", "HTTP/1.1", "HTTP/2"];

/// `outcome` labels, in the order of `Handshake`.
const HANDSHAKES: [&str; 5] = ["full", "resumed", "failed", "timed_out", "refused"];

impl ListenerSlot {
    pub fn handshake(&self, outcome: Handshake) {
        if let Some(cell) = self.handshakes.get(outcome as usize) {
            cell.add(1);
        }
    }

    /// Counts a request that has ended.
    pub fn asked(&self, version: Version) {
        if let Some(cell) = self.requests.get(version as usize) {
            cell.add(1);
        }
    }
}

impl ListenerMetrics {
    pub(super) fn new(workers: usize) -> Self {
        Self { slots: PerWorker::new(workers) }
    }

    /// The cells that only the worker of that number may write.
    pub fn worker(&self, worker: usize) -> &ListenerSlot {
        self.slots.slot(worker)
    }

    pub(super) fn sum(&self, cell: impl Fn(&ListenerSlot) -> &Cell) -> u64 {
        self.slots.sum(cell)
    }

    /// Nothing for a listener without TLS.
    pub(super) fn handshakes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let totals: Vec<(&str, u64)> = self.slots.labelled(&HANDSHAKES, |slot| &slot.handshakes).collect();
        let is_used = totals.iter().any(|(_, total)| *total > 0);
        totals.into_iter().filter(move |_| is_used)
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots.labelled(&PROTOCOLS, |slot| &slot.requests)
    }

    pub(super) fn floods(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots.labelled(&FLOODS, |slot| &slot.http2.floods)
    }

    pub(super) fn resets(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots.labelled(&RESETS, |slot| &slot.http2.resets)
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
    fn each_fault_is_counted_under_its_own_text() {
        use UpstreamFault::*;
        for fault in [
            ConnectionRefused,
            ConnectionTimeout,
            ConnectionFailed,
            ConnectionReset,
            InvalidResponse,
            HeadersTooLarge,
            TlsHandshakeFailed,
            TlsExpired,
            TlsUntrusted,
            TlsWrongName,
            TlsInvalid,
            StreamReset,
            NoExtendedConnect,
        ] {
            let service = ServiceMetrics::new(1);
            service.worker(0).failed(fault);
            let counted: Vec<_> = service.faults().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(fault.text(), 1)]);
        }
    }

    #[test]
    fn a_timeout_is_a_fault_of_its_own() {
        let service = ServiceMetrics::new(1);
        service.worker(0).timed_out();
        assert_eq!(service.faults().last(), Some(("upstream_timeout", 1)));
    }

    #[test]
    fn a_request_that_reached_no_service_has_no_upstream_duration() {
        let route = RouteMetrics::new("", 1);
        assert!(route.totals().is_none());
        route.observe(0, &Sample { status: 404, total: 9, overhead: 9, ..Sample::default() });
        let totals = route.totals().expect("counted");
        assert_eq!((totals.total.count(), totals.overhead.count(), totals.upstream.count()), (1, 1, 0));
    }
}

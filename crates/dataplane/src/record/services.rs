//! What is counted for each service.

use super::cells::{Cell, PerWorker};
use crate::refusal::{Unavailable, UpstreamFault};

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
}

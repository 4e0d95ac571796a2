//! What is counted for the whole node: refusals, timeouts, hang-ups, token look-ups.

use super::addresses::Barred;
use super::cells::{Cell, PerWorker};
use super::codes::{CODES, code_index};
use super::keys::KeyLookups;
use super::logins::Logins;
use super::malformed::MALFORMED;
use super::shared_limits::SharedLimits;
use super::waits::Waits;
use crate::refusal::{Reason, Refusal, RuleFault};
use crate::snapshot::document::Priority;

/// Which wait on a client ended by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    Head,
    Body,
    Idle,
    Write,
}

/// In the order of `TimeoutKind`.
pub(super) const TIMEOUTS: [&str; 4] = ["head", "body", "idle", "write"];

/// Every reason to shed, in the order of the enum.
pub(super) const REASONS: [Reason; 4] = [Reason::Cpu, Reason::Memory, Reason::InFlight, Reason::Concurrency];

/// In the order in which `compressed` is told of them.
pub(super) const ALGORITHMS: [&str; 3] = ["zstd", "br", "gzip"];

/// The node's own counters: one set for each worker.
#[derive(Debug)]
pub struct NodeMetrics {
    slots: PerWorker<WorkerCounts>,
}

/// The writing half of `NodeMetrics` for one worker.
#[derive(Debug)]
pub struct WorkerCounts {
    pub token_cache_hits: Cell,
    pub token_cache_misses: Cell,
    /// Requests that are being answered now.
    pub in_flight: Cell,
    /// Clients that left before their response was complete.
    pub client_aborts: Cell,
    /// Panics that ended a connection and not the worker.
    pub panics: Cell,
    /// Pauses in accepting because no descriptor or memory was left.
    pub accept_pauses: Cell,
    /// Connections accepted here and served by another worker.
    pub handed_over: Cell,
    pub key_lookups: KeyLookups,
    pub shared_limits: SharedLimits,
    pub introspections: KeyLookups,
    pub logins: Logins,
    pub password_checks: KeyLookups,
    pub waits: Waits,
    /// Answers that went on as they were because as many were being compressed as may be.
    pub compressions_skipped: Cell,
    /// Bodies that were not kept for another attempt because the node kept as much as it may.
    pub retry_bodies_dropped: Cell,
    /// Successes that others stand for in the records.
    pub records_left_out: Cell,
    /// Requests for which roll-ups and alerts had no cell of their own left.
    pub requests_coarsened: Cell,
    pub(super) compressed: [Cell; ALGORITHMS.len()],
    pub(super) bytes_before: [Cell; ALGORITHMS.len()],
    pub(super) bytes_after: [Cell; ALGORITHMS.len()],
    pub(super) timeouts: [Cell; TIMEOUTS.len()],
    pub(super) refusals: [Cell; CODES.len()],
    pub(super) malformed: [Cell; MALFORMED.len()],
    pub(super) rule_faults: [Cell; RuleFault::ALL.len()],
    pub(super) barred: Barred,
    shed: [[Cell; Priority::ALL.len()]; REASONS.len()],
}

impl Default for WorkerCounts {
    fn default() -> Self {
        Self {
            token_cache_hits: Cell::default(),
            token_cache_misses: Cell::default(),
            in_flight: Cell::default(),
            client_aborts: Cell::default(),
            panics: Cell::default(),
            accept_pauses: Cell::default(),
            handed_over: Cell::default(),
            key_lookups: KeyLookups::default(),
            shared_limits: SharedLimits::default(),
            introspections: KeyLookups::default(),
            logins: Logins::default(),
            password_checks: KeyLookups::default(),
            waits: Waits::default(),
            compressions_skipped: Cell::default(),
            retry_bodies_dropped: Cell::default(),
            records_left_out: Cell::default(),
            requests_coarsened: Cell::default(),
            compressed: std::array::from_fn(|_| Cell::default()),
            bytes_before: std::array::from_fn(|_| Cell::default()),
            bytes_after: std::array::from_fn(|_| Cell::default()),
            timeouts: std::array::from_fn(|_| Cell::default()),
            refusals: std::array::from_fn(|_| Cell::default()),
            malformed: std::array::from_fn(|_| Cell::default()),
            rule_faults: std::array::from_fn(|_| Cell::default()),
            barred: Barred::default(),
            shed: Default::default(),
        }
    }
}

impl WorkerCounts {
    /// Counts a refusal by its code and, where the request was malformed, by the reason.
    pub fn refused(&self, refusal: &Refusal) {
        count_at(&self.refusals, code_index(refusal));
        self.barred.count(refusal);
        if let Refusal::Malformed(malformed) = refusal {
            count_at(&self.malformed, *malformed as usize);
        }
    }

    /// Counts an expression that came to nothing.
    pub fn rule_failed(&self, fault: RuleFault) {
        count_at(&self.rule_faults, fault as usize);
    }

    /// Counts a request that was shed.
    pub fn shed(&self, reason: Reason, priority: Priority) {
        let cells = self.shed.get(reason as usize);
        if let Some(cells) = cells {
            count_at(cells, priority as usize);
        }
    }

    /// An answer was compressed; `algorithm` is its place in the list.
    pub fn compressed(&self, algorithm: usize, before: u64, after: u64) {
        for (cells, count) in
            [(&self.compressed, 1), (&self.bytes_before, before), (&self.bytes_after, after)]
        {
            if let Some(cell) = cells.get(algorithm) {
                cell.add(count);
            }
        }
    }

    pub fn timed_out(&self, kind: TimeoutKind) {
        count_at(&self.timeouts, kind as usize);
    }
}

pub(super) fn count_at(cells: &[Cell], index: usize) {
    if let Some(cell) = cells.get(index) {
        cell.add(1);
    }
}

impl NodeMetrics {
    pub(super) fn new(workers: usize) -> Self {
        Self { slots: PerWorker::new(workers) }
    }

    /// The cells that only the worker of that number may write.
    pub fn worker(&self, worker: usize) -> &WorkerCounts {
        self.slots.slot(worker)
    }

    /// Requests that are being answered now, on all workers.
    pub fn in_flight(&self) -> u64 {
        self.sum(|counts| &counts.in_flight)
    }

    /// Requests that were shed for one reason, by priority.
    pub(super) fn shed(&self, reason: Reason) -> impl Iterator<Item = (Priority, u64)> {
        Priority::ALL.into_iter().map(move |priority| {
            let cells = |counts: &WorkerCounts| {
                counts.shed.get(reason as usize)?.get(priority as usize).map(Cell::get)
            };
            (priority, self.slots.used().filter_map(cells).sum())
        })
    }

    pub(super) fn sum(&self, cell: impl Fn(&WorkerCounts) -> &Cell) -> u64 {
        self.slots.sum(cell)
    }

    pub(super) fn each(&self, look: impl FnMut(&WorkerCounts)) {
        self.slots.used().for_each(look);
    }

    /// The sum of the cell at `index` of a list.
    pub(super) fn sum_at(&self, index: usize, list: impl Fn(&WorkerCounts) -> &[Cell]) -> u64 {
        self.slots.used().filter_map(|counts| list(counts).get(index)).map(Cell::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::malformed::reason;

    #[test]
    fn each_malformed_request_is_counted_under_its_reason() {
        for (index, malformed) in MALFORMED.into_iter().enumerate() {
            let node = NodeMetrics::new(1);
            node.worker(0).refused(&Refusal::Malformed(malformed));
            assert_eq!(node.sum_at(index, |counts| &counts.malformed), 1, "{}", reason(malformed));
            assert_eq!(node.sum_at(0, |counts| &counts.refusals), 1);
        }
    }

    #[test]
    fn each_request_that_is_shed_is_counted_under_its_reason_and_priority() {
        for (index, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            for priority in Priority::ALL {
                let node = NodeMetrics::new(1);
                node.worker(0).shed(reason, priority);
                let all: Vec<_> = REASONS.into_iter().flat_map(|reason| node.shed(reason)).collect();
                assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 1);
                assert!(node.shed(reason).any(|counted| counted == (priority, 1)));
            }
        }
    }

    #[test]
    fn each_timeout_is_counted_under_its_kind() {
        for (kind, label) in [
            (TimeoutKind::Head, "head"),
            (TimeoutKind::Body, "body"),
            (TimeoutKind::Idle, "idle"),
            (TimeoutKind::Write, "write"),
        ] {
            assert_eq!(TIMEOUTS[kind as usize], label);
        }
    }
}

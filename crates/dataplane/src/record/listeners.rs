//! What is counted for each listener.

use super::cells::{Cell, PerWorker};
use super::http2::{FLOODS, Http2Slot, RESETS};
use crate::request::Version;

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

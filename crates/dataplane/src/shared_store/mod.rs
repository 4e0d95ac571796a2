//! The store in which nodes count together: Redis or Valkey, one server, a master that sentinels know, or a cluster. The one
//! place that knows its client.
//!
//! Each worker has a connection of its own, on which the questions of all its requests follow each other without waiting
//! (`client`). A question is one call of one script (`calls`), whatever it is about; of a cluster, one for each server
//! concerned. `breaker` keeps a worker from asking a store that fails, `settings` says where it is, `link` connects, and
//! `wire` is the connection to one server. What the node knows of the store as a whole is in `Shared`.

mod breaker;
mod calls;
mod client;
mod join;
mod link;
mod settings;
mod wire;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use client::{Client, Trouble};
pub use settings::Settings;

/// What the node knows of the store, and what an operator wants of it.
#[derive(Debug)]
pub struct Shared {
    /// By which this process is known there.
    id: String,
    /// Nodes that count there, as last heard; 0: never.
    nodes: AtomicU32,
    /// One for each worker.
    standings: Box<[AtomicU8]>,
    /// How often a worker has ceased to ask.
    openings: AtomicU64,
    error: Mutex<Option<String>>,
    bypassed_until_ms: AtomicU64,
    /// Bypassed requests are counted by the node itself, or not at all.
    bypass_counts: AtomicBool,
}

/// How a worker stands with the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It has not asked yet.
    #[default]
    Idle = 0,
    Connected = 1,
    /// It does not ask for a while.
    Open = 2,
}

/// What an operator wants in place of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bypass {
    pub until_ms: u64,
    /// Each node counts its share; otherwise nobody counts.
    pub counts: bool,
}

impl Shared {
    pub fn new(workers: usize) -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            nodes: AtomicU32::new(0),
            standings: (0..workers).map(|_| AtomicU8::new(0)).collect(),
            openings: AtomicU64::new(0),
            error: Mutex::default(),
            bypassed_until_ms: AtomicU64::new(0),
            bypass_counts: AtomicBool::new(true),
        }
    }

    /// How many nodes share what is counted there: as configured, or as heard last. At least this one.
    pub fn nodes(&self, settings: &Settings) -> u32 {
        settings.nodes.unwrap_or_else(|| self.nodes.load(Ordering::Relaxed)).max(1)
    }

    /// Workers that are connected, and workers that do not ask for a while.
    pub fn standings(&self) -> (usize, usize) {
        let count = |wanted: Standing| {
            self.standings.iter().filter(|one| one.load(Ordering::Relaxed) == wanted as u8).count()
        };
        (count(Standing::Connected), count(Standing::Open))
    }

    pub fn openings(&self) -> u64 {
        self.openings.load(Ordering::Relaxed)
    }

    /// What went wrong last, where it still does.
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until then nobody asks; a time that is over ends it.
    pub fn bypass(&self, bypass: Bypass) {
        self.bypass_counts.store(bypass.counts, Ordering::Relaxed);
        self.bypassed_until_ms.store(bypass.until_ms, Ordering::Relaxed);
    }

    pub fn bypassed(&self, now_ms: u64) -> Option<Bypass> {
        let until_ms = self.bypassed_until_ms.load(Ordering::Relaxed);
        let counts = self.bypass_counts.load(Ordering::Relaxed);
        (until_ms > now_ms).then_some(Bypass { until_ms, counts })
    }

    fn stand(&self, worker: usize, standing: Standing) {
        let Some(cell) = self.standings.get(worker) else { return };
        let before = cell.swap(standing as u8, Ordering::Relaxed);
        if standing == Standing::Open && before != Standing::Open as u8 {
            self.openings.fetch_add(1, Ordering::Relaxed);
        }
        if standing == Standing::Connected && self.standings().1 == 0 {
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn failed(&self, error: String) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn heard(&self, nodes: u32) {
        self.nodes.store(nodes, Ordering::Relaxed);
    }
}

//! What all workers of a node share, and what outlives every snapshot.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde::Deserialize;

use crate::addresses::{self, Blocklist};
use crate::authenticate::KeyStore;
use crate::by_name::ByName;
use crate::limit::Counters;
use crate::listener::crowd::Crowd;
use crate::proxy::attempt::Kept;
use crate::proxy::queue::Queue;
use crate::questions::Questions;
use crate::record::Census;
use crate::self_check::SelfCheck;
use crate::shared_store::Shared;
use crate::shed::{Concurrency, Load};
use crate::snapshot::{Lasting, Snapshot};
use crate::websocket::places::AllPlaces;
use crate::{balance, record, tls};

/// Given once, at the start.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub workers: usize,
    /// How long a request waits for Python to answer a question.
    pub identity_timeout_ms: u64,
}

impl Options {
    pub fn identity_timeout(&self) -> Duration {
        Duration::from_millis(self.identity_timeout_ms)
    }
}

pub struct Node {
    pub options: Options,
    pub keys: KeyStore,
    pub services: Arc<balance::Registry>,
    pub counters: Counters,
    /// The store in which limits are counted together with other nodes.
    pub shared: Arc<Shared>,
    pub metrics: record::Registry,
    pub tls: tls::Registry,
    pub records: Arc<record::Queue>,
    /// Requests counted for roll-ups and alerts.
    pub census: Census,
    pub questions: Questions,
    pub load: Arc<Load>,
    pub concurrencies: ByName<Concurrency>,
    /// Of each service: who waits for a connection.
    pub queues: ByName<Queue>,
    pub websockets: AllPlaces,
    pub addresses: addresses::Registry,
    /// Networks that are blocked by hand.
    pub blocks: Arc<Blocklist>,
    /// Where the numbers of each worker's thread stand, for the control thread.
    pub threads: Mutex<Vec<PathBuf>>,
    pub connections: AtomicU32,
    pub crowd: Crowd,
    /// Files on their way to clients.
    pub file_transfers: AtomicU32,
    /// Answers that are being compressed.
    pub compressions: AtomicU32,
    /// Bodies of requests that may be sent again.
    pub kept_bodies: Kept,
    /// How it asks itself.
    pub self_check: SelfCheck,
    pub started: Instant,
    pub applied_ms: AtomicU64,
    draining: AtomicBool,
    live: ArcSwapOption<Snapshot>,
}

impl Node {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            keys: KeyStore::new(),
            services: Arc::new(balance::Registry::new()),
            counters: Counters::new(1_000_000),
            shared: Arc::new(Shared::new(options.workers)),
            metrics: record::Registry::new(options.workers),
            tls: tls::Registry::default(),
            records: Arc::new(record::Queue::new(10_000)),
            census: Census::new(options.workers),
            questions: Questions::default(),
            load: Arc::default(),
            concurrencies: ByName::default(),
            queues: ByName::default(),
            websockets: AllPlaces::default(),
            addresses: addresses::Registry::default(),
            blocks: Arc::default(),
            threads: Mutex::default(),
            connections: AtomicU32::new(0),
            crowd: Crowd::new(options.workers),
            file_transfers: AtomicU32::new(0),
            compressions: AtomicU32::new(0),
            kept_bodies: Kept::default(),
            self_check: SelfCheck::new(options.workers),
            started: Instant::now(),
            applied_ms: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            live: ArcSwapOption::empty(),
        }
    }

    /// The live snapshot; one request keeps the one it began with.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.live.load_full()
    }

    pub fn compile(&self, json: &[u8]) -> Result<Snapshot, String> {
        let lasting = Lasting {
            keys: &self.keys,
            services: &self.services,
            counters: &self.counters,
            metrics: &self.metrics,
            tls: &self.tls,
            concurrencies: &self.concurrencies,
            queues: &self.queues,
            websockets: &self.websockets,
            addresses: &self.addresses,
            blocks: &self.blocks,
            workers: self.options.workers,
        };
        Snapshot::compile(json, &lasting)
    }

    /// Makes a compiled snapshot the one that requests see from now on.
    pub fn go_live(&self, snapshot: Arc<Snapshot>, unix_ms: u64) {
        self.counters.set_maximum(snapshot.limits.max_keys as usize);
        self.counters.set_max_waiting(snapshot.limits.max_waiting);
        self.records.resize(u64::from(snapshot.record_queue));
        self.services.adopt(&snapshot.services);
        self.keys.revocations().set_most(snapshot.max_revocations as usize);
        if let Some(document) = &snapshot.identities.key_store {
            self.keys.stored().configure(document);
        }
        if let Some(document) = &snapshot.identities.passwords {
            self.keys.passwords().configure(document);
        }
        self.live.store(Some(snapshot));
        self.applied_ms.store(unix_ms, Ordering::Relaxed);
        self.metrics.sweep();
        self.tls.sweep();
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

//! One address of a service, and what is known of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::ejection::Record;
use super::health::{Health, Transition};
use super::latency::Latency;
use super::standing::{Clock, Entrance};
use crate::io::address::Address;
use crate::snapshot::document::{HealthCheckDocument, InstanceDocument};

/// The low bits of `traffic` count requests under way, the others requests so far: one write for both.
const UNDER_WAY_BITS: u32 = 24;
const UNDER_WAY: u64 = (1 << UNDER_WAY_BITS) - 1;

/// One address of a service. Kept as long as name and address stay in the list of the service, across snapshots.
#[derive(Debug)]
pub struct Instance {
    pub name: Arc<str>,
    pub address: Address,
    health: AtomicU64,
    /// Changes of health so far.
    transitions: AtomicU64,
    /// Used where the service says `scope: instance`.
    pub(super) breaker: Breaker,
    traffic: AtomicU64,
    latency: Latency,
    pub(super) clock: Clock,
    pub(super) record: Record,
    pub(super) entrance: Entrance,
    /// Stamp of when it began to get no new requests; 0: it gets them.
    draining: AtomicU64,
    /// Stamp of when it last broke a connection without a word or took none; 0: it has answered since.
    doubted: AtomicU64,
}

impl Instance {
    /// Healthy until proven otherwise, unless the health check says that it is to prove itself first.
    pub(super) fn new(
        document: &InstanceDocument,
        health: Option<&HealthCheckDocument>,
        is_warm: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            name: document.name.as_str().into(),
            address: document.address.clone(),
            health: AtomicU64::new(Health::starting(health).pack()),
            transitions: AtomicU64::new(0),
            breaker: Breaker::default(),
            traffic: AtomicU64::new(0),
            latency: Latency::new(now),
            clock: Clock::new(now),
            record: Record::default(),
            entrance: Entrance::new(is_warm),
            draining: AtomicU64::new(0),
            doubted: AtomicU64::new(0),
        }
    }

    pub(super) fn assume_healthy(&self) {
        self.health.store(Health::default().pack(), Ordering::Relaxed);
    }

    pub fn health(&self) -> Health {
        Health::unpack(self.health.load(Ordering::Relaxed))
    }

    /// Requests under way on this node.
    pub fn in_flight(&self) -> u32 {
        (self.traffic.load(Ordering::Relaxed) & UNDER_WAY) as u32
    }

    /// Requests sent to it so far.
    pub(super) fn picks(&self) -> u64 {
        self.traffic.load(Ordering::Relaxed) >> UNDER_WAY_BITS
    }

    /// How long it takes to answer, in microseconds; `None` before its first answer.
    pub(super) fn latency(&self, decay: Duration, now: Instant) -> Option<f32> {
        self.latency.estimate(decay, now)
    }

    pub(super) fn answered(&self, taken: Duration, decay: Duration, now: Instant) {
        self.latency.observe(taken, decay, now);
    }

    pub(super) fn failed(&self, taken: Duration, decay: Duration, now: Instant) {
        self.latency.observe_failure(taken, decay, now);
    }

    /// How long it stays ejected.
    pub(super) fn ejected_for(&self, now: Instant) -> Duration {
        let until = self.record.returns_at(self.clock.stamp(now));
        until.map_or(Duration::ZERO, |until| self.clock.moment(until).saturating_duration_since(now))
    }

    /// Since when somebody wants it to get no new requests.
    pub(super) fn draining_since(&self) -> Option<Instant> {
        let stamp = self.draining.load(Ordering::Relaxed);
        (stamp > 0).then(|| self.clock.moment(stamp))
    }

    /// Starts or ends its draining; says whether that changed anything. One that drains already keeps its time.
    pub(super) fn drain(&self, since: Option<Instant>) -> bool {
        let stamp = since.map_or(0, |since| self.clock.stamp(since));
        let was = self.draining.load(Ordering::Relaxed);
        let changes = (stamp > 0) != (was > 0);
        if changes {
            self.draining.store(stamp, Ordering::Relaxed);
        }
        changes
    }

    pub(super) fn transitions(&self) -> u64 {
        self.transitions.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self) {
        self.traffic.fetch_add(1 << UNDER_WAY_BITS | 1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.traffic.fetch_sub(1, Ordering::Relaxed);
    }

    /// It may be gone. Says whether that was thought before, so that its first failure is seen as one.
    pub fn doubt(&self, now: Instant) -> bool {
        self.doubted.swap(self.clock.stamp(now), Ordering::Relaxed) > 0
    }

    /// It has answered a request that was sent to it at this moment. What was under way before the doubt proves nothing.
    pub(super) fn trust(&self, sent: Instant) {
        let doubted = self.doubted.load(Ordering::Relaxed);
        if doubted > 0 && self.clock.stamp(sent) > doubted {
            self.doubted.store(0, Ordering::Relaxed);
        }
    }

    /// Takes in one result; says whether it changed the health.
    pub(super) fn observe(&self, ok: bool, settings: &HealthCheckDocument) -> Option<Transition> {
        let mut transition = None;
        let step = |packed| {
            let mut health = Health::unpack(packed);
            transition = health.observe(ok, settings);
            // The usual good result of a good instance writes nothing: the line stays shared among the workers.
            Some(health.pack()).filter(|next| *next != packed)
        };
        let changed = self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).is_ok();
        let transition = transition.filter(|_| changed)?;
        self.transitions.fetch_add(1, Ordering::Relaxed);
        Some(transition)
    }

    /// A good answer to real traffic ends a run of failures; it does not bring an unhealthy instance back.
    pub(super) fn served(&self) {
        let step = |packed| {
            let health = Health::unpack(packed);
            (health.healthy && health.failures > 0).then(|| Health { failures: 0, ..health }.pack())
        };
        // An error only says that there was nothing to end.
        let _ = self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
    }
}

pub(super) fn is_among(list: &[&Arc<Instance>], instance: &Arc<Instance>) -> bool {
    list.iter().any(|one| Arc::ptr_eq(one, instance))
}

//! One address of a service, and the list of them that a service balances over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::breaker::Breaker;
use super::health::{Health, Transition};
use super::schedule;
use crate::io::address::Address;
use crate::snapshot::document::{HealthCheckDocument, InstanceDocument};

/// More are refused: the schedule is computed in time that grows with the square.
pub(super) const MAX_INSTANCES: usize = 1_000;

/// One address of a service. Kept as long as name and address stay in the list of the service, across snapshots.
#[derive(Debug)]
pub struct Instance {
    pub name: String,
    pub address: Address,
    health: AtomicU64,
    /// Changes of health so far.
    transitions: AtomicU64,
    in_flight: AtomicU32,
    /// Used where the service says `scope: instance`.
    pub(super) breaker: Breaker,
}

impl Instance {
    /// Healthy until proven otherwise: a service need not wait for its first probes.
    fn new(document: &InstanceDocument) -> Self {
        Self {
            name: document.name.clone(),
            address: document.address.clone(),
            health: AtomicU64::new(Health::default().pack()),
            transitions: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            breaker: Breaker::default(),
        }
    }

    pub fn health(&self) -> Health {
        Health::unpack(self.health.load(Ordering::Relaxed))
    }

    /// Requests under way on this node.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn transitions(&self) -> u64 {
        self.transitions.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
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

/// The instances that a service balances over. Never changes: a new list is a new roster.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) instances: Vec<Arc<Instance>>,
    weights: Vec<u32>,
    schedule: Vec<u32>,
    cursor: AtomicUsize,
}

impl Roster {
    /// Refuses weight 0, port 0, repeated instances, names that cannot be a `Host` header, and more than 1,000.
    pub(super) fn compile(list: &[InstanceDocument], known: Option<&Self>) -> Result<Self, String> {
        if list.len() > MAX_INSTANCES {
            return Err(format!("{} instances; at most {MAX_INSTANCES} are balanced over", list.len()));
        }
        for (index, document) in list.iter().enumerate() {
            check(document)?;
            if list.iter().take(index).any(|earlier| is_same(earlier, document)) {
                return Err(format!("instance `{}` is listed twice", document.name));
            }
        }
        let weights: Vec<u32> = list.iter().map(|document| document.weight).collect();
        Ok(Self {
            instances: list.iter().map(|document| kept_or_new(document, known)).collect(),
            schedule: schedule::smooth(&weights),
            weights,
            cursor: AtomicUsize::new(0),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    pub(super) fn weighted(&self) -> impl Iterator<Item = (&Arc<Instance>, u32)> {
        self.instances.iter().zip(self.weights.iter().copied())
    }

    /// The next instance in turn, or the next usable one after it.
    pub(super) fn propose(&self, usable: impl Fn(&Instance) -> bool) -> Option<&Arc<Instance>> {
        let turn = self.cursor.fetch_add(1, Ordering::Relaxed).checked_rem(self.schedule.len())?;
        let (before, after) = self.schedule.split_at_checked(turn)?;
        after
            .iter()
            .chain(before)
            .filter_map(|place| self.instances.get(*place as usize))
            .find(|instance| usable(instance))
    }
}

fn is_same(left: &InstanceDocument, right: &InstanceDocument) -> bool {
    left.address == right.address && left.name == right.name
}

fn check(document: &InstanceDocument) -> Result<(), String> {
    let name = &document.name;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("instance `{}` is not a host and port", name.escape_debug()));
    }
    if document.weight == 0 {
        return Err(format!("instance `{name}` has weight 0; leave it out instead"));
    }
    if document.address.port() == Some(0) {
        return Err(format!("instance `{name}` has port 0"));
    }
    Ok(())
}

fn kept_or_new(document: &InstanceDocument, known: Option<&Roster>) -> Arc<Instance> {
    let same =
        |instance: &&Arc<Instance>| instance.address == document.address && instance.name == document.name;
    let kept = known.and_then(|roster| roster.instances.iter().find(same));
    kept.map_or_else(|| Arc::new(Instance::new(document)), Arc::clone)
}

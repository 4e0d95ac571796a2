//! The instances that a service balances over, and those of them that requests go to just now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use super::draw::Urn;
use super::instance::Instance;
use super::maglev::Table;
use super::pins::Pins;
use super::schedule;
use super::standing::Standing;
use super::terms::Terms;
use crate::io::address::Address;
use crate::snapshot::document::{AlgorithmDocument, BalanceDocument, InstanceDocument};

/// More are refused.
pub(super) const MAX_INSTANCES: usize = 10_000;
/// Up to so many instances a change is seen by the next request. A longer list is gone through once in as many
/// microseconds as it has instances, or a storm of changes would occupy its workers.
const SHORT_LIST: usize = 1_000;

/// A list of instances and what follows from the list alone.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) instances: Vec<Arc<Instance>>,
    pub(super) weights: Vec<u32>,
    /// Only where the algorithm hashes.
    pub(super) table: Option<Table>,
    /// Only where clients stick.
    pub(super) pins: Option<Pins>,
}

impl Members {
    fn new(instances: Vec<Arc<Instance>>, weights: Vec<u32>, balance: &BalanceDocument) -> Self {
        let table = match balance.algorithm {
            AlgorithmDocument::Hash(_) => Some(table(&instances, &weights)),
            AlgorithmDocument::RoundRobin
            | AlgorithmDocument::LeastRequests
            | AlgorithmDocument::PeakEwma { .. }
            | AlgorithmDocument::Random => None,
        };
        let pins = balance.sticky.as_ref().map(|sticky| Pins::new(&instances, sticky));
        Self { instances, weights, table, pins }
    }
}

/// Never changes: a new list is a new roster, and so is a change of who may be sent requests.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) members: Arc<Members>,
    /// Positions of those that requests go to.
    pub(super) lineup: Vec<u32>,
    /// Of every member: is it in the lineup?
    pub(super) is_in: Vec<bool>,
    /// Only for the algorithm that needs it: positions in the order of turns, and draws of places in the lineup.
    pub(super) schedule: Vec<u32>,
    pub(super) urn: Urn,
    pub(super) cursor: AtomicUsize,
    /// So few are available that all are asked, whatever is known of them.
    pub(super) panics: bool,
    ramp: Option<Ramp>,
    /// The changes that it knows of; `None` before anybody has looked who may be sent requests.
    seen: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    changes: u64,
    at: Instant,
    /// When time alone changes something.
    due: Option<Instant>,
}

/// Some of the lineup have not come to their full share yet.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    slow_start: Duration,
    /// Position of the warmest: where all are new, they are alike.
    warmest: usize,
}

impl Roster {
    /// Refuses weight 0, port 0, repeated instances, names that cannot be a `Host` header, and more than 10,000.
    pub(super) fn compile(
        list: &[InstanceDocument],
        terms: Terms<'_>,
        known: Option<&Self>,
    ) -> Result<Self, String> {
        if list.len() > MAX_INSTANCES {
            return Err(format!("{} instances; at most {MAX_INSTANCES} are balanced over", list.len()));
        }
        let mut distinct = HashSet::with_capacity(list.len());
        for document in list {
            check(document)?;
            if !distinct.insert((&document.name, &document.address)) {
                return Err(format!("instance `{}` is listed twice", document.name));
            }
        }
        let kept = known.map(Self::by_name).unwrap_or_default();
        // Where nobody was there before, there is nobody to start more slowly than.
        let is_warm = known.is_none_or(Self::is_empty);
        let instances = list
            .iter()
            .map(|document| kept_or_new(document, &kept, || Instance::new(document, terms.health, is_warm)))
            .collect();
        let weights = list.iter().map(|document| document.weight).collect();
        Ok(Self::of(Arc::new(Members::new(instances, weights, terms.balance))))
    }

    /// The same instances where other rules say who may be sent requests.
    pub(super) fn again(&self) -> Self {
        Self::of(Arc::clone(&self.members))
    }

    /// The same instances for another algorithm, or another cookie.
    pub(super) fn again_for(&self, balance: &BalanceDocument) -> Self {
        let Members { instances, weights, .. } = &*self.members;
        Self::of(Arc::new(Members::new(instances.clone(), weights.clone(), balance)))
    }

    fn of(members: Arc<Members>) -> Self {
        Self {
            members,
            lineup: Vec::new(),
            is_in: Vec::new(),
            schedule: Vec::new(),
            urn: Urn::default(),
            cursor: AtomicUsize::new(0),
            panics: false,
            ramp: None,
            seen: None,
        }
    }

    /// The share of its weight that counts for an instance of the lineup.
    pub(super) fn share(&self, instance: &Instance, now: Instant) -> f32 {
        let Some(Ramp { slow_start, warmest }) = self.ramp else { return 1.0 };
        let share = |instance: &Instance| instance.entrance.share(slow_start, instance.clock.stamp(now));
        share(instance) / self.members.instances.get(warmest).map_or(1.0, |warmest| share(warmest))
    }

    pub(super) fn is_ramping(&self) -> bool {
        self.ramp.is_some()
    }

    /// When time alone lets an instance in again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.seen.and_then(|seen| seen.due)
    }

    fn by_name(&self) -> HashMap<(&str, &Address), &Arc<Instance>> {
        let instances = self.members.instances.iter();
        instances.map(|instance| ((&*instance.name, &instance.address), instance)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.instances.is_empty()
    }

    pub(super) fn weighted(&self) -> impl Iterator<Item = (&Arc<Instance>, u32)> {
        self.members.instances.iter().zip(self.members.weights.iter().copied())
    }

    /// Has nothing changed since it was made?
    pub(super) fn is_current(&self, changes: u64, now: Instant) -> bool {
        let Some(seen) = self.seen else { return false };
        if seen.changes == changes && seen.due.is_none_or(|due| now < due) {
            return true;
        }
        let length = self.members.instances.len();
        length > SHORT_LIST && now < seen.at + Duration::from_micros(length as u64)
    }

    /// The same list with those in the lineup that may be sent requests now.
    pub(super) fn renewed(&self, terms: Terms<'_>, changes: u64, now: Instant) -> Self {
        let members = &self.members;
        let (is_in, panics) = admitted(members, terms, now);
        let lineup: Vec<u32> =
            (0..).zip(&is_in).filter(|(_, is_in)| **is_in).map(|(place, _)| place).collect();
        let weights: Vec<u32> =
            lineup.iter().filter_map(|place| members.weights.get(*place as usize).copied()).collect();
        let in_turn = terms.balance.algorithm == AlgorithmDocument::RoundRobin;
        let turns = if in_turn { schedule::smooth(&weights) } else { Vec::new() };
        let (ramp, due) = waits(members, terms, now);
        Self {
            members: Arc::clone(members),
            schedule: turns.iter().filter_map(|turn| lineup.get(*turn as usize).copied()).collect(),
            urn: if in_turn { Urn::default() } else { Urn::new(&weights) },
            lineup,
            is_in,
            cursor: AtomicUsize::new(self.cursor.load(Ordering::Relaxed)),
            panics,
            ramp,
            seen: Some(Seen { changes, at: now, due }),
        }
    }
}

/// Of every member whether requests go to it, and whether that is for want of better ones. Notes when each came in.
fn admitted(members: &Members, terms: Terms<'_>, now: Instant) -> (Vec<bool>, bool) {
    let standings: Vec<Standing> =
        members.instances.iter().map(|instance| terms.standing(instance, now)).collect();
    for (instance, standing) in members.instances.iter().zip(&standings) {
        instance.entrance.note(*standing == Standing::Healthy, instance.clock.stamp(now));
    }
    let available = standings.iter().filter(|standing| **standing == Standing::Healthy).count();
    // What somebody drains is out by intention, and says nothing about how bad things are.
    let wanted = standings.iter().filter(|standing| **standing != Standing::Draining).count();
    let panics = available * 100 < wanted * terms.balance.panic_threshold as usize;
    let is_in = |standing: &Standing| match standing {
        Standing::Healthy => true,
        Standing::Unhealthy | Standing::Ejected => panics,
        Standing::Draining => false,
    };
    (standings.iter().map(is_in).collect(), panics)
}

/// What time alone will change: who is not yet warm, and when somebody is or comes back.
fn waits(members: &Members, terms: Terms<'_>, now: Instant) -> (Option<Ramp>, Option<Instant>) {
    let slow_start = Duration::from_millis(terms.balance.slow_start_ms);
    let mut warmest: Option<(usize, f32)> = None;
    let (mut is_ramping, mut due) = (false, None::<Instant>);
    for (place, instance) in members.instances.iter().enumerate() {
        let (clock, stamp) = (instance.clock, instance.clock.stamp(now));
        let warm = instance.entrance.warm_at(slow_start, stamp);
        is_ramping |= warm.is_some();
        let back = instance.record.returns_at(stamp).filter(|_| terms.balance.ejection.is_some());
        due = [due, warm.map(|at| clock.moment(at)), back.map(|at| clock.moment(at))]
            .into_iter()
            .flatten()
            .min();
        let share = instance.entrance.share(slow_start, stamp);
        if instance.entrance.is_in() && warmest.is_none_or(|(_, most)| share > most) {
            warmest = Some((place, share));
        }
    }
    let ramp = warmest.filter(|_| is_ramping).map(|(warmest, _)| Ramp { slow_start, warmest });
    (ramp, due)
}

/// Names alone would put all addresses of one name at the same places.
fn table(instances: &[Arc<Instance>], weights: &[u32]) -> Table {
    let names = instances.iter().map(|instance| format!("{} {}", instance.name, instance.address));
    Table::new(&names.zip(weights.iter().copied()).collect::<Vec<_>>())
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

fn kept_or_new(
    document: &InstanceDocument,
    kept: &HashMap<(&str, &Address), &Arc<Instance>>,
    make: impl FnOnce() -> Instance,
) -> Arc<Instance> {
    let found = kept.get(&(document.name.as_str(), &document.address));
    found.map_or_else(|| Arc::new(make()), |instance| Arc::clone(instance))
}

//! What is counted for a service as a whole, by its name, over snapshots and lists of instances.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::instance::Instance;
use super::roster::Roster;
use crate::refusal::Unavailable;
use crate::snapshot::document::CapsDocument;

/// What a client is told to wait where nobody knows how long the requests under way take.
const SHORTLY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Ledger {
    origin: Instant,
    changes: AtomicU64,
    ejecting: Mutex<()>,
    /// Instances that were not ejected because as many were as may be.
    kept: AtomicU64,
    /// How often so few were left that all were asked again.
    panics: AtomicU64,
    /// Names of instances that get no new requests, and since when.
    draining: Mutex<HashMap<String, Instant>>,
    in_flight: AtomicU32,
    /// Nanoseconds from the origin at which the bucket will be full again.
    full: AtomicU64,
}

/// A place among the requests under way; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    ledger: Arc<Ledger>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.ledger.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ledger {
    pub(super) fn new(origin: Instant) -> Self {
        Self {
            origin,
            changes: AtomicU64::new(0),
            ejecting: Mutex::default(),
            kept: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            draining: Mutex::default(),
            in_flight: AtomicU32::new(0),
            full: AtomicU64::new(0),
        }
    }

    /// Rises with every change of who may be sent requests.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// To be called after the change.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn ejecting(&self) -> MutexGuard<'_, ()> {
        self.ejecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kept(&self) {
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Ejections prevented, and times of panic, so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.kept.load(Ordering::Relaxed), self.panics.load(Ordering::Relaxed))
    }

    /// Requests under way that were counted against the cap.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Starts or ends the draining of all instances of a name in a roster; says how many that changed.
    pub(super) fn drain(&self, roster: &Roster, name: &str, since: Option<Instant>) -> usize {
        {
            let mut draining = self.draining();
            match since {
                Some(since) => drop(draining.entry_ref(name).or_insert(since)),
                None => drop(draining.remove(name)),
            }
        }
        let named = roster.members.instances.iter().filter(|instance| *instance.name == *name);
        let changed = named.filter(|instance| instance.drain(since)).count();
        self.changed();
        changed
    }

    /// Tells the instances of a new list which of them are draining.
    pub(super) fn mark(&self, roster: &Roster) {
        let draining = self.draining();
        if draining.is_empty() {
            return;
        }
        let mark = |instance: &Arc<Instance>| instance.drain(draining.get(&*instance.name).copied());
        roster.members.instances.iter().for_each(|instance| _ = mark(instance));
    }

    /// Forgets names that are neither in the roster nor in the configuration.
    pub(super) fn forget_drained(&self, is_known: impl Fn(&str) -> bool) {
        self.draining().retain(|name, _| is_known(name));
    }

    fn draining(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        // Every change is one call, so what a poisoned lock guards is whole.
        self.draining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place within the caps of the service. An error says which of them was hit, and how long to wait.
    pub(super) fn admit(
        self: &Arc<Self>,
        caps: &CapsDocument,
        now: Instant,
    ) -> Result<Option<Place>, (Unavailable, Duration)> {
        let place = caps.max_in_flight.map(|most| self.enter(most)).transpose()?;
        if let Some(rate) = &caps.rate {
            self.take(rate.per_second, rate.burst, now)?;
        }
        Ok(place)
    }

    fn enter(self: &Arc<Self>, most: u32) -> Result<Place, (Unavailable, Duration)> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place { ledger: Arc::clone(self) };
        // The place is given back by its drop.
        if before < most { Ok(place) } else { Err((Unavailable::TooManyInFlight, SHORTLY)) }
    }

    /// One token of a bucket that holds `burst` and gets `per_second` of them.
    fn take(&self, per_second: u32, burst: u32, now: Instant) -> Result<(), (Unavailable, Duration)> {
        let now = now.saturating_duration_since(self.origin).as_nanos() as u64;
        let price = 1_000_000_000 / u64::from(per_second.max(1));
        let room = price.saturating_mul(u64::from(burst));
        let step = |full: u64| Some(full.max(now) + price).filter(|full| full - now <= room);
        let taken = self.full.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        taken.map(drop).map_err(|full| {
            let wait = (full + price).saturating_sub(now + room);
            (Unavailable::TooManyPerSecond, Duration::from_nanos(wait))
        })
    }
}

//! The counts of all callers: shared by the workers of a node, exact across them, bounded, older than any snapshot.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::DefaultHashBuilder;

use super::algorithm::State;
use super::emergency::Emergency;
use super::reading::{Reading, Verdict};
use super::shard::{Ask, Entry, Full, Shard};
use super::shared::Lease;
use super::subject::{Subject, Wanted};
use super::waiting::Waiting;
use crate::by_name::ByName;

/// Locks that the counters are spread over, where there are enough counters to be worth it.
const MAX_SHARDS: usize = 64;
/// Counters below which another lock is not worth it.
const MIN_SHARD: usize = 64;

/// One caller as `busiest` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// In the form that `reset` takes.
    pub caller: String,
    /// What counts now, rounded down: of the sliding window, the current one's requests and the weight of the previous one's.
    pub used: u64,
}

/// One lock a cache line, so that workers at different locks do not disturb each other.
#[repr(align(64))]
struct Aligned(Mutex<Shard>);

/// Callers are spread by a seeded hash and each part has its own bound, so all together never exceed the maximum.
pub struct Counters {
    // Seeded against callers who choose their names (or addresses) so as to meet in one part.
    hasher: DefaultHashBuilder,
    shards: Box<[Aligned]>,
    bound_hits: AtomicU64,
    pub(super) waiting: Arc<Waiting>,
    /// By the name of the tier.
    pub(super) emergencies: ByName<Emergency>,
}

impl Counters {
    /// For at most `maximum` callers, all tiers together; at least one.
    pub fn new(maximum: usize) -> Self {
        let maximum = maximum.max(1);
        let count = (maximum / MIN_SHARD).clamp(1, MAX_SHARDS);
        let shards = (0..count).map(|_| Aligned(Mutex::new(Shard::new(maximum / count)))).collect();
        Self {
            hasher: DefaultHashBuilder::default(),
            shards,
            bound_hits: AtomicU64::new(0),
            waiting: Arc::default(),
            emergencies: ByName::default(),
        }
    }

    /// A new bound for counters that live on; callers beyond it are forgotten at once, those that expire first
    /// (approximately). Never below one for each part made by `new`.
    pub fn set_maximum(&self, maximum: usize) {
        let each = (maximum / self.shards.len()).max(1);
        for shard in &self.shards {
            lock(shard).set_capacity(each);
        }
    }

    /// A new bound for requests that wait.
    pub fn set_max_waiting(&self, maximum: u32) {
        self.waiting.set_maximum(maximum);
    }

    /// Requests that wait for their turn, and how often one found no room to wait.
    pub fn waiting(&self) -> (u32, u64) {
        self.waiting.counts()
    }

    /// Callers that counts are kept for, those included whose counts have lost their weight but were not needed room.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often a new caller found no room, even after expired counts were dropped.
    pub fn bound_hits(&self) -> u64 {
        self.bound_hits.load(Ordering::Relaxed)
    }

    /// Forgets counts and bans, of one tier, one caller (as listed, a part of that such as `user:ann`, or `ip:ADDRESS`), both,
    /// or all; gives how many. A caller in any other form is nobody.
    pub fn reset(&self, tier: Option<&str>, caller: Option<&str>) -> usize {
        let mut goes = self.matcher(tier, caller);
        self.shards.iter().map(|shard| lock(shard).remove(&mut goes)).sum()
    }

    /// Whom an administrator means by a tier and a caller, each of which may be left out.
    pub(super) fn matcher<'a>(
        &self,
        tier: Option<&str>,
        caller: Option<&'a str>,
    ) -> impl FnMut(&Entry) -> bool + 'a {
        let tier = tier.map(|tier| [self.tier_key(tier), self.lease_key(tier)]);
        let wanted = caller.map(Wanted::new);
        let mut memory = String::new();
        move |entry| {
            tier.is_none_or(|keys| keys.contains(&entry.tier))
                && wanted.as_ref().is_none_or(|wanted| wanted.is(&entry.subject, &mut memory))
        }
    }

    /// The callers of a tier that use most of it, at most `maximum`, most first. Costs time in proportion to all
    /// counts; for administrators.
    pub fn busiest(&self, tier: &str, maximum: usize, now_unix_ms: u64) -> Vec<Usage> {
        let tier = self.tier_key(tier);
        let mut list: Vec<Usage> = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            for entry in shard.entries().filter(|entry| entry.tier == tier) {
                let used = entry.used_at(now_unix_ms);
                if used > 0 {
                    list.push(Usage { caller: entry.subject.to_string(), used });
                }
            }
            drop(shard);
            // Cut after every part, so that the list stays small whatever the counters hold.
            list.sort_by(|one, other| other.used.cmp(&one.used).then_with(|| one.caller.cmp(&other.caller)));
            list.truncate(maximum);
        }
        list
    }

    /// What stands for a tier's name in the counts. Two names meet by one chance in 2^64, under a secret seed.
    pub(super) fn tier_key(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// What stands for its name where something is kept that was taken ahead.
    pub(super) fn lease_key(&self, name: &str) -> u64 {
        self.hasher.hash_one(("lease", name))
    }

    pub(super) fn hash(&self, tier: u64, subject: &Subject<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        tier.hash(&mut hasher);
        subject.iter().for_each(|part| part.hash(&mut hasher));
        hasher.finish()
    }

    /// Counts one request, if it may pass. `Full` where there is no room for it; `evict` makes room. With the lock held once:
    /// the whole of a request with one plain tier.
    pub(super) fn take(&self, ask: &Ask<'_>, evict: bool) -> Result<Reading, Full> {
        let mut shard = self.at(self.place(ask.key.hash)).ok_or(Full)?;
        if let Some(reading) = shard.take(ask) {
            return Ok(reading);
        }
        let reading = State::fresh(ask.rule, ask.now_ms).read(ask.rule, ask.now_ms, ask.cost);
        if !reading.is_admitted() && ask.penalty.is_none() {
            // Whoever is refused without ever having had anything leaves no trace.
            return Ok(reading);
        }
        self.make_room(&mut shard, ask.now_ms, evict)?;
        if reading.is_admitted() {
            shard.charge(ask);
            return Ok(reading);
        }
        Ok(shard.refuse(ask, reading))
    }

    /// May the request pass? Charges nothing, and makes no room: whoever is not known has used nothing.
    pub(super) fn read(&self, ask: &Ask<'_>) -> Option<Reading> {
        let mut shard = self.at(self.place(ask.key.hash))?;
        let (reading, _) = shard.read(ask);
        (!reading.is_admitted()).then(|| shard.refuse(ask, reading))
    }

    /// Is the caller banned? Charges nothing.
    pub(super) fn banned(&self, ask: &Ask<'_>) -> Option<Reading> {
        ask.penalty?;
        let (reading, _) = self.at(self.place(ask.key.hash))?.read(ask);
        (reading.verdict == Verdict::Banned).then_some(reading)
    }

    /// What came of asking the shared store, as this node's penalties see it: who was refused is told what `refuse` says.
    pub(super) fn penalize(&self, ask: &Ask<'_>, reading: Reading) -> Reading {
        if ask.penalty.is_none() {
            return reading;
        }
        let Some(mut shard) = self.at(self.place(ask.key.hash)) else { return reading };
        let (_, is_known) = shard.read(ask);
        if reading.is_admitted() {
            if is_known {
                shard.entry(ask).pardon();
            }
            return reading;
        }
        if !is_known && self.make_room(&mut shard, ask.now_ms, true).is_err() {
            return reading;
        }
        shard.refuse(ask, reading)
    }

    /// Undoes a charge of a moment ago.
    pub(super) fn give_back(&self, ask: &Ask<'_>) {
        let Some(mut shard) = self.at(self.place(ask.key.hash)) else { return };
        let (_, is_known) = shard.read(ask);
        if is_known {
            shard.entry(ask).state.give_back(ask.rule, ask.now_ms, ask.cost.charged);
        }
    }

    /// Does something with what was taken ahead of a shared count. `None` where there is no room for it.
    pub(super) fn lease<T>(&self, ask: &Ask<'_>, act: impl FnOnce(&mut Lease) -> T) -> Option<T> {
        let mut shard = self.at(self.place(ask.key.hash))?;
        let (_, is_known) = shard.read(ask);
        if !is_known {
            self.make_room(&mut shard, ask.now_ms, true).ok()?;
        }
        let State::Lease(lease) = &mut shard.entry(ask).state else { return None };
        let done = act(lease);
        let expiry = lease.expires_at_ms();
        shard.expect(expiry, ask.now_ms);
        Some(done)
    }

    /// Charges what was admitted before.
    pub(super) fn charge_late(&self, ask: &Ask<'_>) {
        let Some(mut shard) = self.at(self.place(ask.key.hash)) else { return };
        // Moves the state to this moment; whether it would admit another is not asked.
        let (_, is_known) = shard.read(ask);
        if is_known || self.make_room(&mut shard, ask.now_ms, true).is_ok() {
            shard.charge(ask);
        }
    }

    /// Room for one more in a part that is locked.
    pub(super) fn make_room(&self, shard: &mut Shard, now_ms: u64, evict: bool) -> Result<(), Full> {
        if shard.has_room(now_ms, 1) {
            return Ok(());
        }
        self.hit_bound();
        if !evict {
            return Err(Full);
        }
        shard.evict();
        Ok(())
    }

    pub(super) fn hit_bound(&self) {
        self.bound_hits.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of the part that a hash belongs to.
    pub(super) fn place(&self, hash: u64) -> usize {
        // The table uses the lowest and the highest bits, so the part is chosen by others.
        let choice = (hash >> 32) as usize & 0xffff;
        choice % self.shards.len()
    }

    pub(super) fn at(&self, place: usize) -> Option<MutexGuard<'_, Shard>> {
        self.shards.get(place).map(lock)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }
}

fn lock(shard: &Aligned) -> MutexGuard<'_, Shard> {
    // A count is changed in one step, so a panic elsewhere leaves nothing half done.
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

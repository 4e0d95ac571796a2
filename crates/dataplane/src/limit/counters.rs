//! The counts of all callers: shared by the workers of a node, exact across them, bounded, older than any snapshot.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::DefaultHashBuilder;

use super::shard::{Entry, Full, Key, Shard};
use super::subject::Subject;
use super::window::{Allowance, Reading};

/// Locks that the counters are spread over, where there are enough counters to be worth it.
const MAX_SHARDS: usize = 64;
/// Counters below which another lock is not worth it.
const MIN_SHARD: usize = 64;

/// One caller as `busiest` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// In the form that `reset` takes.
    pub caller: String,
    /// Requests that count now: the current window's and the weight of the previous one, rounded down.
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
}

impl Counters {
    /// For at most `maximum` callers, all tiers together; at least one.
    pub fn new(maximum: usize) -> Self {
        let maximum = maximum.max(1);
        let count = (maximum / MIN_SHARD).clamp(1, MAX_SHARDS);
        let shards = (0..count).map(|_| Aligned(Mutex::new(Shard::new(maximum / count)))).collect();
        Self { hasher: DefaultHashBuilder::default(), shards, bound_hits: AtomicU64::new(0) }
    }

    /// A new bound for counters that live on; callers beyond it are forgotten at once, those with the oldest windows
    /// first (approximately). Never below one for each part made by `new`.
    pub fn set_maximum(&self, maximum: usize) {
        let each = (maximum / self.shards.len()).max(1);
        for shard in &self.shards {
            lock(shard).set_capacity(each);
        }
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

    /// Forgets counts, of one tier, one caller (`user:ID`, `api_key:ID`, `ip:ADDRESS`, `global`), both, or all; gives
    /// how many. A caller in any other form is nobody.
    pub fn reset(&self, tier: Option<&str>, caller: Option<&str>) -> usize {
        let subject = match caller.map(Subject::parse) {
            None => None,
            Some(Some(subject)) => Some(subject),
            Some(None) => return 0,
        };
        let tier = tier.map(|tier| self.tier_key(tier));
        let goes = |entry: &Entry| {
            tier.is_none_or(|tier| entry.tier == tier)
                && subject.is_none_or(|subject| entry.subject.borrow() == subject)
        };
        self.shards.iter().map(|shard| lock(shard).remove(goes)).sum()
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
                    list.push(Usage { caller: entry.subject.borrow().to_string(), used });
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

    /// Counts one request of this subject. `Full` where there is no room for it; `evict` makes room.
    pub(super) fn take(
        &self,
        key: TierKey,
        subject: Subject<'_>,
        now_ms: u64,
        evict: bool,
    ) -> Result<Reading, Full> {
        let hash = self.hasher.hash_one((key.tier, subject));
        let mut shard = lock(self.shard(hash).ok_or(Full)?);
        let key = Key { hash, tier: key.tier, allowance: key.allowance, subject };
        if let Some(reading) = shard.take(key, now_ms) {
            return Ok(reading);
        }
        if !shard.has_room(now_ms) {
            self.bound_hits.fetch_add(1, Ordering::Relaxed);
            if !evict {
                return Err(Full);
            }
            shard.evict();
        }
        Ok(shard.insert(key, now_ms))
    }

    fn shard(&self, hash: u64) -> Option<&Aligned> {
        // The table uses the lowest and the highest bits, so the part is chosen by others.
        let choice = (hash >> 32) as usize & 0xffff;
        self.shards.get(choice % self.shards.len())
    }
}

/// A tier as the counters know it. A changed limit keeps its counts, a changed window begins new ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct TierKey {
    pub(super) tier: u64,
    pub(super) allowance: Allowance,
}

fn lock(shard: &Aligned) -> MutexGuard<'_, Shard> {
    // A count is changed in one step, so a panic elsewhere leaves nothing half done.
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

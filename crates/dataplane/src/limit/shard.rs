//! One part of the counters, behind one lock.

use hashbrown::HashTable;

use super::subject::{Owned, Subject};
use super::window::{Allowance, Reading, Window};

/// Candidates of which the one with the oldest window is evicted.
const SAMPLE: usize = 8;
/// Buckets looked at for candidates; bounds the work where a table is nearly empty.
const MAX_PROBES: usize = 256;

/// There is no room for another caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Whose count, in which tier.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) hash: u64,
    pub(super) tier: u64,
    pub(super) allowance: Allowance,
    pub(super) subject: Subject<'a>,
}

pub(super) struct Entry {
    hash: u64,
    pub(super) tier: u64,
    window_ms: u64,
    pub(super) subject: Owned,
    window: Window,
}

impl Entry {
    pub(super) fn used_at(&self, now_ms: u64) -> u64 {
        self.window.used_at(self.window_ms, now_ms)
    }

    fn expires_at_ms(&self) -> u64 {
        self.window.expires_at_ms(self.window_ms)
    }

    fn is_of(&self, key: &Key<'_>) -> bool {
        self.tier == key.tier
            && self.window_ms == key.allowance.window_ms
            && self.subject.borrow() == key.subject
    }
}

pub(super) struct Shard {
    table: HashTable<Entry>,
    capacity: usize,
    /// No entry expires before this, so no search for expired ones can succeed earlier.
    next_expiry_ms: u64,
    /// Where the search for someone to evict goes on.
    cursor: usize,
}

impl Shard {
    pub(super) fn new(capacity: usize) -> Self {
        Self { table: HashTable::new(), capacity, next_expiry_ms: u64::MAX, cursor: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.table.len() > capacity {
            self.evict();
        }
        self.table.shrink_to(capacity, |entry| entry.hash);
    }

    pub(super) fn remove(&mut self, goes: impl Fn(&Entry) -> bool) -> usize {
        let before = self.table.len();
        self.table.retain(|entry| !goes(entry));
        before - self.table.len()
    }

    /// Counts one request of a caller that is known.
    pub(super) fn take(&mut self, key: Key<'_>, now_ms: u64) -> Option<Reading> {
        let entry = self.table.find_mut(key.hash, |entry| entry.is_of(&key))?;
        Some(entry.window.take(key.allowance, now_ms))
    }

    /// Counts the first request of a caller. A refused one leaves no trace.
    pub(super) fn insert(&mut self, key: Key<'_>, now_ms: u64) -> Reading {
        let window_ms = key.allowance.window_ms;
        let mut window = Window { index: now_ms / window_ms, previous: 0, current: 0 };
        let reading = window.take(key.allowance, now_ms);
        if reading.is_admitted {
            let subject = key.subject.to_owned();
            let entry = Entry { hash: key.hash, tier: key.tier, window_ms, subject, window };
            self.next_expiry_ms = self.next_expiry_ms.min(entry.expires_at_ms());
            self.table.insert_unique(key.hash, entry, |entry| entry.hash);
        }
        reading
    }

    /// Is there room, after what has expired was dropped where that was needed?
    pub(super) fn has_room(&mut self, now_ms: u64) -> bool {
        if self.table.len() < self.capacity {
            return true;
        }
        if now_ms >= self.next_expiry_ms {
            self.table.retain(|entry| now_ms < entry.expires_at_ms());
            self.next_expiry_ms = self.table.iter().map(Entry::expires_at_ms).min().unwrap_or(u64::MAX);
        }
        self.table.len() < self.capacity
    }

    /// Forgets one caller: of a few candidates the one whose counts lose their weight first.
    pub(super) fn evict(&mut self) {
        let buckets = self.table.num_buckets();
        let mut oldest: Option<(u64, usize)> = None;
        let mut candidates = 0;
        for _ in 0..buckets.min(MAX_PROBES) {
            self.cursor = if self.cursor + 1 >= buckets { 0 } else { self.cursor + 1 };
            let Some(entry) = self.table.get_bucket(self.cursor) else { continue };
            let expiry = entry.expires_at_ms();
            if oldest.is_none_or(|(other, _)| expiry < other) {
                oldest = Some((expiry, self.cursor));
            }
            candidates += 1;
            if candidates == SAMPLE {
                break;
            }
        }
        let Some((_, bucket)) = oldest else { return };
        if let Ok(entry) = self.table.get_bucket_entry(bucket) {
            entry.remove();
        }
    }
}

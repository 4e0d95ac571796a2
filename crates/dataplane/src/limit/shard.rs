//! One part of the counters, behind one lock.

use hashbrown::HashTable;

use super::algorithm::State;
use super::offence::{Offence, Penalty};
use super::places::Place;
use super::reading::{Reading, Verdict};
use super::rule::{Cost, Rule};
use super::subject::{Owned, Subject};

/// Candidates of which the one that expires first is evicted.
const SAMPLE: usize = 8;
/// Buckets looked at for candidates; bounds the work where a table is nearly empty.
const MAX_PROBES: usize = 256;
/// When to look again whether places are still taken, in a part without room.
const PLACES_MS: u64 = 1_000;

/// There is no room for another caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Whose count, in which tier.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) hash: u64,
    pub(super) tier: u64,
    pub(super) subject: &'a Subject<'a>,
}

/// One request, as one tier sees it.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) key: Key<'a>,
    pub(super) rule: &'a Rule,
    pub(super) penalty: Option<&'a Penalty>,
    pub(super) cost: Cost,
    pub(super) now_ms: u64,
}

pub(super) struct Entry {
    hash: u64,
    pub(super) tier: u64,
    window_ms: u64,
    pub(super) subject: Owned,
    pub(super) state: State,
    pub(super) offence: Option<Box<Offence>>,
}

impl Entry {
    pub(super) fn new(key: &Key<'_>, window_ms: u64, state: State) -> Self {
        let subject = Owned::of(key.subject);
        Self { hash: key.hash, tier: key.tier, window_ms, subject, state, offence: None }
    }

    pub(super) fn used_at(&self, now_ms: u64) -> u64 {
        self.state.used_at(self.window_ms, now_ms)
    }

    pub(super) fn is_banned(&self, now_ms: u64) -> bool {
        self.offence.as_ref().is_some_and(|offence| offence.banned_until_ms() > now_ms)
    }

    fn expires_at_ms(&self) -> u64 {
        let state = self.state.expires_at_ms(self.window_ms);
        self.offence.as_ref().map_or(state, |offence| state.max(offence.expires_at_ms()))
    }

    fn is_of(&self, key: &Key<'_>) -> bool {
        self.tier == key.tier && self.subject.is(key.subject)
    }

    /// May the request pass? Charges nothing.
    fn read(&mut self, ask: &Ask<'_>) -> Reading {
        if let (Some(offence), Some(_)) = (&self.offence, ask.penalty)
            && let Some(banned) = offence.banned(ask.rule.limit, ask.now_ms)
        {
            return banned;
        }
        if self.window_ms != ask.rule.window_ms || !self.state.fits(ask.rule) {
            self.state = self.state.carried(self.window_ms, ask.rule, ask.now_ms);
            self.window_ms = ask.rule.window_ms;
        }
        self.state.read(ask.rule, ask.now_ms, ask.cost)
    }

    fn charge(&mut self, ask: &Ask<'_>) -> Option<Place> {
        self.pardon();
        self.state.charge(ask.rule, ask.now_ms, ask.cost.charged)
    }

    /// The caller has waited long enough.
    pub(super) fn pardon(&mut self) {
        if let Some(offence) = &mut self.offence {
            offence.admitted();
        }
    }

    fn refuse(&mut self, ask: &Ask<'_>, reading: Reading) -> Reading {
        let (Some(penalty), Verdict::Refused) = (ask.penalty, reading.verdict) else { return reading };
        self.offence.get_or_insert_default().refused(penalty, reading, ask.now_ms)
    }
}

pub(super) struct Shard {
    table: HashTable<Entry>,
    capacity: usize,
    /// What logs take beyond their own counters.
    slots: usize,
    /// No entry expires before this, so no search for expired ones can succeed earlier.
    next_expiry_ms: u64,
    /// Nobody is banned from here on.
    banned_until_ms: u64,
    /// Bans that there have ever been.
    pub(super) bans: u64,
    /// Bans have begun or were lifted that nobody was told of yet.
    pub(super) has_news: bool,
    /// Where the search for someone to evict goes on.
    cursor: usize,
}

impl Shard {
    pub(super) fn new(capacity: usize) -> Self {
        let table = HashTable::new();
        Self {
            table,
            capacity,
            slots: 0,
            next_expiry_ms: u64::MAX,
            banned_until_ms: 0,
            bans: 0,
            has_news: false,
            cursor: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.table.iter_mut()
    }

    pub(super) fn has_bans(&self, now_ms: u64) -> bool {
        self.banned_until_ms > now_ms
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.shed();
        self.table.shrink_to(capacity, |entry| entry.hash);
    }

    pub(super) fn remove(&mut self, mut goes: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.table.len();
        self.table.retain(|entry| !goes(entry));
        self.slots = self.table.iter().map(|entry| entry.state.slots()).sum();
        before - self.table.len()
    }

    /// Ends bans, and gives how many.
    pub(super) fn lift(&mut self, now_ms: u64, mut goes: impl FnMut(&Entry) -> bool) -> usize {
        if !self.has_bans(now_ms) {
            return 0;
        }
        let banned = self.table.iter_mut().filter(|entry| entry.is_banned(now_ms) && goes(entry));
        let lifted = banned.filter_map(|entry| entry.offence.as_mut()).map(|offence| offence.lift()).count();
        self.next_expiry_ms = 0;
        self.has_news |= lifted > 0;
        lifted
    }

    /// The offence of a caller that is known.
    pub(super) fn offence(&mut self, key: &Key<'_>) -> Option<&mut Offence> {
        self.table.find_mut(key.hash, |entry| entry.is_of(key))?.offence.as_deref_mut()
    }

    /// Somebody is banned until then.
    pub(super) fn ban_until(&mut self, until_ms: u64) {
        self.banned_until_ms = self.banned_until_ms.max(until_ms);
    }

    /// Counts one request of a caller that is known, if it may pass.
    pub(super) fn take(&mut self, ask: &Ask<'_>) -> Option<Reading> {
        let entry = self.table.find_mut(ask.key.hash, |entry| entry.is_of(&ask.key))?;
        let reading = entry.read(ask);
        if !reading.is_admitted() {
            let told = entry.refuse(ask, reading);
            self.note(reading, told, ask.now_ms);
            return Some(told);
        }
        let before = entry.state.slots();
        entry.charge(ask);
        let after = entry.state.slots();
        self.grow(before, after);
        Some(reading)
    }

    /// May the request pass? Charges nothing. Also whether the caller is known.
    pub(super) fn read(&mut self, ask: &Ask<'_>) -> (Reading, bool) {
        match self.table.find_mut(ask.key.hash, |entry| entry.is_of(&ask.key)) {
            Some(entry) => (entry.read(ask), true),
            None => (State::fresh(ask.rule, ask.now_ms).read(ask.rule, ask.now_ms, ask.cost), false),
        }
    }

    /// Charges a request that may pass, be the caller known or not.
    pub(super) fn charge(&mut self, ask: &Ask<'_>) -> Option<Place> {
        let entry = self.entry(ask);
        let before = entry.state.slots();
        let place = entry.charge(ask);
        let (after, expiry) = (entry.state.slots(), entry.expires_at_ms());
        self.expect(expiry, ask.now_ms);
        self.grow(before, after);
        place
    }

    /// Remembers a refusal, where the tier wants that. Gives what the caller is told.
    pub(super) fn refuse(&mut self, ask: &Ask<'_>, reading: Reading) -> Reading {
        if ask.penalty.is_none() || reading.verdict != Verdict::Refused {
            return reading;
        }
        let entry = self.entry(ask);
        let told = entry.refuse(ask, reading);
        let expiry = entry.expires_at_ms();
        self.expect(expiry, ask.now_ms);
        self.note(reading, told, ask.now_ms);
        told
    }

    /// The entry of a caller, made where there is none.
    pub(super) fn entry(&mut self, ask: &Ask<'_>) -> &mut Entry {
        let place = self.table.entry(ask.key.hash, |entry| entry.is_of(&ask.key), |entry| entry.hash);
        let make = || Entry::new(&ask.key, ask.rule.window_ms, State::fresh(ask.rule, ask.now_ms));
        place.or_insert_with(make).into_mut()
    }

    /// Is there room for so many more, after what has expired was dropped where that was needed?
    pub(super) fn has_room(&mut self, now_ms: u64, more: usize) -> bool {
        if self.load() + more <= self.capacity {
            return true;
        }
        if now_ms >= self.next_expiry_ms {
            self.remove(|entry| now_ms >= entry.expires_at_ms());
            self.next_expiry_ms = u64::MAX;
            let expiry = self.table.iter().map(Entry::expires_at_ms).min().unwrap_or(u64::MAX);
            self.expect(expiry, now_ms);
        }
        self.load() + more <= self.capacity
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
            let (gone, _) = entry.remove();
            self.slots -= gone.state.slots().min(self.slots);
        }
    }

    fn load(&self) -> usize {
        self.table.len() + self.slots
    }

    /// Callers go until the others have room.
    fn shed(&mut self) {
        while self.load() > self.capacity && !self.table.is_empty() {
            self.evict();
        }
    }

    fn grow(&mut self, before: usize, after: usize) {
        if before != after {
            self.slots = (self.slots + after).saturating_sub(before);
            self.shed();
        }
    }

    /// Somebody may expire at this time.
    pub(super) fn expect(&mut self, expiry_ms: u64, now_ms: u64) {
        // Whoever has a place may give it back at any time.
        let look = if expiry_ms == u64::MAX { now_ms.saturating_add(PLACES_MS) } else { expiry_ms };
        self.next_expiry_ms = self.next_expiry_ms.min(look);
    }

    /// Notes where a refusal has become a ban.
    fn note(&mut self, reading: Reading, told: Reading, now_ms: u64) {
        if told.verdict != reading.verdict {
            self.bans += 1;
            self.has_news = true;
            self.ban_until(now_ms.saturating_add(told.retry_after.saturating_mul(1000)));
        }
    }
}

//! Several tiers on one request: all parts of the counters that they need are locked together, all tiers are read, and
//! only then is anything charged. So no request is charged by one tier and refused by another, whatever other workers do.

use std::sync::MutexGuard;

use super::counters::Counters;
use super::places::Place;
use super::reading::{Reading, Verdict};
use super::shard::{Ask, Full, Shard};
use super::waiting::Seat;

/// Tiers that one request may have.
pub(super) const MAX_TIERS: usize = 8;

/// One tier of a request, and which part of the counters holds its count.
pub(super) struct Item<'a> {
    pub(super) tier: u32,
    pub(super) ask: Ask<'a>,
    pub(super) part: usize,
    pub(super) dry_run: bool,
    /// What was taken ahead of a shared count is asked, not a count of this node's own.
    pub(super) is_leased: bool,
    pub(super) reading: Reading,
    /// The caller has no count yet.
    pub(super) is_new: bool,
}

/// What a route does in cases that are not plain.
#[derive(Clone, Copy)]
pub(super) struct Policy {
    /// Counts of others make room.
    pub(super) evict: bool,
    pub(super) charge_refused: bool,
}

/// What an admitted request holds until its end.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) places: Vec<Place>,
    pub(super) delay_ms: u64,
    /// The tier that makes it wait.
    pub(super) waits_for: u32,
    pub(super) seat: Option<Seat>,
}

/// Parts that are locked, each with its number. Always in rising order, so that two requests never wait for each other.
struct Locked<'c> {
    guards: [Option<(usize, MutexGuard<'c, Shard>)>; MAX_TIERS],
}

impl<'c> Locked<'c> {
    fn all(counters: &'c Counters, items: &[Item<'_>]) -> Self {
        let mut wanted = [usize::MAX; MAX_TIERS];
        for (place, item) in wanted.iter_mut().zip(items) {
            *place = item.part;
        }
        wanted.sort_unstable();
        let mut before = usize::MAX;
        let guards = wanted.map(|part| {
            let is_new = part != before;
            before = part;
            // `MAX` is no part: it stands where there are fewer tiers.
            if is_new { counters.at(part).map(|guard| (part, guard)) } else { None }
        });
        Self { guards }
    }

    fn part(&mut self, part: usize) -> Result<&mut Shard, Full> {
        let held = self.guards.iter_mut().flatten().find(|(number, _)| *number == part);
        held.map(|(_, guard)| &mut **guard).ok_or(Full)
    }
}

/// Reads every tier, leaves what each says in its item, and charges all or, where one refuses, none. Gives whether the
/// request may pass, and what it holds then. `Full` where there is no room to count it; nothing is charged then.
pub(super) fn decide(
    counters: &Counters,
    items: &mut [Item<'_>],
    policy: Policy,
) -> Result<Option<Held>, Full> {
    let mut locked = Locked::all(counters, items);
    let is_full = read(&mut locked, items)?;
    let mut held = Held::default();
    sit(counters, items, &mut held);
    let passes = items.iter().all(Item::lets_pass);
    if is_full {
        counters.hit_bound();
        if !policy.evict && passes {
            return Err(Full);
        }
    }
    for item in items {
        let part = locked.part(item.part)?;
        if !item.reading.is_admitted() {
            item.reading = part.refuse(&item.ask, item.reading);
        } else if passes || policy.charge_refused {
            if item.is_new && !part.has_room(item.ask.now_ms, 1) {
                if !policy.evict {
                    continue;
                }
                part.evict();
            }
            held.places.extend(part.charge(&item.ask));
        }
    }
    Ok(passes.then_some(held))
}

/// Gives whether some caller is new and has no room. A tier on trial does without.
fn read(locked: &mut Locked<'_>, items: &mut [Item<'_>]) -> Result<bool, Full> {
    let mut is_full = false;
    let mut new = [usize::MAX; MAX_TIERS];
    for (index, item) in items.iter_mut().enumerate() {
        let part = locked.part(item.part)?;
        let (reading, is_known) = part.read(&item.ask);
        // Nothing is kept of what only the shared store knows.
        let is_known = is_known || reading.verdict == Verdict::Unknown;
        (item.reading, item.is_new) = (reading, !is_known);
        if is_known {
            continue;
        }
        if let Some(place) = new.get_mut(index) {
            *place = item.part;
        }
        let more = new.iter().filter(|other| **other == item.part).count();
        is_full |= !part.has_room(item.ask.now_ms, more) && !item.dry_run;
    }
    Ok(is_full)
}

/// Takes a seat for a request that has to wait; where there is none, the tier refuses it.
fn sit(counters: &Counters, items: &mut [Item<'_>], held: &mut Held) {
    for item in items.iter_mut().filter(|item| !item.dry_run) {
        if !held.sit(counters, item.tier, &item.reading) {
            item.reading = item.reading.crowded();
        }
    }
}

impl<'a> Item<'a> {
    pub(super) fn new(counters: &Counters, tier: u32, ask: Ask<'a>, dry_run: bool) -> Self {
        let (part, reading) = (counters.place(ask.key.hash), Reading::admitted(0, 0, 0));
        Self { tier, ask, part, dry_run, is_leased: false, reading, is_new: false }
    }

    /// What is not known here refuses nobody yet.
    fn lets_pass(&self) -> bool {
        match self.reading.verdict {
            Verdict::Admitted | Verdict::Unknown => true,
            Verdict::Refused | Verdict::Banned => self.dry_run,
        }
    }
}

impl Held {
    /// Takes a seat where a request has to wait. False: there is none.
    pub(super) fn sit(&mut self, counters: &Counters, tier: u32, reading: &Reading) -> bool {
        if reading.delay_ms == 0 || !reading.is_admitted() {
            return true;
        }
        self.delay(reading.delay_ms, tier);
        if self.seat.is_none() {
            self.seat = counters.waiting.sit();
        }
        self.seat.is_some()
    }

    fn delay(&mut self, delay_ms: u64, tier: u32) {
        if delay_ms > self.delay_ms {
            (self.delay_ms, self.waits_for) = (delay_ms, tier);
        }
    }

    /// What else the request holds.
    pub(super) fn join(&mut self, other: Self) {
        self.places.extend(other.places);
        self.delay(other.delay_ms, other.waits_for);
        if self.seat.is_none() {
            self.seat = other.seat;
        }
    }
}

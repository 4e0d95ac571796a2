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
    for item in items.iter_mut().filter(|item| item.reading.delay_ms > 0 && !item.dry_run) {
        held.delay_ms = held.delay_ms.max(item.reading.delay_ms);
        if held.seat.is_none() {
            held.seat = counters.waiting.sit();
        }
        if held.seat.is_none() {
            let retry_after = item.reading.delay_ms.div_ceil(1000).max(1);
            item.reading = Reading::refused(item.reading.limit, item.reading.reset, retry_after);
        }
    }
}

impl Item<'_> {
    fn lets_pass(&self) -> bool {
        self.dry_run || self.reading.verdict == Verdict::Admitted
    }
}

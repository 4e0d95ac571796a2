//! The algorithms: which instance of the lineup takes this request, and why that one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::ask::Ask;
use super::draw::{Dice, mix};
use super::instance::{Instance, is_among};
use super::key;
use super::maglev;
use super::roster::Roster;
use crate::snapshot::document::{AlgorithmDocument, KeyDocument};
use crate::trail::Inputs;

/// Up to so many instances, `least_requests` looks at all of them; of more, at this many at random.
const LOOKED_AT: usize = 16;
/// How often the key of an instance that may not be asked is hashed anew, before the lineup decides.
const REHASHES: u64 = 16;
/// How often another instance is drawn in place of one that starts slowly.
const DRAWS: usize = 8;
/// How often the algorithm chooses anew in place of an instance that was tried before, before the lineup decides.
const TURNS: u64 = 4;

/// Why it was this instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    InTurn,
    /// The client's cookie names it.
    Sticky,
    /// It had so many requests under way.
    LeastRequests(u32),
    /// Its latency in microseconds, where it is known, and requests under way.
    PeakEwma(Option<u64>, u32),
    Random,
    /// By this kind of key; the instance that it belongs to may not be asked where `is_moved`.
    Hash {
        key: &'static str,
        is_moved: bool,
    },
    /// The breakers of those that the algorithm chose have refused, or it chose those that were tried before.
    Left,
    /// The request has no key of this kind.
    NoKey {
        key: &'static str,
    },
}

impl Reason {
    /// For the trail. Taking turns is the rule and says nothing, so that the usual record stays short.
    pub(crate) fn inputs(self) -> Inputs {
        let of = |algorithm| Inputs::none().fixed("algorithm", algorithm);
        match self {
            Self::InTurn | Self::Sticky => Inputs::none(),
            Self::LeastRequests(in_flight) => of("least_requests").number("in_flight", in_flight.into()),
            Self::PeakEwma(latency, in_flight) => {
                let inputs = of("peak_ewma").number("in_flight", in_flight.into());
                match latency {
                    Some(latency) => inputs.number("latency_us", latency),
                    None => inputs,
                }
            }
            Self::Random => of("random"),
            Self::Left => Inputs::none().fixed("chosen", "among_the_rest"),
            Self::Hash { key, is_moved } => {
                let inputs = of("hash").fixed("key", key);
                if is_moved { inputs.fixed("owner", "unavailable") } else { inputs }
            }
            Self::NoKey { key } => of("hash").fixed("key", key).fixed("chosen", "at_random"),
        }
    }
}

pub(super) type Chosen<'r> = (&'r Arc<Instance>, Reason);

/// `None` when the lineup is empty. One that has `refused` is chosen only where no other is met.
pub(super) fn choose<'r>(
    algorithm: &AlgorithmDocument,
    roster: &'r Roster,
    ask: &Ask<'_>,
    refused: &[&Arc<Instance>],
) -> Option<Chosen<'r>> {
    match algorithm {
        AlgorithmDocument::RoundRobin => in_turn(roster, ask),
        AlgorithmDocument::Random => at_random(roster, ask, Reason::Random),
        AlgorithmDocument::LeastRequests => least_requests(roster, ask, refused),
        AlgorithmDocument::PeakEwma { decay_ms } => {
            peak_ewma(roster, Duration::from_millis(*decay_ms), ask, refused)
        }
        AlgorithmDocument::Hash(key) => by_hash(roster, key, ask, refused),
    }
}

/// The same for the next attempt of a request: one that was tried before is chosen only where there is no other.
pub(super) fn choose_fresh<'r>(
    algorithm: &AlgorithmDocument,
    roster: &'r Roster,
    ask: &Ask<'_>,
) -> Option<Chosen<'r>> {
    let chosen = choose(algorithm, roster, ask, ask.tried)?;
    if !is_among(ask.tried, chosen.0) {
        return Some(chosen);
    }
    let again = (1..=TURNS).find_map(|turn| {
        let ask = Ask { random: mix(ask.random ^ turn), ..*ask };
        choose(algorithm, roster, &ask, ask.tried).filter(|chosen| !is_among(ask.tried, chosen.0))
    });
    let others = (0..roster.lineup.len()).filter_map(|place| roster.member(place));
    let mut others = others.filter(|instance| !is_among(ask.tried, instance));
    again.or_else(|| Some((others.next()?, Reason::Left))).or(Some(chosen))
}

fn in_turn<'r>(roster: &'r Roster, ask: &Ask<'_>) -> Option<Chosen<'r>> {
    let mut chosen = next_in_turn(roster)?;
    if roster.is_ramping() {
        let mut dice = Dice::new(ask.random);
        let mut draws = DRAWS;
        while draws > 0 && dice.share() >= roster.share(chosen, ask.now) {
            chosen = next_in_turn(roster)?;
            draws -= 1;
        }
    }
    Some((chosen, Reason::InTurn))
}

fn next_in_turn(roster: &Roster) -> Option<&Arc<Instance>> {
    let turn = roster.cursor.fetch_add(1, Ordering::Relaxed).checked_rem(roster.schedule.len())?;
    roster.members.instances.get(*roster.schedule.get(turn)? as usize)
}

fn at_random<'r>(roster: &'r Roster, ask: &Ask<'_>, reason: Reason) -> Option<Chosen<'r>> {
    Some((roster.draw(&mut Dice::new(ask.random), ask.now)?.instance, reason))
}

/// One that could be chosen.
struct Candidate<'r> {
    place: usize,
    instance: &'r Arc<Instance>,
    weight: f32,
}

impl Candidate<'_> {
    /// Requests under way for each unit of weight.
    fn load(&self) -> f32 {
        self.instance.in_flight() as f32 / self.weight
    }
}

impl Roster {
    /// One by weight, and by share of it while it starts slowly.
    fn draw(&self, dice: &mut Dice, now: Instant) -> Option<Candidate<'_>> {
        let mut drawn = self.candidate(self.urn.draw(dice)?, now)?;
        let mut draws = if self.is_ramping() { DRAWS } else { 0 };
        while draws > 0 && dice.share() >= self.share(drawn.instance, now) {
            drawn = self.candidate(self.urn.draw(dice)?, now)?;
            draws -= 1;
        }
        Some(drawn)
    }

    /// Who is at a place of the lineup.
    pub(super) fn member(&self, place: usize) -> Option<&Arc<Instance>> {
        self.members.instances.get(*self.lineup.get(place)? as usize)
    }

    /// The same, as one that could be chosen.
    fn candidate(&self, place: usize, now: Instant) -> Option<Candidate<'_>> {
        let member = *self.lineup.get(place)? as usize;
        let instance = self.members.instances.get(member)?;
        let weight = self.members.weights.get(member).map_or(1.0, |weight| *weight as f32);
        Some(Candidate { place, instance, weight: weight * self.share(instance, now) })
    }
}

/// Where several have equally few, the one that was drawn first, by weight: an idle service is used by weight, too.
fn least_requests<'r>(roster: &'r Roster, ask: &Ask<'_>, refused: &[&Arc<Instance>]) -> Option<Chosen<'r>> {
    let mut dice = Dice::new(ask.random);
    let mut best = roster.draw(&mut dice, ask.now)?;
    let load = |one: &Candidate<'_>| if is_among(refused, one.instance) { f32::INFINITY } else { one.load() };
    let mut least = load(&best);
    let length = roster.lineup.len();
    let start = dice.below(length as u64) as usize;
    for step in 0..length.min(LOOKED_AT) {
        let place = if length <= LOOKED_AT { (start + step) % length } else { roster.urn.draw(&mut dice)? };
        let Some(other) = roster.candidate(place, ask.now) else { continue };
        if load(&other) < least {
            least = load(&other);
            best = other;
        }
    }
    Some((best.instance, Reason::LeastRequests(best.instance.in_flight())))
}

/// Two are drawn by weight, and the one that will answer sooner is taken.
fn peak_ewma<'r>(
    roster: &'r Roster,
    decay: Duration,
    ask: &Ask<'_>,
    refused: &[&Arc<Instance>],
) -> Option<Chosen<'r>> {
    let mut dice = Dice::new(ask.random);
    let first = roster.draw(&mut dice, ask.now)?;
    let second = other(roster, &first, (&mut dice, ask.now));
    let cost = |one: &Candidate<'_>| {
        if is_among(refused, one.instance) { f32::INFINITY } else { cost(one, decay, ask.now) }
    };
    let better = second.filter(|second| cost(second) < cost(&first));
    let instance = better.unwrap_or(first).instance;
    let latency = instance.latency(decay, ask.now).map(|latency| latency as u64);
    Some((instance, Reason::PeakEwma(latency, instance.in_flight())))
}

/// Another one than the first, by weight if a few draws find it.
fn other<'r>(
    roster: &'r Roster,
    first: &Candidate<'_>,
    (dice, now): (&mut Dice, Instant),
) -> Option<Candidate<'r>> {
    let length = roster.lineup.len();
    if length < 2 {
        return None;
    }
    let drawn = (0..4).filter_map(|_| roster.draw(dice, now)).find(|drawn| drawn.place != first.place);
    drawn.or_else(|| roster.candidate((first.place + 1) % length, now))
}

/// The latency, as often as requests are under way and one more. An instance that has never answered costs nothing while
/// it is idle, so that it is tried, and more than any other until its first answer is there.
fn cost(candidate: &Candidate<'_>, decay: Duration, now: Instant) -> f32 {
    match candidate.instance.latency(decay, now) {
        Some(latency) => latency * (1.0 + candidate.load()),
        None if candidate.instance.in_flight() == 0 => 0.0,
        None => f32::MAX,
    }
}

fn by_hash<'r>(
    roster: &'r Roster,
    key: &KeyDocument,
    ask: &Ask<'_>,
    refused: &[&Arc<Instance>],
) -> Option<Chosen<'r>> {
    let word = key::text(key);
    let Some(hash) = key::of(key, ask) else {
        return at_random(roster, ask, Reason::NoKey { key: word });
    };
    let table = roster.members.table.as_ref()?;
    for attempt in 0..REHASHES {
        let hash = if attempt == 0 { hash } else { mix(hash ^ attempt) };
        let owner = table.find(hash).filter(|owner| roster.is_in.get(*owner).copied().unwrap_or(false));
        let instance = owner.and_then(|owner| roster.members.instances.get(owner));
        let takes = |instance: &&Arc<Instance>| {
            !is_among(refused, instance) && takes_key(roster, instance, hash, ask.now)
        };
        if let Some(instance) = instance.filter(takes) {
            return Some((instance, Reason::Hash { key: word, is_moved: attempt > 0 }));
        }
    }
    let place = hash.checked_rem(roster.lineup.len() as u64)? as usize;
    Some((roster.candidate(place, ask.now)?.instance, Reason::Hash { key: word, is_moved: true }))
}

/// An instance that starts slowly takes a share of its keys; a key that it has taken it keeps.
fn takes_key(roster: &Roster, instance: &Instance, hash: u64, now: Instant) -> bool {
    if !roster.is_ramping() {
        return true;
    }
    Dice::new(hash ^ maglev::hash(instance.name.as_bytes())).share() < roster.share(instance, now)
}

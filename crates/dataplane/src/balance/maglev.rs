//! Maglev's table: which instance a hash belongs to, such that few hashes move when the list changes.
//!
//! Instances fill the table in turns, each in an order of places that its name alone decides, and as often as its
//! weight says. An instance that leaves gives its places to the others, who otherwise keep nearly all of theirs.

use super::draw::mix;

/// Places in the table of up to 655 instances, and of more. Primes, and a hundred places for each instance at least.
const SIZES: [usize; 2] = [65_537, 1_000_003];
const EMPTY: u16 = u16::MAX;

#[derive(Debug)]
pub(super) struct Table {
    places: Vec<u16>,
}

impl Table {
    /// Of names and weights. The order of the list does not matter. At most 65,534 instances.
    pub(super) fn new(members: &[(String, u32)]) -> Self {
        let [small, large] = SIZES;
        let size = if members.len() * 100 > small { large } else { small };
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_unstable_by_key(|index| members.get(*index).map(|(name, _)| name));
        let total: u64 = members.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mean = total.max(1) as f64 / members.len().max(1) as f64;
        let mut turns: Vec<Turn> =
            order.iter().filter_map(|index| Some(Turn::new(*index, members.get(*index)?, size))).collect();
        Self { places: fill(&mut turns, size, mean) }
    }

    /// The position in the list of the instance that a hash belongs to.
    pub(super) fn find(&self, hash: u64) -> Option<usize> {
        let place = (hash as usize).checked_rem(self.places.len())?;
        self.places.get(place).filter(|member| **member != EMPTY).map(|member| usize::from(*member))
    }
}

/// One instance while the table is filled.
struct Turn {
    member: u16,
    weight: f64,
    /// What it has earned and not yet spent; a place costs 1.
    credit: f64,
    place: usize,
    skip: usize,
}

impl Turn {
    fn new(index: usize, (name, weight): &(String, u32), size: usize) -> Self {
        let hash = hash(name.as_bytes());
        Self {
            member: u16::try_from(index).unwrap_or(EMPTY),
            weight: f64::from(*weight),
            credit: 0.0,
            place: (hash as usize).checked_rem(size).unwrap_or(0),
            skip: 1 + (mix(hash) as usize).checked_rem(size - 1).unwrap_or(0),
        }
    }

    /// The next free place in its own order.
    fn take(&mut self, places: &mut [u16]) {
        let size = places.len();
        for _ in 0..size {
            let place = self.place;
            self.place = (self.place + self.skip) % size.max(1);
            if let Some(free) = places.get_mut(place).filter(|member| **member == EMPTY) {
                *free = self.member;
                return;
            }
        }
    }
}

/// An instance of mean weight takes one place in each round.
fn fill(turns: &mut [Turn], size: usize, mean: f64) -> Vec<u16> {
    let mut places = vec![EMPTY; size];
    let mut left = if turns.is_empty() { 0 } else { size };
    while left > 0 {
        for turn in turns.iter_mut() {
            turn.credit += turn.weight / mean;
            while left > 0 && turn.credit >= 1.0 {
                turn.credit -= 1.0;
                turn.take(&mut places);
                left -= 1;
            }
        }
    }
    places
}

/// A hash that is the same on every node and in every version: a key keeps its instance over restarts.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut state = 0xCBF2_9CE4_8422_2325 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        state = mix(state ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    mix(state)
}

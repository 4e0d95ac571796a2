//! Draws from numbers that are given: the same number draws the same instance.

/// Numbers that follow from one seed (splitmix64). Time and randomness are inputs of a decision, so it never asks for
/// either itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// Evenly within 0 to 1.
    pub(super) fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// Evenly within `0..bound`; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// Every bit of the result depends on every bit given.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Draws by weight at the same cost for any number of weights (Vose's alias method).
#[derive(Clone, Debug, Default)]
pub(super) struct Urn {
    count: u64,
    /// Empty where all weights are equal. Of each place: the share of draws that stay there, out of 2^32, and where
    /// the others go.
    places: Vec<(u64, u32)>,
}

const WHOLE: u64 = 1 << 32;

impl Urn {
    pub(super) fn new(weights: &[u32]) -> Self {
        let count = weights.len() as u64;
        let first = weights.first().copied().unwrap_or(0);
        if weights.iter().all(|weight| *weight == first) {
            return Self { count, places: Vec::new() };
        }
        Self { count, places: places(weights) }
    }

    /// A position in the list of weights; `None` when it is empty.
    pub(super) fn draw(&self, dice: &mut Dice) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let drawn = dice.below(self.count) as usize;
        let Some((stays, other)) = self.places.get(drawn) else { return Some(drawn) };
        Some(if dice.below(WHOLE) < *stays { drawn } else { *other as usize })
    }
}

fn places(weights: &[u32]) -> Vec<(u64, u32)> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let share = |weight: &u32| {
        (u128::from(*weight) * weights.len() as u128 * u128::from(WHOLE) / total.max(1)) as u64
    };
    let mut shares: Vec<u64> = weights.iter().map(share).collect();
    let mut places: Vec<(u64, u32)> = (0..).zip(&shares).map(|(index, _)| (WHOLE, index)).collect();
    let (mut small, mut large): (Vec<u32>, Vec<u32>) = (0..)
        .zip(&shares)
        .map(|(index, share)| (index, *share))
        .fold((Vec::new(), Vec::new()), |(mut small, mut large), (index, share)| {
            if share < WHOLE {
                small.push(index)
            } else {
                large.push(index)
            }
            (small, large)
        });
    while let (Some(poor), Some(rich)) = (small.pop(), large.pop()) {
        let given = shares.get(poor as usize).copied().unwrap_or(WHOLE);
        if let Some(place) = places.get_mut(poor as usize) {
            *place = (given, rich);
        }
        let Some(left) = shares.get_mut(rich as usize) else { continue };
        *left = (*left + given).saturating_sub(WHOLE);
        if *left < WHOLE { small.push(rich) } else { large.push(rich) }
    }
    places
}

//! Exponential buckets of whole numbers, found without a branch and without floating point.
//!
//! Every octave (from a power of two to the next) has the same number of them, and each ends at an origin times a power of
//! that root of two.

/// `PARTS` buckets for each octave, a power of two; `SLICES` are twice as many.
#[derive(Debug)]
pub(super) struct Octaves<const PARTS: usize, const SLICES: usize> {
    /// Ends of buckets in one octave, rising, as the 64 leading bits of a number. The rest only fills the table.
    edges: [u64; SLICES],
    /// How many of them lie below each slice of an octave; there is at most one in each.
    below: [u8; SLICES],
}

#[expect(clippy::indexing_slicing, reason = "every index is below `SLICES`, the length of both tables")]
impl<const PARTS: usize, const SLICES: usize> Octaves<PARTS, SLICES> {
    /// A slice has a number of so many bits.
    const BITS: u32 = SLICES.trailing_zeros();

    /// `origin` is where one bucket ends exactly.
    pub(super) const fn new(origin: u64) -> Self {
        assert!(SLICES == 2 * PARTS && SLICES.is_power_of_two());
        let mut edges = [u64::MAX; SLICES];
        let mut part = 0;
        while part < PARTS {
            // Into its place among those that are there.
            let (mut edge, mut place) = (edge::<PARTS>(origin, part), 0);
            while place <= part {
                if edges[place] > edge {
                    (edges[place], edge) = (edge, edges[place]);
                }
                place += 1;
            }
            part += 1;
        }
        Self { below: Self::below(&edges), edges }
    }

    const fn below(edges: &[u64; SLICES]) -> [u8; SLICES] {
        let mut below = [0; SLICES];
        let mut slice = 0;
        while slice < SLICES {
            let start = ((SLICES + slice) as u64) << (63 - Self::BITS);
            while (below[slice] as usize) < PARTS && edges[below[slice] as usize] < start {
                below[slice] += 1;
            }
            slice += 1;
        }
        below
    }

    /// The number of the bucket of a value above zero; the one that ends at one or above is 0.
    #[inline(always)]
    pub(super) const fn bucket(&self, value: u64) -> usize {
        let octave = 63 - (value | 1).leading_zeros() as usize;
        let leading = value << (63 - octave);
        let below = self.below[(leading >> (63 - Self::BITS)) as usize & (SLICES - 1)] as usize;
        PARTS * octave + below + (leading > self.edges[below & (SLICES - 1)]) as usize
    }
}

/// The leading bits of `origin * 2^(part / PARTS)`, to within a few of the last ones.
const fn edge<const PARTS: usize>(origin: u64, part: usize) -> u64 {
    const ONE: u128 = 1 << 63;
    let (mut root, mut power) = (2 * ONE, ONE);
    let mut bit = PARTS / 2;
    while bit > 0 {
        root = (root * ONE).isqrt();
        if part & bit > 0 {
            power = power * root / ONE;
        }
        bit /= 2;
    }
    let edge = (origin << origin.leading_zeros()) as u128 * power / ONE;
    (if edge >= 2 * ONE { edge / 2 } else { edge }) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Little end first.
    type Long = Vec<u32>;

    fn power(value: u64, exponent: usize) -> Long {
        let mut product = vec![1];
        for _ in 0..exponent {
            let low = times(&product, value as u32);
            let mut high = times(&product, (value >> 32) as u32);
            high.insert(0, 0);
            product = sum(&low, &high);
        }
        product
    }

    fn times(long: &Long, factor: u32) -> Long {
        let mut carry = 0;
        let mut digits: Long = Vec::new();
        for digit in long {
            carry += u64::from(*digit) * u64::from(factor);
            digits.push(carry as u32);
            carry >>= 32;
        }
        digits.push(carry as u32);
        digits
    }

    fn sum(one: &Long, other: &Long) -> Long {
        let mut carry = 0;
        let mut digits: Long = Vec::new();
        for place in 0..one.len().max(other.len()) {
            let digit = |long: &Long| u64::from(long.get(place).copied().unwrap_or(0));
            carry += digit(one) + digit(other);
            digits.push(carry as u32);
            carry >>= 32;
        }
        digits.push(carry as u32);
        digits
    }

    fn doubled(long: &Long, times: usize) -> Long {
        let mut digits = vec![0; times / 32];
        digits.extend(self::times(long, 1 << (times % 32)));
        digits
    }

    fn trimmed(mut long: Long) -> Long {
        while long.last() == Some(&0) {
            long.pop();
        }
        long
    }

    /// Is `value <= origin * 2^(step / parts)`? In whole numbers: `value^parts <= origin^parts * 2^step`.
    fn is_within(value: u64, origin: u64, step: i64, parts: usize) -> bool {
        let shift = step.unsigned_abs() as usize;
        let (mut one, mut other) = (power(value, parts), power(origin, parts));
        if step < 0 {
            one = doubled(&one, shift);
        } else {
            other = doubled(&other, shift);
        }
        let (one, other) = (trimmed(one), trimmed(other));
        one.len().cmp(&other.len()).then_with(|| one.iter().rev().cmp(other.iter().rev())).is_le()
    }

    fn agrees<const PARTS: usize, const SLICES: usize>(origin: u64) {
        let octaves = Octaves::<PARTS, SLICES>::new(origin);
        let at_origin = octaves.bucket(origin) as i64;
        for step in -at_origin..PARTS as i64 * 46 - at_origin {
            let near = (origin as f64 * (step as f64 / PARTS as f64).exp2()) as u64;
            for value in near.saturating_sub(1).max(1)..=near + 2 {
                let found = octaves.bucket(value) as i64 - at_origin;
                let fits = |step| is_within(value, origin, step, PARTS);
                assert!(fits(found) && !fits(found - 1), "{value} is not in bucket {found}");
            }
        }
    }

    #[test]
    fn buckets_are_those_of_the_definition_at_every_edge_of_every_octave() {
        agrees::<8, 16>(1_000_000);
        agrees::<16, 32>(1_000);
    }

    #[test]
    fn buckets_rise_with_the_value_up_to_the_largest() {
        let octaves = Octaves::<16, 32>::new(1_000);
        let value = |octave: u32, step: u128| ((64 + step) << octave >> 6) as u64;
        let values = (0..64).flat_map(|octave| (0..64).map(move |step| value(octave, step)));
        let buckets: Vec<usize> = values.map(|value| octaves.bucket(value)).collect();
        assert!(buckets.is_sorted());
        assert_eq!((octaves.bucket(1), octaves.bucket(u64::MAX)), (0, 16 * 64));
    }
}

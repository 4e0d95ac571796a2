//! Sorted ranges of numbers that do not overlap: two numbers each, found by binary search.

/// What an address is as a number: `u32` of IPv4, `u128` of IPv6.
pub(super) trait Number: Copy + Ord {
    /// `None` behind the last.
    fn after(self) -> Option<Self>;
    /// `None` before the first.
    fn before(self) -> Option<Self>;
    /// Which of `SLOTS` it is in, where numbers are spread over them well enough for an index.
    fn slot(self) -> Option<usize>;
}

/// One for each first half of an address of IPv4.
const SLOTS: usize = 1 << 16;

impl Number for u32 {
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }

    fn slot(self) -> Option<usize> {
        Some((self >> 16) as usize)
    }
}

impl Number for u128 {
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }

    fn slot(self) -> Option<usize> {
        None
    }
}

/// First and last number of each range, both part of it. 8 bytes a range of IPv4, 32 of IPv6, and 256 KiB where there are
/// so many of IPv4 that most of them lie far apart in memory.
#[derive(Debug)]
pub(super) struct Ranges<N> {
    pairs: Box<[(N, N)]>,
    /// How many ranges begin before each slot; empty for few ranges.
    index: Box<[u32]>,
}

impl<N: Number> Ranges<N> {
    /// Sorts, and joins what overlaps or touches, in the memory that it is given.
    pub(super) fn join(mut pairs: Vec<(N, N)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup_by(|(first, last), (_, end)| {
            let touches = end.after().is_none_or(|after| *first <= after);
            if touches {
                *end = (*end).max(*last);
            }
            touches
        });
        Self::sorted(pairs)
    }

    /// Of ranges that are in order and do not overlap.
    pub(super) fn sorted(pairs: Vec<(N, N)>) -> Self {
        let pairs = pairs.into_boxed_slice();
        Self { index: index(&pairs), pairs }
    }

    /// The place of the range that has this number.
    pub(super) fn find(&self, number: N) -> Option<usize> {
        let (from, to) = self.between(number);
        let begun = self.pairs.get(from..to)?.partition_point(|(first, _)| *first <= number);
        let place = (from + begun).checked_sub(1)?;
        self.pairs.get(place).filter(|(_, last)| number <= *last).map(|_| place)
    }

    /// Where those ranges are that begin in the number's slot; the one before them may reach into it.
    fn between(&self, number: N) -> (usize, usize) {
        let bound = |slot: usize| self.index.get(slot).map(|count| *count as usize);
        let bounds = number.slot().and_then(|slot| Some((bound(slot)?, bound(slot + 1)?)));
        bounds.unwrap_or((0, self.pairs.len()))
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.pairs) + size_of_val(&*self.index)
    }
}

fn index<N: Number>(pairs: &[(N, N)]) -> Box<[u32]> {
    if pairs.len() <= SLOTS {
        return Box::default();
    }
    let mut index = Vec::with_capacity(SLOTS + 1);
    for (count, (first, _)) in pairs.iter().enumerate() {
        let Some(slot) = first.slot() else { return Box::default() };
        while index.len() <= slot {
            index.push(count as u32);
        }
    }
    index.resize(SLOTS + 1, pairs.len() as u32);
    index.into_boxed_slice()
}

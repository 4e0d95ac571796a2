//! The latencies of a cell: exponential histograms with the buckets of `src/gatewright/insight/histogram.py`, in little
//! memory, since most requests of a cell take about as long.

use crate::record::octaves::Octaves;

/// Sixteen buckets for each doubling (OpenTelemetry's scale 4), one of which ends at a millisecond.
const OCTAVES: &Octaves<16, 32> = &Octaves::new(1_000);
/// The bucket of one microsecond. Bucket `i` ends at `2^((i + 1) / 16)` milliseconds.
pub(super) const LOWEST: i32 = -1 - OCTAVES.bucket(1_000) as i32;
/// What takes longer than 50 days counts there.
pub(super) const HIGHEST: i32 = 511;
const BUCKETS: usize = (HIGHEST - LOWEST + 1) as usize;
/// Buckets that get their memory together, when something first falls into one of them.
const GROUP: usize = 16;
const GROUPS: usize = BUCKETS.div_ceil(GROUP);

/// What is told of one kind of latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    Total,
    Overhead,
    Upstream,
}

impl Latency {
    const ALL: [Self; 3] = [Self::Total, Self::Overhead, Self::Upstream];
}

#[derive(Debug, Default)]
pub(super) struct Durations {
    kinds: [Kind; Latency::ALL.len()],
    /// Of all kinds. In a cell are the requests of one minute, so that 32 bits are enough.
    groups: Vec<[u32; GROUP]>,
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    /// For each group its place in the list, from one; 0 where there is none yet.
    places: [u8; GROUPS],
    zeros: u32,
    microseconds: u64,
}

impl Default for Kind {
    fn default() -> Self {
        Self { places: [0; GROUPS], zeros: 0, microseconds: 0 }
    }
}

/// One histogram as Python takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    pub zeros: u64,
    /// The sum of all.
    pub microseconds: u64,
    /// Numbers of buckets that counted something, rising, and how much.
    pub buckets: Vec<(i32, u64)>,
}

impl Durations {
    #[inline]
    pub(super) fn observe(&mut self, latency: Latency, microseconds: u64) {
        let Some(kind) = self.kinds.get_mut(latency as usize) else { return };
        if microseconds == 0 {
            kind.zeros += 1;
            return;
        }
        kind.microseconds += microseconds;
        let bucket = OCTAVES.bucket(microseconds).min(BUCKETS - 1);
        let Some(place) = kind.places.get_mut(bucket / GROUP) else { return };
        if let Some(group) = usize::from(*place).checked_sub(1).and_then(|place| self.groups.get_mut(place))
            && let Some(count) = group.get_mut(bucket % GROUP)
        {
            *count += 1;
        } else {
            *place = begin(&mut self.groups, bucket);
        }
    }

    /// Adds what another cell has.
    pub(super) fn merge(&mut self, other: &Self) {
        for (kind, more) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.zeros += more.zeros;
            kind.microseconds += more.microseconds;
            for (place, theirs) in kind.places.iter_mut().zip(&more.places) {
                let Some(theirs) = group_at(&other.groups, *theirs) else { continue };
                if let Some(mine) =
                    usize::from(*place).checked_sub(1).and_then(|place| self.groups.get_mut(place))
                {
                    mine.iter_mut().zip(theirs).for_each(|(count, more)| *count += more);
                } else {
                    self.groups.push(*theirs);
                    *place = self.groups.len() as u8;
                }
            }
        }
    }

    pub(super) fn distribution(&self, latency: Latency) -> Distribution {
        let Some(kind) = self.kinds.get(latency as usize) else { return Distribution::default() };
        let groups = kind.places.iter().enumerate().filter_map(|(group, place)| {
            let first = LOWEST + (group * GROUP) as i32;
            group_at(&self.groups, *place).map(|counts| (first, counts))
        });
        let buckets = groups.flat_map(|(first, counts)| (first..).zip(counts));
        let buckets =
            buckets.filter(|(_, count)| **count > 0).map(|(bucket, count)| (bucket, u64::from(*count)));
        Distribution {
            zeros: u64::from(kind.zeros),
            microseconds: kind.microseconds,
            buckets: buckets.collect(),
        }
    }
}

fn group_at(groups: &[[u32; GROUP]], place: u8) -> Option<&[u32; GROUP]> {
    groups.get(usize::from(place).checked_sub(1)?)
}

/// A group in which this bucket has counted once; gives its place. There are at most 126.
#[cold]
fn begin(groups: &mut Vec<[u32; GROUP]>, bucket: usize) -> u8 {
    let mut counts = [0; GROUP];
    if let Some(count) = counts.get_mut(bucket % GROUP) {
        *count = 1;
    }
    groups.push(counts);
    groups.len() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Durations {
        let mut durations = Durations::default();
        values.iter().for_each(|value| durations.observe(Latency::Total, *value));
        durations
    }

    fn bucket_of(value: u64) -> i32 {
        let told = of(&[value]).distribution(Latency::Total);
        assert_eq!((told.zeros, told.microseconds, told.buckets.len()), (0, value, 1));
        told.buckets.first().expect("it is in a bucket").0
    }

    #[test]
    fn buckets_have_the_numbers_that_python_gives_them() {
        assert_eq!((LOWEST, HIGHEST, GROUPS * Latency::ALL.len()), (-160, 511, 126));
        let doublings =
            [(1, -160), (125, -49), (1_000, -1), (1_001, 0), (2_000, 15), (2_001, 16), (1_024_000, 159)];
        for (microseconds, bucket) in doublings {
            assert_eq!(bucket_of(microseconds), bucket, "{microseconds}");
        }
        // 2^32 milliseconds end the last one.
        assert_eq!(
            [bucket_of(4_294_967_296_000), bucket_of(4_294_967_296_001), bucket_of(u64::MAX)],
            [511; 3]
        );
        assert_eq!(bucket_of(4_100_000_000_000), 510);
    }

    #[test]
    fn zeros_are_counted_apart_and_in_no_bucket() {
        let told = of(&[0, 0, 7]).distribution(Latency::Total);
        assert_eq!(told, Distribution { zeros: 2, microseconds: 7, buckets: vec![(bucket_of(7), 1)] });
    }

    #[test]
    fn each_kind_of_latency_is_told_by_itself() {
        let mut durations = of(&[1_000, 1_000]);
        durations.observe(Latency::Overhead, 1_000);
        durations.observe(Latency::Upstream, 2_000);
        let told = Latency::ALL.map(|latency| durations.distribution(latency).buckets);
        assert_eq!(told, [vec![(-1, 2)], vec![(-1, 1)], vec![(15, 1)]]);
    }

    #[test]
    fn what_is_merged_is_what_one_would_have_counted() {
        let some: Vec<u64> = (0..4_000_u64).map(|step| step * step * step / 7).collect();
        let others: Vec<u64> = (0..600).map(|step| step * 9_000_000_011).collect();
        let mut merged = of(&some);
        merged.merge(&of(&others));
        let all: Vec<u64> = some.into_iter().chain(others).collect();
        assert_eq!(merged.distribution(Latency::Total), of(&all).distribution(Latency::Total));
    }
}

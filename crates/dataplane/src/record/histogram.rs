//! Durations in buckets, without a branch to find one.

use super::cells::Cell;

/// A longer duration counts as this long when its bucket is looked for; it is far beyond the last bound.
const LONGEST: u64 = i32::MAX as u64;

/// The bounds of a histogram: upper ends in microseconds, rising, and the same as Prometheus writes them.
pub(super) trait Bounds {
    const MICROSECONDS: &'static [i32];
    const LABELS: &'static [&'static str];
}

/// The gateway's own share: microseconds to a second.
#[derive(Debug, Default)]
pub(super) struct Overhead;

impl Bounds for Overhead {
    const MICROSECONDS: &'static [i32] =
        &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];
    const LABELS: &'static [&'static str] = &[
        "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1",
        "0.25", "1",
    ];
}

/// Whole requests and services: a millisecond to a minute.
#[derive(Debug, Default)]
pub(super) struct Whole;

impl Bounds for Whole {
    const MICROSECONDS: &'static [i32] = &[
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000, 30_000_000, 60_000_000,
    ];
    const LABELS: &'static [&'static str] = &[
        "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10",
        "30", "60",
    ];
}

/// Room for the longer list of bounds and for what lies beyond the last one.
const BUCKETS: usize = 16;

/// Buckets are not cumulative here; printing adds them up.
#[derive(Debug, Default)]
pub(super) struct Histogram<B> {
    buckets: [Cell; BUCKETS],
    microseconds: Cell,
    bounds: std::marker::PhantomData<B>,
}

impl<B: Bounds> Histogram<B> {
    pub(super) fn observe(&self, microseconds: u64) {
        let value = microseconds.min(LONGEST) as i32;
        // Counting the smaller bounds instead of searching has no branch, and becomes four vector compares.
        let index: i32 = B::MICROSECONDS.iter().map(|&bound| i32::from(value > bound)).sum();
        if let Some(bucket) = self.buckets.get(index as usize) {
            bucket.add(1);
        }
        self.microseconds.add(microseconds);
    }
}

/// The sum of one histogram over all workers.
#[derive(Debug, Default)]
pub(super) struct HistogramTotals {
    buckets: [u64; BUCKETS],
    pub(super) microseconds: u64,
}

impl HistogramTotals {
    pub(super) fn add<B>(&mut self, histogram: &Histogram<B>) {
        for (total, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *total += bucket.get();
        }
        self.microseconds = self.microseconds.wrapping_add(histogram.microseconds.get());
    }

    /// Upper bound and number of observations up to it; the last is `+Inf`, which has them all.
    pub(super) fn cumulative<B: Bounds>(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut count = 0;
        B::LABELS.iter().copied().chain(["+Inf"]).zip(&self.buckets).map(move |(bound, bucket)| {
            count += bucket;
            (bound, count)
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound_of<B: Bounds + Default>(microseconds: u64) -> &'static str {
        let histogram = Histogram::<B>::default();
        histogram.observe(microseconds);
        let mut totals = HistogramTotals::default();
        totals.add(&histogram);
        assert_eq!(totals.count(), 1);
        totals.cumulative::<B>().find(|(_, count)| *count == 1).expect("it is in a bucket").0
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_one_more_to_the_next() {
        assert_eq!(bound_of::<Overhead>(0), "0.00005");
        assert_eq!(bound_of::<Overhead>(50), "0.00005");
        assert_eq!(bound_of::<Overhead>(51), "0.0001");
        assert_eq!(bound_of::<Overhead>(1_000_000), "1");
        assert_eq!(bound_of::<Overhead>(1_000_001), "+Inf");
        assert_eq!(bound_of::<Whole>(60_000_000), "60");
        assert_eq!(bound_of::<Whole>(u64::MAX), "+Inf");
    }

    #[test]
    fn labels_are_the_bounds_in_seconds() {
        fn agree<B: Bounds>() {
            assert_eq!(B::MICROSECONDS.len(), B::LABELS.len());
            assert!(B::MICROSECONDS.len() < BUCKETS);
            for (bound, label) in B::MICROSECONDS.iter().zip(B::LABELS) {
                let seconds: f64 = label.parse().expect("a number");
                assert_eq!((seconds * 1e6).round() as i32, *bound);
            }
            assert!(B::MICROSECONDS.is_sorted());
        }
        agree::<Overhead>();
        agree::<Whole>();
    }
}

//! A histogram as it is printed.

use std::borrow::Cow;

use super::exemplars::Kept;
use super::histogram::{Bounds, HistogramTotals, SECOND};

/// Room for the longer list of bounds and for what lies beyond the last one.
pub(super) const BUCKETS: usize = 16;

/// `schema` of Prometheus and `scale` of OpenTelemetry: bucket `n` ends at 2^(n/8) seconds.
pub(super) const SCHEMA: i32 = 3;

/// The upper end of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// As Prometheus' own text format writes it.
    pub(super) text: &'static str,
    /// `None` beyond the last.
    microseconds: Option<u64>,
}

impl Bound {
    pub(super) fn seconds(&self) -> f64 {
        self.microseconds.map_or(f64::INFINITY, |microseconds| microseconds as f64 / 1e6)
    }

    /// As OpenMetrics writes it, and Prometheus itself what it reads from protocol buffers: always a point or an exponent.
    pub(super) fn canonical(&self) -> Cow<'static, str> {
        match self.text {
            "+Inf" => Cow::Borrowed(self.text),
            "0.00005" => Cow::Borrowed("5e-05"),
            text if text.contains('.') => Cow::Borrowed(text),
            text => Cow::Owned(format!("{text}.0")),
        }
    }
}

#[derive(Debug)]
pub(super) struct Distribution {
    bounds: Vec<Bound>,
    counts: [u64; BUCKETS],
    /// Number and count of exponential buckets that have something, by number.
    pub(super) native: Vec<(i32, u64)>,
    pub(super) microseconds: u64,
    pub(super) exemplars: Kept,
}

impl Distribution {
    pub(super) fn of<B: Bounds>(totals: &HistogramTotals) -> Self {
        let finite = B::LABELS.iter().zip(B::MICROSECONDS);
        let finite = finite.map(|(text, bound)| Bound { text, microseconds: Some(*bound) });
        let bounds = finite.chain([Bound { text: "+Inf", microseconds: None }]).collect();
        let (mut counts, mut native) = ([0; BUCKETS], Vec::<(i32, u64)>::new());
        for (bucket, class, count) in totals.counted::<B>() {
            if let Some(known) = counts.get_mut(class) {
                *known += count;
            }
            let bucket = bucket as i32 - SECOND;
            match native.last_mut() {
                Some((last, known)) if *last == bucket => *known += count,
                _ => native.push((bucket, count)),
            }
        }
        let (microseconds, exemplars) = (totals.microseconds, totals.exemplars);
        Self { bounds, counts, native, microseconds, exemplars }
    }

    /// Upper bound and number of observations up to it; the last is `+Inf`, which has them all.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (&Bound, u64)> {
        let mut count = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, bucket)| {
            count += bucket;
            (bound, count)
        })
    }

    /// The count of each bucket by itself.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().copied().take(self.bounds.len())
    }

    /// The bounds without `+Inf`.
    pub(super) fn finite(&self) -> impl Iterator<Item = &Bound> {
        self.bounds.iter().filter(|bound| bound.microseconds.is_some())
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn seconds(&self) -> f64 {
        self.microseconds as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::{Histogram, Overhead, Whole};
    use super::*;

    fn of<B: Bounds>(microseconds: &[u64]) -> Distribution {
        let histogram = Histogram::<B>::default();
        microseconds.iter().for_each(|value| _ = histogram.observe(*value));
        let mut totals = HistogramTotals::default();
        totals.add(&histogram);
        Distribution::of::<B>(&totals)
    }

    fn bound_of<B: Bounds>(microseconds: u64) -> &'static str {
        let distribution = of::<B>(&[microseconds]);
        assert_eq!(distribution.count(), 1);
        distribution.cumulative().find(|(_, count)| *count == 1).expect("it is in a bucket").0.text
    }

    /// The number of the exponential bucket as its definition has it, in exact arithmetic: the least `n` with
    /// `v <= 10^6 * 2^(n/8)`, that is `v^8 <= 10^48 * 2^n`.
    fn defined(microseconds: u64) -> i32 {
        let seconds = microseconds as f64 / 1e6;
        (seconds.log2() * 8.0 - 1e-12).ceil() as i32
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_one_more_to_the_next() {
        assert_eq!(bound_of::<Overhead>(0), "0.00005");
        assert_eq!(bound_of::<Whole>(u64::MAX), "+Inf");
        fn exact<B: Bounds>() {
            let next = B::LABELS.iter().skip(1).chain(&["+Inf"]);
            for ((bound, label), next) in B::MICROSECONDS.iter().zip(B::LABELS).zip(next) {
                assert_eq!((bound_of::<B>(*bound), bound_of::<B>(bound + 1)), (*label, *next));
            }
        }
        exact::<Overhead>();
        exact::<Whole>();
    }

    #[test]
    fn exponential_buckets_are_those_of_the_definition() {
        let around = |value: u64| [value.saturating_sub(1), value, value + 1];
        let edges = (-120..96).map(|bucket| (f64::from(bucket) / 8.0).exp2() * 1e6);
        let values = edges.flat_map(|edge| around(edge as u64)).chain(1..5_000).filter(|value| *value > 0);
        for value in values {
            assert_eq!(of::<Whole>(&[value]).native, [(defined(value), 1)], "{value}");
        }
        assert_eq!(of::<Whole>(&[1_000_000, 500_000, 15_625]).native, [(-48, 1), (-8, 1), (0, 1)]);
    }

    #[test]
    fn both_kinds_of_buckets_count_the_same_whatever_comes() {
        let mut value = 1_u64;
        let values: Vec<u64> = (0..20_000)
            .map(|_| {
                value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                value >> (value % 44 + 20)
            })
            .collect();
        fn agree<B: Bounds>(values: &[u64]) {
            let distribution = of::<B>(values);
            assert_eq!(distribution.native.iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
            for (bound, count) in distribution.cumulative() {
                let below = |value: &&u64| bound.microseconds.is_none_or(|bound| **value <= bound);
                assert_eq!(count, values.iter().filter(below).count() as u64, "{}", bound.text);
            }
            assert!(distribution.native.is_sorted());
        }
        agree::<Overhead>(&values);
        agree::<Whole>(&values);
    }

    #[test]
    fn labels_are_the_bounds_in_seconds() {
        fn agree<B: Bounds>() {
            assert_eq!(B::MICROSECONDS.len(), B::LABELS.len());
            assert!(B::MICROSECONDS.len() < BUCKETS);
            for bound in of::<B>(&[]).finite() {
                let read = |text: &str| text.parse::<f64>().expect("a number");
                assert_eq!((read(bound.text), read(&bound.canonical())), (bound.seconds(), bound.seconds()));
            }
            assert!(B::MICROSECONDS.is_sorted());
            assert!(B::CLASSES.windows(2).all(|pair| pair[1] - pair[0] <= 1), "two bounds in one bucket");
        }
        agree::<Overhead>();
        agree::<Whole>();
    }
}

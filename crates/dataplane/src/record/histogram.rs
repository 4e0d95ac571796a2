//! Durations in cells that are buckets of two kinds at once: with fixed bounds, and of a native (exponential) histogram.
//!
//! An exponential bucket ends at a power of the eighth root of two (schema 3: 9 % wide), in seconds. Where a fixed bound
//! falls inside one, that one has two cells. So one count serves both, and both are exact.

use std::sync::OnceLock;

use super::cells::Cell;
use super::distribution::BUCKETS;
use super::octaves::Octaves;

/// The number of the exponential bucket that ends at one second.
pub(super) const SECOND: i32 = 159;
/// A longer duration (19 hours) counts as this long, and one below a microsecond as a microsecond.
const LONGEST: u64 = (1 << 36) - 1;
/// Exponential buckets up to there.
pub(super) const NATIVE: usize = 289;
/// Cells of a group; a group is made when something first falls into it, since a route's durations are much alike.
const GROUP: usize = 16;
const GROUPS: usize = (NATIVE + BUCKETS).div_ceil(GROUP);

/// The exponential buckets, in microseconds.
const OCTAVES: &Octaves<8, 16> = &Octaves::new(1_000_000);

/// The exponential bucket of a duration of at least a microsecond.
const fn native(microseconds: u64) -> usize {
    OCTAVES.bucket(microseconds)
}

/// For each exponential bucket, how many fixed bounds lie in those before it.
#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where an index out of range is a compile error"
)]
const fn classes(bounds: &[u64]) -> [u8; NATIVE + 1] {
    let mut classes = [0; NATIVE + 1];
    let mut bound = 0;
    while bound < bounds.len() {
        let mut bucket = native(bounds[bound]) + 1;
        while bucket < classes.len() {
            classes[bucket] += 1;
            bucket += 1;
        }
        bound += 1;
    }
    classes
}

/// For each cell, its exponential bucket and its bucket with fixed bounds: the sum of both is its place.
#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where an index out of range is a compile error"
)]
const fn places(classes: &[u8; NATIVE + 1]) -> [(u16, u8); GROUP * GROUPS] {
    let mut places = [(0, 0); GROUP * GROUPS];
    let mut bucket = 0;
    while bucket < NATIVE {
        let mut class = classes[bucket];
        while class <= classes[bucket + 1] {
            places[bucket + class as usize] = (bucket as u16, class);
            class += 1;
        }
        bucket += 1;
    }
    places
}

/// The fixed bounds of a histogram: upper ends in microseconds, rising, and the same as Prometheus writes them. No two
/// may lie in one exponential bucket.
pub(super) trait Bounds {
    const MICROSECONDS: &'static [u64];
    const LABELS: &'static [&'static str];
    const CLASSES: &'static [u8; NATIVE + 1] = &classes(Self::MICROSECONDS);
    const PLACES: &'static [(u16, u8); GROUP * GROUPS] = &places(Self::CLASSES);
}

/// The gateway's own share: microseconds to a second.
#[derive(Debug, Default)]
pub(super) struct Overhead;

impl Bounds for Overhead {
    const MICROSECONDS: &'static [u64] =
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
    const MICROSECONDS: &'static [u64] = &[
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000, 30_000_000, 60_000_000,
    ];
    const LABELS: &'static [&'static str] = &[
        "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10",
        "30", "60",
    ];
}

type Group = [Cell; GROUP];

#[derive(Debug)]
pub(super) struct Histogram<B> {
    groups: [OnceLock<Box<Group>>; GROUPS],
    microseconds: Cell,
    bounds: std::marker::PhantomData<B>,
}

impl<B> Default for Histogram<B> {
    fn default() -> Self {
        Self {
            groups: std::array::from_fn(|_| OnceLock::new()),
            microseconds: Cell::default(),
            bounds: std::marker::PhantomData,
        }
    }
}

impl<B: Bounds> Histogram<B> {
    /// Counts a duration, and gives the bucket with fixed bounds that it fell into.
    pub(super) fn observe(&self, microseconds: u64) -> usize {
        let value = microseconds.clamp(1, LONGEST);
        let bucket = native(value);
        let class = usize::from(B::CLASSES.get(bucket).copied().unwrap_or(0));
        let class = class + usize::from(B::MICROSECONDS.get(class).is_some_and(|bound| value > *bound));
        let place = bucket + class;
        if let Some(group) = self.groups.get(place / GROUP)
            && let Some(cell) = group.get_or_init(Box::default).get(place % GROUP)
        {
            cell.add(1);
        }
        self.microseconds.add(microseconds);
        class
    }
}

/// The sum of one histogram over all workers.
#[derive(Debug)]
pub(super) struct HistogramTotals {
    cells: [[u64; GROUP]; GROUPS],
    pub(super) microseconds: u64,
    pub(super) exemplars: super::exemplars::Kept,
}

impl Default for HistogramTotals {
    fn default() -> Self {
        Self { cells: [[0; GROUP]; GROUPS], microseconds: 0, exemplars: Default::default() }
    }
}

impl HistogramTotals {
    pub(super) fn add<B>(&mut self, histogram: &Histogram<B>) {
        for (totals, group) in self.cells.iter_mut().zip(&histogram.groups) {
            let Some(group) = group.get() else { continue };
            for (total, cell) in totals.iter_mut().zip(group.iter()) {
                *total += cell.get();
            }
        }
        self.microseconds = self.microseconds.wrapping_add(histogram.microseconds.get());
    }

    /// Every cell that counted something, in order: its exponential bucket, its bucket with fixed bounds, its count.
    pub(super) fn counted<B: Bounds>(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        let cells = self.cells.as_flattened().iter().zip(B::PLACES).filter(|(count, _)| **count > 0);
        cells.map(|(count, (bucket, class))| (usize::from(*bucket), usize::from(*class), *count))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.as_flattened().iter().all(|count| *count == 0)
    }
}

//! Counters that one worker writes and a scrape reads, without a lock and without a locked instruction.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number with a single writer: a load and a store, which cost no more than a plain variable.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub fn subtract(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(amount), Relaxed);
    }

    /// For gauges that are told rather than counted.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Keeps the cells of two workers out of one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot<T>(T);

/// One `T` for each worker, made when that worker first counts something, so that an idle route costs no memory.
///
/// Each slot must be written by its own worker only. A worker number out of range shares the first slot, where
/// counts may then be lost.
#[derive(Debug)]
pub struct PerWorker<T> {
    first: OnceLock<Box<Slot<T>>>,
    others: Box<[OnceLock<Box<Slot<T>>>]>,
}

impl<T: Default> PerWorker<T> {
    /// `workers` counts from 1; 0 is taken for 1.
    pub fn new(workers: usize) -> Self {
        Self { first: OnceLock::new(), others: (1..workers).map(|_| OnceLock::new()).collect() }
    }

    pub fn slot(&self, worker: usize) -> &T {
        let slot = worker.checked_sub(1).and_then(|index| self.others.get(index)).unwrap_or(&self.first);
        &slot.get_or_init(Box::default).0
    }

    /// The slots of workers that have counted something.
    pub fn used(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.others).filter_map(|slot| slot.get().map(|slot| &slot.0))
    }

    /// The sum of one cell over all workers. Gauges may be negative in one worker and are right in the sum.
    pub fn sum(&self, cell: impl Fn(&T) -> &Cell) -> u64 {
        self.used().fold(0, |sum, slot| sum.wrapping_add(cell(slot).get()))
    }

    /// The sums of several cells, each under its label.
    pub fn labelled<const LENGTH: usize>(
        &self,
        labels: &'static [&'static str; LENGTH],
        cells: impl Fn(&T) -> &[Cell; LENGTH],
    ) -> impl Iterator<Item = (&'static str, u64)> {
        labels.iter().enumerate().map(move |(index, label)| {
            let each = self.used().filter_map(|slot| cells(slot).get(index));
            (*label, each.map(Cell::get).sum())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_cache_line_of_its_own() {
        let cells = PerWorker::<Cell>::new(3);
        let places: Vec<usize> =
            (0..3).map(|worker| std::ptr::from_ref(cells.slot(worker)).addr() / 64).collect();
        assert!(places[0] != places[1] && places[1] != places[2] && places[0] != places[2]);
    }

    #[test]
    fn a_sum_covers_every_worker_and_wraps_over_negative_parts() {
        let cells = PerWorker::<Cell>::new(2);
        cells.slot(0).add(5);
        cells.slot(1).subtract(3);
        cells.slot(9).add(1);
        assert_eq!(cells.sum(|cell| cell), 3);
    }

    #[test]
    fn an_unused_slot_is_not_made() {
        let cells = PerWorker::<Cell>::new(4);
        cells.slot(2);
        assert_eq!(cells.used().count(), 1);
    }
}

//! Requests counted for roll-ups and alerts: by minute, route, service, instance, status and tenant.
//!
//! Each worker counts in cells of its own; whoever wants them takes all of them away, so that a worker never waits longer
//! than it takes to swap two pointers. All requests count, also those without a record.

mod cells;
mod durations;
mod kind;
mod programs;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cells::PerWorker;
use super::metrics::Sample;
use super::named::OTHER;
pub use cells::Cell as CensusCell;
use cells::Cells;
pub use durations::{Distribution, Latency};
pub use kind::Kind;
use programs::Programs;

/// Kinds of requests that came lately and are found without a look at their names.
const RECENT: usize = 256;
/// However many somebody wants: places of cells are numbers of 32 bits.
const MOST_CELLS: usize = 1 << 30;

/// One for a node.
#[derive(Debug)]
pub struct Census {
    /// Cells that a worker keeps; 0: nobody wants any.
    most: AtomicUsize,
    slots: PerWorker<Mutex<Slot>>,
}

/// What one worker counts with. Only that worker and the taker come here.
#[derive(Debug)]
struct Slot {
    cells: Cells,
    /// By the mark of a kind, the place where its cell may be.
    recent: Box<[u32]>,
    programs: Programs,
    other: Arc<str>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            cells: Cells::default(),
            recent: vec![0; RECENT].into(),
            programs: Programs::default(),
            other: OTHER.into(),
        }
    }
}

impl Census {
    pub fn new(workers: usize) -> Self {
        Self { most: AtomicUsize::new(0), slots: PerWorker::new(workers) }
    }

    /// From now on each worker keeps so many cells until they are taken, and as many again that tell less apart; with 0
    /// nobody counts. What was counted stays until it is taken.
    pub fn set_most(&self, cells: usize) {
        self.most.store(cells.min(MOST_CELLS), Relaxed);
    }

    pub fn is_wanted(&self) -> bool {
        self.most.load(Relaxed) > 0
    }

    /// Counts one request; false where it had to be told less apart. Only the worker of that number may call it with that
    /// number.
    pub fn count(&self, worker: usize, kind: &Kind<'_>, agent: Option<&[u8]>, sample: &Sample) -> bool {
        let mut slot = lock(self.slots.slot(worker));
        let Slot { cells, recent, programs, other } = &mut *slot;
        let is_program = programs.has(agent);
        let mark = kind.mark();
        let Some(hint) = recent.get_mut(usize::from(mark.short())) else { return true };
        if let Some(cell) = cells.at(*hint, &mark) {
            cell.add(sample, is_program);
            return true;
        }
        let (place, is_coarser) = cells.fit(kind, other, self.most.load(Relaxed));
        *hint = place as u32;
        if let Some(cell) = cells.list.get_mut(place) {
            cell.add(sample, is_program);
        }
        !is_coarser
    }

    /// What was counted since the last call, over all workers; none twice.
    pub fn take(&self) -> Vec<CensusCell> {
        let mut taken = self.slots.used().map(|slot| std::mem::take(&mut lock(slot).cells));
        let mut all = taken.next().unwrap_or_default();
        taken.for_each(|cells| all.merge(cells));
        all.list
    }
}

/// No code under this lock can panic half-way, so a poisoned lock still guards sound cells.
fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

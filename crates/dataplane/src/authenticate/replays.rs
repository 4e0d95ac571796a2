//! Proofs that were used, so that none is used twice. Shared by all workers; each is kept for as long as it is valid, and where
//! there is no room for another, none is taken: forgetting would let one be replayed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often what is over is looked for, at most: a table that is full of what still counts costs one look a second.
const SWEEP_MS: i64 = 1_000;

/// What came of using one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    First,
    Again,
    /// As many are remembered as may be.
    Full,
}

#[derive(Default)]
struct Table {
    until: HashMap<[u8; 32], i64>,
    swept_ms: i64,
}

#[derive(Default)]
pub(super) struct Replays {
    table: Mutex<Table>,
    most: AtomicUsize,
    full: AtomicU64,
}

impl Replays {
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// Uses what has this digest; it counts until then.
    pub(super) fn take(&self, digest: [u8; 32], until_ms: i64, now_ms: i64) -> Use {
        let mut table = self.lock();
        if table.until.get(&digest).is_some_and(|until| now_ms < *until) {
            return Use::Again;
        }
        let most = self.most.load(Relaxed);
        if table.until.len() >= most && now_ms.abs_diff(table.swept_ms) >= SWEEP_MS.unsigned_abs() {
            table.until.retain(|_, until| now_ms < *until);
            table.swept_ms = now_ms;
        }
        if table.until.len() >= most && !table.until.contains_key(&digest) {
            self.full.fetch_add(1, Relaxed);
            return Use::Full;
        }
        table.until.insert(digest, until_ms);
        Use::First
    }

    /// How many are remembered, and how often there was no room.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.lock().until.len() as u64, self.full.load(Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing is left half done under this lock, so a panic elsewhere does not spoil what it guards.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_used_once_while_it_counts_and_none_without_room() {
        let replays = Replays::default();
        replays.set_most(2);
        assert_eq!(replays.take([1; 32], 1_000, 0), Use::First);
        assert_eq!(replays.take([1; 32], 1_000, 999), Use::Again);
        assert_eq!(replays.take([1; 32], 3_000, 1_000), Use::First);
        assert_eq!(replays.take([2; 32], 9_000, 1_000), Use::First);
        assert_eq!(replays.take([3; 32], 9_000, 2_500), Use::Full);
        assert_eq!(replays.size(), (2, 1));
        assert_eq!(replays.take([3; 32], 9_000, 3_600), Use::First);
    }
}

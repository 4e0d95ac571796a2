//! Something that all workers share and find by a keyed hash, spread over locks so that they rarely meet at one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::generations::KeyedHash;

/// Parts, each behind a lock of its own.
pub(super) const SHARDS: usize = 16;

#[derive(Default)]
pub(super) struct Shards<T> {
    parts: [Mutex<T>; SHARDS],
}

impl<T> Shards<T> {
    /// The part that a hash belongs to.
    pub(super) fn at(&self, hash: &KeyedHash) -> MutexGuard<'_, T> {
        let index = hash.last().map_or(0, |byte| usize::from(*byte) % SHARDS);
        let [first, ..] = &self.parts;
        lock(self.parts.get(index).unwrap_or(first))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.parts.iter().map(lock)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks, so a panic elsewhere does not spoil what they guard.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

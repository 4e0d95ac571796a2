//! How many requests of a caller are under way at once. A place is given back when it is dropped, so on every outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::reading::Reading;
use super::rule::Rule;

/// The places of one caller in one tier that are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    taken: Arc<AtomicU32>,
}

/// One place; free again when dropped. It knows its count itself, so that neither a reset nor an eviction can be undone
/// by requests from before.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<AtomicU32>,
}

impl Places {
    pub(super) fn read(&self, rule: &Rule, now_ms: u64) -> Reading {
        let taken = self.taken();
        // Nobody knows when a place will be free: the next second is as good a time as any.
        let reset = (now_ms / 1000).saturating_add(1);
        if taken >= rule.limit {
            return Reading::refused(rule.limit, reset, 1);
        }
        Reading::admitted(rule.limit, rule.limit - taken - 1, reset)
    }

    /// Called under the lock under which `read` found room, so that the limit holds exactly.
    pub(super) fn take(&self) -> Place {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Place { taken: Arc::clone(&self.taken) }
    }

    pub(super) fn taken(&self) -> u64 {
        u64::from(self.taken.load(Ordering::Relaxed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Counters of one kind by name: as many as `metrics.max_names` have their own, and all further names share one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Collects what has no counters of its own because there are too many names.
pub const OTHER: &str = "other";
/// Collects what belongs to no route, or to no identity.
pub(super) const NONE: &str = "none";
/// Names of one kind that have counters of their own, unless the configuration says otherwise.
const NAMES: usize = 2_000;
/// Names that are known to share; further ones share all the same.
const MOST_BEYOND: usize = 100_000;

/// How many names of each kind have counters of their own. Shared by all kinds.
#[derive(Clone, Debug)]
pub(super) struct Most(Arc<AtomicUsize>);

impl Default for Most {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(NAMES)))
    }
}

impl Most {
    pub(super) fn set(&self, names: usize) {
        self.0.store(names, Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct Named<T> {
    most: Most,
    names: Mutex<Names<T>>,
}

#[derive(Debug)]
struct Names<T> {
    kept: BTreeMap<Arc<str>, Kept<T>>,
    /// Those that share, and whether somebody has asked for them since the last sweep.
    beyond: BTreeMap<Box<str>, bool>,
}

#[derive(Debug)]
struct Kept<T> {
    value: Arc<T>,
    /// Nobody but the registry held it at the last sweep.
    was_idle: bool,
}

impl<T> Kept<T> {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.value) == 1
    }
}

impl<T> Named<T> {
    pub(super) fn new(most: &Most) -> Self {
        let names = Names { kept: BTreeMap::new(), beyond: BTreeMap::new() };
        Self { most: most.clone(), names: Mutex::new(names) }
    }

    pub(super) fn get_plain(&self, name: &str, make: impl Fn() -> T) -> Arc<T> {
        self.get(name, |_| true, &make, &make)
    }

    /// What is kept under this name if it `fits`, else something new; the shared one where there are too many names.
    pub(super) fn get(
        &self,
        name: &str,
        fits: impl Fn(&T) -> bool,
        make: impl Fn() -> T,
        make_other: impl Fn() -> T,
    ) -> Arc<T> {
        let mut names = self.lock();
        if let Some(found) = names.kept.get_mut(name) {
            if !fits(&found.value) {
                found.value = Arc::new(make());
            }
            return Arc::clone(&found.value);
        }
        let most = self.most.get();
        if names.kept.len() >= most {
            names.kept.retain(|_, kept| !kept.is_idle());
        }
        let is_reserved = name == NONE || name == OTHER;
        if names.kept.len() < most || is_reserved {
            names.beyond.remove(name);
            return names.insert(name, make());
        }
        if names.beyond.len() < MOST_BEYOND {
            names.beyond.insert(name.into(), true);
        }
        match names.kept.get(OTHER) {
            Some(other) => Arc::clone(&other.value),
            None => names.insert(OTHER, make_other()),
        }
    }

    pub(super) fn sweep(&self) {
        let mut names = self.lock();
        names.kept.retain(|_, kept| {
            let stays = !(kept.is_idle() && kept.was_idle);
            kept.was_idle = kept.is_idle();
            stays
        });
        names.beyond.retain(|_, was_asked| std::mem::take(was_asked));
    }

    /// Names and counters, by name.
    pub(super) fn list(&self) -> Vec<(Arc<str>, Arc<T>)> {
        self.lock().kept.iter().map(|(name, kept)| (Arc::clone(name), Arc::clone(&kept.value))).collect()
    }

    /// How many names share one set of counters.
    pub(super) fn beyond(&self) -> u64 {
        self.lock().beyond.len() as u64
    }

    /// No code under this lock can panic half-way, so a poisoned lock still guards sound maps.
    fn lock(&self) -> MutexGuard<'_, Names<T>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Names<T> {
    fn insert(&mut self, name: &str, value: T) -> Arc<T> {
        let value = Arc::new(value);
        self.kept.insert(name.into(), Kept { value: Arc::clone(&value), was_idle: false });
        value
    }
}

//! State that belongs to a name of the configuration and outlives snapshots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One `T` for each name, the same for every snapshot that asks.
#[derive(Debug, Default)]
pub struct ByName<T> {
    known: Mutex<BTreeMap<Box<str>, Arc<T>>>,
}

impl<T: Default> ByName<T> {
    pub fn get(&self, name: &str) -> Arc<T> {
        Arc::clone(self.lock().entry(name.into()).or_default())
    }

    /// All of them; those that nobody else holds any more are forgotten.
    pub fn list(&self) -> Vec<(Box<str>, Arc<T>)> {
        let mut known = self.lock();
        known.retain(|_, one| Arc::strong_count(one) > 1);
        known.iter().map(|(name, one)| (name.clone(), Arc::clone(one))).collect()
    }

    /// Nothing under this lock can panic half-way, so a poisoned one still guards sound data.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Arc<T>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_forgotten_and_the_rest_is_the_same_for_all() {
        let all = ByName::<u32>::default();
        let held = all.get("a");
        drop(all.get("b"));
        assert!(Arc::ptr_eq(&held, &all.get("a")));
        let names: Vec<String> = all.list().into_iter().map(|(name, _)| name.into()).collect();
        assert_eq!(names, ["a"]);
    }
}

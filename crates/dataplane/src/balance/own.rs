//! Breakers of tenants: what fails for one is no matter of the others. Bounded, whoever invents names.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use hashbrown::HashMap;

use super::breaker::{Breaker, BreakerState, Rules};

/// Of one service; as many tenants have metrics of their own.
const MOST: usize = 2_000;

/// One for each tenant of a service, kept over snapshots.
#[derive(Debug, Default)]
pub(super) struct TenantBreakers {
    known: RwLock<HashMap<Box<str>, Arc<Breaker>>>,
    /// Of those who found no room.
    others: Arc<Breaker>,
}

impl TenantBreakers {
    /// A breaker that nobody holds and that is closed makes room for another tenant's.
    pub(super) fn get(&self, tenant: &str, rules: &Rules, now: Instant) -> Arc<Breaker> {
        // What is under this lock is changed in one step, so a panic elsewhere leaves nothing half done.
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Arc::clone(known);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            let is_closed = |breaker: &Breaker| breaker.view(rules, now).state == BreakerState::Closed;
            known.retain(|_, breaker| Arc::strong_count(breaker) > 1 || !is_closed(breaker));
        }
        if known.len() >= MOST && !known.contains_key(tenant) {
            return Arc::clone(&self.others);
        }
        Arc::clone(known.entry(tenant.into()).or_default())
    }

    /// In the order of their names.
    pub(super) fn list(&self) -> Vec<(Box<str>, Arc<Breaker>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = known.iter().map(|(name, one)| (name.clone(), Arc::clone(one))).collect();
        drop(known);
        list.sort_by(|one, other| one.0.cmp(&other.0));
        list
    }
}

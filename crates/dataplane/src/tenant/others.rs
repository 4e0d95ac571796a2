//! Tenants that the configuration does not list, and accepts: made when they are first seen, as many as have room.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use super::{Tenant, Terms};
use crate::record::{OTHER, TenantMetrics, TenantRegistry};

#[derive(Debug)]
pub(super) struct Others {
    terms: Terms,
    room: usize,
    /// A reader's lock for each request of theirs; the writer's only when one is first seen.
    seen: RwLock<HashMap<Box<str>, Arc<Tenant>>>,
    registry: Arc<TenantRegistry>,
    /// Of those for whom there is no room.
    shared: (Arc<TenantMetrics>, Arc<str>),
}

impl Others {
    pub(super) fn new(terms: Terms, room: usize, registry: &Arc<TenantRegistry>) -> Self {
        let shared = (registry.tenant(OTHER), OTHER.into());
        Self { terms, room, seen: RwLock::default(), registry: Arc::clone(registry), shared }
    }

    pub(super) fn quotas(&self) -> &Arc<[u32]> {
        &self.terms.quotas
    }

    /// The tenant of this name. One without room has limits of its own all the same: its name tells it apart.
    pub(super) fn get(&self, name: &str) -> Arc<Tenant> {
        // What is under this lock is changed in one step, so a panic elsewhere leaves nothing half done.
        if let Some(tenant) = self.seen.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(tenant);
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = seen.get(name) {
            return Arc::clone(tenant);
        }
        if seen.len() >= self.room {
            let (metrics, label) = self.shared.clone();
            return Arc::new(self.tenant(name, metrics, label));
        }
        let tenant = Arc::new(self.tenant(name, self.registry.tenant(name), name.into()));
        seen.insert(name.into(), Arc::clone(&tenant));
        tenant
    }

    fn tenant(&self, name: &str, metrics: Arc<TenantMetrics>, label: Arc<str>) -> Tenant {
        Tenant { name: name.into(), terms: self.terms.clone(), metrics, label, is_disabled: false }
    }
}

//! Every metric that has a name of the configuration, kept from one snapshot to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counts::NodeMetrics;
use super::listeners::ListenerMetrics;
use super::metrics::{RouteMetrics, Tally};
use super::services::ServiceMetrics;
use super::tenants::TenantRegistry;

/// Names of one kind that have counters of their own; further ones share `other`.
const NAMES: usize = 2_000;
/// Collects what has no counters of its own because there are too many names.
pub const OTHER: &str = "other";
/// Collects what belongs to no route, or to no identity.
const NONE: &str = "none";

/// All counters of a node. Shared, and alive for as long as the engine.
///
/// Compiling a snapshot asks for the counters of each name and keeps them in the snapshot; workers reach them from
/// there and never come here. A name that no snapshot holds any more is printed until the second `sweep` after.
#[derive(Debug)]
pub struct Registry {
    workers: usize,
    pub(super) routes: Family<RouteMetrics>,
    pub(super) services: Family<ServiceMetrics>,
    pub(super) listeners: Family<ListenerMetrics>,
    pub(super) tiers: Family<Tally>,
    pub(super) trials: Family<Tally>,
    pub(super) identities: Family<Tally>,
    pub(super) address_lists: Family<Tally>,
    node: NodeMetrics,
    tenants: Arc<TenantRegistry>,
}

impl Registry {
    /// `workers` is how many threads count; each must use its own number below it.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            routes: Family::new(),
            services: Family::new(),
            listeners: Family::new(),
            tiers: Family::new(),
            trials: Family::new(),
            identities: Family::new(),
            address_lists: Family::new(),
            node: NodeMetrics::new(workers),
            tenants: Arc::new(TenantRegistry::new(workers)),
        }
    }

    /// The counters of a route and its service (empty where it has none).
    ///
    /// A route that moves to another service starts from zero, because its series have another label.
    pub fn route(&self, name: &str, service: &str) -> Arc<RouteMetrics> {
        let workers = self.workers;
        let service = if name == NONE || name == OTHER { "" } else { service };
        let make = |service: &str| RouteMetrics::new(service, workers);
        self.routes.get(name, |kept| &*kept.service == service, || make(service), || make(""))
    }

    /// The counters of requests that no route matched.
    pub fn unrouted(&self) -> Arc<RouteMetrics> {
        self.route(NONE, "")
    }

    pub fn service(&self, name: &str) -> Arc<ServiceMetrics> {
        self.services.get_plain(name, || ServiceMetrics::new(self.workers))
    }

    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        self.listeners.get_plain(name, || ListenerMetrics::new(self.workers))
    }

    /// Requests that a tier has refused.
    pub fn tier(&self, name: &str) -> Arc<Tally> {
        self.tiers.get_plain(name, || Tally::new(self.workers))
    }

    /// Requests that a tier on trial would have refused.
    pub fn trial(&self, name: &str) -> Arc<Tally> {
        self.trials.get_plain(name, || Tally::new(self.workers))
    }

    /// Credentials that an identity has refused.
    pub fn identity(&self, name: &str) -> Arc<Tally> {
        self.identities.get_plain(name, || Tally::new(self.workers))
    }

    /// Requests that were refused because a list of addresses denies theirs.
    pub fn address_list(&self, name: &str) -> Arc<Tally> {
        self.address_lists.get_plain(name, || Tally::new(self.workers))
    }

    /// Requests refused before an identity was chosen: no credential was sent.
    pub fn unidentified(&self) -> Arc<Tally> {
        self.identity(NONE)
    }

    /// Those of tenants are made while requests are served, too: whoever does that holds them by themselves.
    pub fn tenants(&self) -> &Arc<TenantRegistry> {
        &self.tenants
    }

    pub fn node(&self) -> &NodeMetrics {
        &self.node
    }

    /// Forgets names that no snapshot has held since the last sweep. Call it after a snapshot went live.
    pub fn sweep(&self) {
        self.routes.sweep();
        self.services.sweep();
        self.listeners.sweep();
        self.tiers.sweep();
        self.trials.sweep();
        self.identities.sweep();
        self.tenants.sweep();
        self.address_lists.sweep();
    }
}

/// Counters of one kind by name.
#[derive(Debug)]
pub(super) struct Family<T> {
    kept: Mutex<BTreeMap<Arc<str>, Kept<T>>>,
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

impl<T> Family<T> {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::default() }
    }

    pub(super) fn get_plain(&self, name: &str, make: impl Fn() -> T) -> Arc<T> {
        self.get(name, |_| true, &make, &make)
    }

    /// What is kept under this name if it `fits`, else something new; the shared one where there are too many names.
    fn get(
        &self,
        name: &str,
        fits: impl Fn(&T) -> bool,
        make: impl Fn() -> T,
        make_other: impl Fn() -> T,
    ) -> Arc<T> {
        let mut kept = self.lock();
        if let Some(found) = kept.get_mut(name) {
            if !fits(&found.value) {
                found.value = Arc::new(make());
            }
            return Arc::clone(&found.value);
        }
        if kept.len() >= NAMES {
            kept.retain(|_, kept| !kept.is_idle());
        }
        let is_reserved = name == NONE || name == OTHER;
        if kept.len() < NAMES || is_reserved {
            return insert(&mut kept, name, make());
        }
        match kept.get(OTHER) {
            Some(other) => Arc::clone(&other.value),
            None => insert(&mut kept, OTHER, make_other()),
        }
    }

    pub(super) fn sweep(&self) {
        self.lock().retain(|_, kept| {
            let stays = !(kept.is_idle() && kept.was_idle);
            kept.was_idle = kept.is_idle();
            stays
        });
    }

    /// Names and counters, by name.
    pub(super) fn list(&self) -> Vec<(Arc<str>, Arc<T>)> {
        self.lock().iter().map(|(name, kept)| (Arc::clone(name), Arc::clone(&kept.value))).collect()
    }

    /// No code under this lock can panic half-way, so a poisoned lock still guards a sound map.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Kept<T>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert<T>(kept: &mut BTreeMap<Arc<str>, Kept<T>>, name: &str, value: T) -> Arc<T> {
    let value = Arc::new(value);
    kept.insert(name.into(), Kept { value: Arc::clone(&value), was_idle: false });
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<T>(family: &Family<T>) -> Vec<String> {
        family.list().iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn the_same_name_has_the_same_counters_in_the_next_snapshot() {
        let registry = Registry::new(1);
        let first = registry.route("users", "users");
        drop(registry.route("orders", "orders"));
        assert!(Arc::ptr_eq(&first, &registry.route("users", "users")));
        assert!(!Arc::ptr_eq(&first, &registry.route("users", "elsewhere")));
    }

    #[test]
    fn a_name_that_nobody_holds_is_forgotten_by_the_second_sweep() {
        let registry = Registry::new(1);
        let held = registry.tier("held");
        drop(registry.tier("gone"));
        registry.sweep();
        assert_eq!(names(&registry.tiers), ["gone", "held"]);
        registry.sweep();
        assert_eq!(names(&registry.tiers), ["held"]);
        drop(held);
    }

    #[test]
    fn names_beyond_the_limit_share_one_set_of_counters() {
        let registry = Registry::new(1);
        let held: Vec<_> = (0..NAMES).map(|index| registry.route(&format!("r{index}"), "s")).collect();
        let (first, second) = (registry.route("one more", "a"), registry.route("and another", "b"));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &registry.route("other", "c")));
        assert!(!Arc::ptr_eq(&first, &registry.unrouted()));
        assert_eq!(registry.routes.list().len(), NAMES + 2);
        drop(held);
    }

    #[test]
    fn a_full_registry_makes_room_by_forgetting_what_nobody_holds() {
        let registry = Registry::new(1);
        (0..NAMES).for_each(|index| drop(registry.service(&format!("s{index}"))));
        let fresh = registry.service("fresh");
        assert_eq!(names(&registry.services), ["fresh"]);
        drop(fresh);
    }
}

//! Every metric that has a name of the configuration, kept from one snapshot to the next.

use std::sync::Arc;

use super::counts::NodeMetrics;
use super::listeners::ListenerMetrics;
use super::metrics::{RouteMetrics, Tally};
use super::named::{Most, NONE, Named, OTHER};
use super::services::ServiceMetrics;
use super::tenants::TenantRegistry;

/// All counters of a node. Shared, and alive for as long as the engine.
///
/// Compiling a snapshot asks for the counters of each name and keeps them in the snapshot; workers reach them from
/// there and never come here. A name that no snapshot holds any more is printed until the second `sweep` after.
#[derive(Debug)]
pub struct Registry {
    workers: usize,
    most: Most,
    pub(super) routes: Named<RouteMetrics>,
    pub(super) services: Named<ServiceMetrics>,
    pub(super) listeners: Named<ListenerMetrics>,
    pub(super) tiers: Named<Tally>,
    pub(super) trials: Named<Tally>,
    pub(super) identities: Named<Tally>,
    pub(super) address_lists: Named<Tally>,
    node: NodeMetrics,
    tenants: Arc<TenantRegistry>,
}

impl Registry {
    /// `workers` is how many threads count; each must use its own number below it.
    pub fn new(workers: usize) -> Self {
        let most = Most::default();
        Self {
            workers,
            routes: Named::new(&most),
            services: Named::new(&most),
            listeners: Named::new(&most),
            tiers: Named::new(&most),
            trials: Named::new(&most),
            identities: Named::new(&most),
            address_lists: Named::new(&most),
            node: NodeMetrics::new(workers),
            tenants: Arc::new(TenantRegistry::new(workers, &most)),
            most,
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

    /// How many names of each kind have counters of their own from now on.
    pub fn set_most(&self, names: usize) {
        self.most.set(names);
    }

    pub(super) fn most(&self) -> usize {
        self.most.get()
    }

    /// How many names of each kind share the counters of `other`.
    pub(super) fn beyond(&self) -> [(&'static str, u64); 8] {
        [
            ("route", self.routes.beyond()),
            ("service", self.services.beyond()),
            ("listener", self.listeners.beyond()),
            ("tier", self.tiers.beyond()),
            ("trial", self.trials.beyond()),
            ("identity", self.identities.beyond()),
            ("address_list", self.address_lists.beyond()),
            ("tenant", self.tenants.beyond()),
        ]
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: usize = 30;

    fn small() -> Registry {
        let registry = Registry::new(1);
        registry.set_most(NAMES);
        registry
    }

    fn names<T>(family: &Named<T>) -> Vec<String> {
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
        let registry = small();
        let held: Vec<_> = (0..NAMES).map(|index| registry.route(&format!("r{index}"), "s")).collect();
        let (first, second) = (registry.route("one more", "a"), registry.route("and another", "b"));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &registry.route("other", "c")));
        assert!(!Arc::ptr_eq(&first, &registry.unrouted()));
        assert_eq!(registry.routes.list().len(), NAMES + 2);
        assert_eq!(registry.routes.beyond(), 2);
        drop(held);
    }

    #[test]
    fn names_that_nobody_asks_for_any_more_or_that_got_room_do_not_count_as_sharing() {
        let registry = small();
        let held: Vec<_> = (0..NAMES).map(|index| registry.tier(&format!("t{index}"))).collect();
        let shared = [registry.tier("one more"), registry.tier("and another")];
        registry.sweep();
        assert_eq!(registry.tiers.beyond(), 2);
        registry.set_most(NAMES + 9);
        drop(registry.tier("one more"));
        assert_eq!(registry.tiers.beyond(), 1);
        registry.sweep();
        assert_eq!(registry.tiers.beyond(), 0);
        drop((held, shared));
    }

    #[test]
    fn a_full_registry_makes_room_by_forgetting_what_nobody_holds() {
        let registry = small();
        (0..NAMES).for_each(|index| drop(registry.service(&format!("s{index}"))));
        let fresh = registry.service("fresh");
        assert_eq!(names(&registry.services), ["fresh"]);
        drop(fresh);
    }
}

//! What is known of services beyond any one snapshot: who is live, and under which names.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hashbrown::HashMap;

use super::breaker::BreakerChange;
use super::events::Events;
use super::roster::Roster;
use super::service::Service;
use super::services::{Known, Secure, Services};
use super::summary::ServiceSummary;
use crate::snapshot::document::{InstanceDocument, ServiceDocument};

/// The state of all services of a node: health, breakers, counters. No request takes its lock.
#[derive(Debug, Default)]
pub struct Registry {
    live: Mutex<HashMap<String, Arc<Service>>>,
    events: Arc<Events>,
}

impl Registry {
    pub fn new() -> Self {
        Self::default()
    }

    /// Compiles services over the state that is known for their names. Changes nothing that is live: `adopt` does that,
    /// once the snapshot is. The error names the service and where it stands. `secure` gives the TLS of a service.
    pub fn compile(&self, services: &[ServiceDocument], secure: &Secure<'_>) -> Result<Services, String> {
        let known = Known { live: self.lock().clone(), events: Arc::clone(&self.events) };
        Services::compile(services, &known, secure)
    }

    /// Makes the services of a snapshot the live ones: health checks, `set_instances`, `reset` and `summary` speak of
    /// them from now on. Called when the snapshot has become live. Forgets services that it lacks.
    pub fn adopt(&self, services: &Services) {
        let named = services.iter().map(|service| (service.name.clone(), Arc::clone(service)));
        *self.lock() = named.collect();
        for service in services.iter() {
            let roster = service.roster.load();
            service.ledger.forget_drained(|name| {
                service.listed.iter().any(|listed| listed.name == name)
                    || roster.members.instances.iter().any(|instance| *instance.name == *name)
            });
            // Whoever began to drain while the snapshot was compiled.
            service.ledger.mark(&roster);
        }
        self.events.lists_changed();
    }

    /// Replaces the instances of a live service. Holds until a snapshot changes the list of that service. Instances
    /// whose name and address stay keep their health and counters; an empty list is allowed.
    ///
    /// Refuses unknown services and lists that a snapshot could not have either; nothing changes then.
    pub fn set_instances(&self, service: &str, instances: Vec<InstanceDocument>) -> Result<(), String> {
        // The lock is kept so that two calls for one service cannot cross.
        let live = self.lock();
        let found = live.get(service).ok_or_else(|| format!("unknown service `{service}`"))?;
        let roster = Roster::compile(&instances, found.terms(), Some(found.roster.load().as_ref()))
            .map_err(|error| format!("service `{service}`: {error}"))?;
        found.ledger.mark(&roster);
        found.roster.store(Arc::new(roster));
        self.events.lists_changed();
        Ok(())
    }

    /// Changes one breaker from outside its rules, or all for `None`; says how many that changed. Names are `users` for
    /// a service (or all its instances), `users/ROUTE`, `users@INSTANCE`. Unknown names: 0.
    pub fn change_breakers(&self, name: Option<&str>, change: &BreakerChange, now: Instant) -> usize {
        self.services().iter().map(|service| service.change_breakers(name, change, now)).sum()
    }

    /// Starts or ends the draining of an instance by its name: no new requests, until it ends. Survives reloads and new
    /// lists that have the name. Says how many instances that changed; `None` where there is no such service or instance.
    pub fn drain(&self, service: &str, instance: &str, since: Option<Instant>) -> Option<usize> {
        let live = self.lock();
        let service = live.get(service)?;
        let roster = service.roster.load();
        let is_known = roster.members.instances.iter().any(|known| *known.name == *instance);
        is_known.then(|| service.ledger.drain(&roster, instance, since))
    }

    /// Every live service in the order of the configuration.
    pub fn summary(&self, now: Instant) -> Vec<ServiceSummary> {
        self.services().iter().map(|service| ServiceSummary::of(service, now)).collect()
    }

    /// Rises by one with every change of an instance's health, for whoever waits for one.
    pub fn health_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.events.health_changes()
    }

    pub(super) fn services(&self) -> Vec<Arc<Service>> {
        let mut list: Vec<Arc<Service>> = self.lock().values().cloned().collect();
        list.sort_unstable_by_key(|service| service.index);
        list
    }

    pub(super) fn events(&self) -> Arc<Events> {
        Arc::clone(&self.events)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Service>>> {
        // Every change is one assignment, so what a poisoned lock guards is whole.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What `state()` and `metrics()` tell about services.

use std::time::{Duration, Instant};

use super::breaker::{Breaker, BreakerCount, BreakerHold, BreakerState, BreakerTransition, Rules, Tally};
use super::instance::Instance;
use super::service::Service;
use crate::io::address::Address;

#[derive(Clone, Debug)]
pub struct ServiceSummary {
    pub name: String,
    pub instances: Vec<InstanceSummary>,
    /// Those of the service, its routes and its instances; none where it has no circuit breaker.
    pub breakers: Vec<BreakerSummary>,
}

#[derive(Clone, Debug)]
pub struct InstanceSummary {
    pub name: String,
    pub address: Address,
    pub weight: u32,
    /// May requests be sent to it? Always true without a health check.
    pub healthy: bool,
    pub in_flight: u32,
    pub consecutive_failures: u32,
    /// Changes of health so far.
    pub transitions: u64,
}

#[derive(Clone, Debug)]
pub struct BreakerSummary {
    /// Whose it is: of a route or an instance, else of the service.
    pub route: Option<String>,
    pub instance: Option<String>,
    pub state: BreakerState,
    /// By a person.
    pub hold: Option<BreakerHold>,
    /// The last failure that it counted.
    pub failed_at: Option<Instant>,
    /// Per cent of the requests that pass: 100 closed, less while it ramps up, 0 else.
    pub share: u32,
    /// Until it lets a probe pass; zero unless open.
    pub remaining: Duration,
    /// In the window.
    pub tally: Tally,
    /// Since when it has not been closed.
    pub opened: Option<Instant>,
    /// How long it has not been closed in all.
    pub not_closed: Duration,
    /// Requests that it did not let pass.
    pub refused: u64,
    /// Changes of state so far.
    pub transitions: u64,
    pub counts: Vec<BreakerCount>,
    /// The last changes, oldest first.
    pub recent: Vec<BreakerTransition>,
}

impl ServiceSummary {
    pub(super) fn of(service: &Service, now: Instant) -> Self {
        let roster = service.roster.load();
        let instances = roster.weighted().map(|(instance, weight)| summarise(service, instance, weight));
        Self {
            name: service.name.clone(),
            instances: instances.collect(),
            breakers: service
                .breaker_rules
                .as_ref()
                .map(|rules| breakers(service, rules, now))
                .unwrap_or_default(),
        }
    }
}

fn summarise(service: &Service, instance: &Instance, weight: u32) -> InstanceSummary {
    InstanceSummary {
        name: instance.name.clone(),
        address: instance.address.clone(),
        weight,
        healthy: service.may_use(instance),
        in_flight: instance.in_flight(),
        consecutive_failures: instance.health().failures,
        transitions: instance.transitions(),
    }
}

fn breakers(service: &Service, rules: &Rules, now: Instant) -> Vec<BreakerSummary> {
    let mut found = Vec::new();
    if rules.is_per_instance() {
        let instances = service.instances();
        found.extend(instances.iter().map(|instance| BreakerSummary {
            instance: Some(instance.name.clone()),
            ..BreakerSummary::of(&instance.breaker, rules, now)
        }));
    } else {
        found.push(BreakerSummary::of(&service.breaker, rules, now));
    }
    found.extend(service.own_breakers.iter().map(|(route, breaker)| BreakerSummary {
        route: Some(route.clone()),
        ..BreakerSummary::of(breaker, rules, now)
    }));
    found
}

impl BreakerSummary {
    fn of(breaker: &Breaker, rules: &Rules, now: Instant) -> Self {
        let view = breaker.view(rules, now);
        Self {
            route: None,
            instance: None,
            state: view.state,
            hold: view.hold,
            failed_at: view.failed_at,
            share: view.share,
            remaining: view.remaining,
            tally: view.tally,
            opened: view.opened,
            not_closed: view.not_closed,
            refused: view.refused,
            transitions: view.transitions,
            counts: view.counts,
            recent: view.recent,
        }
    }
}

//! What `state()` and `metrics()` tell about services.

use std::time::{Duration, Instant};

use super::breaker::{Breaker, BreakerCount, BreakerHold, BreakerState, BreakerTransition, Rules, Tally};
use super::instance::Instance;
use super::service::Service;
use super::standing::Standing;
use crate::io::address::Address;

#[derive(Clone, Debug)]
pub struct ServiceSummary {
    pub name: String,
    pub instances: Vec<InstanceSummary>,
    /// So few instances are available that all are asked.
    pub panics: bool,
    /// How often that began.
    pub panics_so_far: u64,
    /// Instances that were not ejected because as many were as may be.
    pub ejections_prevented: u64,
    /// Requests under way that count against `max_in_flight`; 0 without it.
    pub capped_in_flight: u32,
    /// Those of the service, its routes and its instances; none where it has no circuit breaker.
    pub breakers: Vec<BreakerSummary>,
}

#[derive(Clone, Debug)]
pub struct InstanceSummary {
    pub name: String,
    pub address: Address,
    pub weight: u32,
    pub standing: Standing,
    /// Until an ejection ends; zero unless ejected.
    pub ejected_for: Duration,
    /// Since it gets no new requests; zero unless draining.
    pub draining_for: Duration,
    /// Per cent of its weight that counts by now: less than 100 while it starts slowly.
    pub share: u32,
    /// Times that failing requests sent it out.
    pub ejections: u64,
    pub in_flight: u32,
    /// Requests sent to it so far.
    pub picks: u64,
    pub consecutive_failures: u32,
    /// Changes of health so far.
    pub transitions: u64,
}

#[derive(Clone, Debug)]
pub struct BreakerSummary {
    /// Whose it is: of a route, an instance or a tenant, else of the service.
    pub route: Option<String>,
    pub instance: Option<String>,
    pub tenant: Option<String>,
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
        let roster = service.roster(now);
        let instances = roster.weighted().map(|(instance, weight)| InstanceSummary {
            weight,
            share: (roster.share(instance, now) * 100.0) as u32,
            ..summarise(service, instance, now)
        });
        let (ejections_prevented, panics_so_far) = service.ledger.counts();
        Self {
            name: service.name.clone(),
            instances: instances.collect(),
            panics: roster.panics,
            panics_so_far,
            ejections_prevented,
            capped_in_flight: service.ledger.in_flight(),
            breakers: service
                .breaker_rules
                .as_ref()
                .map(|rules| breakers(service, rules, now))
                .unwrap_or_default(),
        }
    }
}

fn summarise(service: &Service, instance: &Instance, now: Instant) -> InstanceSummary {
    let draining = instance.draining_since();
    InstanceSummary {
        name: instance.name.to_string(),
        address: instance.address.clone(),
        weight: 0,
        share: 0,
        standing: service.terms().standing(instance, now),
        ejected_for: instance.ejected_for(now),
        draining_for: draining.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        ejections: instance.record.ejections(),
        in_flight: instance.in_flight(),
        picks: instance.picks(),
        consecutive_failures: instance.health().failures,
        transitions: instance.transitions(),
    }
}

fn breakers(service: &Service, rules: &Rules, now: Instant) -> Vec<BreakerSummary> {
    let mut found = Vec::new();
    if rules.is_per_instance() {
        let instances = service.instances();
        found.extend(instances.iter().map(|instance| BreakerSummary {
            instance: Some(instance.name.to_string()),
            ..BreakerSummary::of(&instance.breaker, rules, now)
        }));
    } else {
        found.push(BreakerSummary::of(&service.breaker, rules, now));
    }
    found.extend(service.own_breakers.iter().map(|(route, breaker)| BreakerSummary {
        route: Some(route.clone()),
        ..BreakerSummary::of(breaker, rules, now)
    }));
    found.extend(service.tenant_breakers.list().into_iter().map(|(tenant, breaker)| BreakerSummary {
        tenant: Some(tenant.into()),
        ..BreakerSummary::of(&breaker, rules, now)
    }));
    found
}

impl BreakerSummary {
    fn of(breaker: &Breaker, rules: &Rules, now: Instant) -> Self {
        let view = breaker.view(rules, now);
        Self {
            route: None,
            instance: None,
            tenant: None,
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

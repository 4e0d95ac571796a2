//! What `state()` and `metrics()` tell about services.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::breaker::{BreakerState, BreakerTransition};
use super::instance::Instance;
use super::service::Service;

#[derive(Clone, Debug)]
pub struct ServiceSummary {
    pub name: String,
    pub instances: Vec<InstanceSummary>,
    /// `None`: the service has no circuit breaker.
    pub breaker: Option<BreakerSummary>,
}

#[derive(Clone, Debug)]
pub struct InstanceSummary {
    pub name: String,
    pub address: SocketAddr,
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
    pub state: BreakerState,
    /// Until it lets a probe pass; zero unless open.
    pub remaining: Duration,
    /// In the window.
    pub requests: u32,
    pub failures: u32,
    /// Changes of state so far.
    pub transitions: u64,
    pub last_transition: Option<BreakerTransition>,
}

impl ServiceSummary {
    pub(super) fn of(service: &Service, now: Instant) -> Self {
        let roster = service.roster.load();
        let instances = roster.weighted().map(|(instance, weight)| summarise(service, instance, weight));
        Self {
            name: service.name.clone(),
            instances: instances.collect(),
            breaker: service.breaker_settings.is_some().then(|| BreakerSummary::of(service, now)),
        }
    }
}

fn summarise(service: &Service, instance: &Instance, weight: u32) -> InstanceSummary {
    InstanceSummary {
        name: instance.name.clone(),
        address: instance.address,
        weight,
        healthy: service.may_use(instance),
        in_flight: instance.in_flight(),
        consecutive_failures: instance.health().failures,
        transitions: instance.transitions(),
    }
}

impl BreakerSummary {
    fn of(service: &Service, now: Instant) -> Self {
        let view = service.breaker.view(now);
        Self {
            state: view.state,
            remaining: view.remaining,
            requests: view.requests,
            failures: view.failures,
            transitions: view.transitions,
            last_transition: view.last,
        }
    }
}

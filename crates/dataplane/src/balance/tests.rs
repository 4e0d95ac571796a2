//! Balancing, breaker and health with the time passed in; probes over real sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::caller::Caller;
use crate::refusal::{Refusal, Unavailable};
use crate::request::Request;
use crate::snapshot::document::{
    AlgorithmDocument, BalanceDocument, BreakerDocument, BreakerScope, BreakerWindow, CapsDocument,
    HealthCheckDocument, HttpProbeDocument, InstanceDocument, OnProbeFailure, PoolDocument, ProbeDocument,
    ProtocolDocument, ServiceDocument,
};

mod algorithms;
mod breaking;
mod by_hand;
mod choosing;
mod model;
mod probing;
mod recovering;
mod reloading;
mod rules;
mod scopes;
mod standing;
mod sticking;
mod timing;

const SUCCESS: Outcome = Outcome::Answered(200);
const SECOND: Duration = Duration::from_secs(1);

fn instance(name: &str, port: u16, weight: u32) -> InstanceDocument {
    InstanceDocument {
        name: name.to_owned(),
        address: std::net::SocketAddr::from(([127, 0, 0, 1], port)).into(),
        weight,
    }
}

fn health_check() -> HealthCheckDocument {
    HealthCheckDocument {
        at: "gateway.yaml:2:1".to_owned(),
        kind: ProbeDocument::Http(http_probe()),
        port: None,
        interval_ms: 10_000,
        unhealthy_interval_ms: 10_000,
        jitter: 10,
        timeout_ms: 5_000,
        unhealthy_after: 3,
        healthy_after: 2,
        starts_unhealthy: false,
    }
}

fn http_probe() -> HttpProbeDocument {
    HttpProbeDocument {
        path: "/healthz".to_owned(),
        host: None,
        headers: Vec::new(),
        statuses: vec![(200, 299)],
    }
}

fn breaker() -> BreakerDocument {
    BreakerDocument {
        at: "gateway.yaml:3:1".to_owned(),
        scope: BreakerScope::Service,
        failure_ratio: Some(0.5),
        slow_ratio: None,
        slow_after_ms: 5_000,
        consecutive_failures: None,
        load: None,
        window: BreakerWindow::Milliseconds(30_000),
        minimum_requests: 20,
        failure_statuses: vec![[500, 599]],
        open_for_ms: 30_000,
        open_growth: 1.0,
        max_open_for_ms: 120_000,
        probes: 2,
        concurrent_probes: 1,
        on_probe_failure: OnProbeFailure::Open,
        probe_limit: 10,
        probe_timeout_ms: 30_000,
        ramp_ms: 0,
    }
}

fn balance(algorithm: AlgorithmDocument) -> BalanceDocument {
    BalanceDocument {
        at: "gateway.yaml:4:1".to_owned(),
        algorithm,
        slow_start_ms: 0,
        panic_threshold: 0,
        ejection: None,
        caps: CapsDocument::default(),
        sticky: None,
    }
}

fn service(instances: Vec<InstanceDocument>) -> ServiceDocument {
    ServiceDocument {
        name: "users".to_owned(),
        at: "gateway.yaml:1:1".to_owned(),
        instances,
        balance: balance(AlgorithmDocument::RoundRobin),
        health_check: Some(health_check()),
        circuit_breaker: Some(breaker()),
        own_breakers: Vec::new(),
        max_header_bytes: 16 * 1024,
        pool: PoolDocument {
            max_connections: 100,
            min_connections: 0,
            max_pending: 100,
            connect_timeout_ms: 1_000,
            idle_timeout_ms: 60_000,
            max_lifetime_ms: 300_000,
        },
        tls: None,
        protocol: ProtocolDocument::Http1,
    }
}

fn one() -> ServiceDocument {
    service(vec![instance("a:1", 1, 1)])
}

/// Compiles one service and makes it live.
fn live(document: ServiceDocument, registry: &Registry) -> Arc<Service> {
    let services = registry.compile(&[document], &|_| Ok(None)).unwrap();
    registry.adopt(&services);
    Arc::clone(services.get(0).unwrap())
}

/// A choice for a request without anything in it, by nobody.
fn pick(service: &Arc<Service>, breaker: BreakerUse, now: Instant) -> Result<Target, Refusal> {
    let request = Request::new([127, 0, 0, 1].into());
    ask(service, &request, now, |ask| ask.breaker = breaker)
}

fn ask(
    service: &Arc<Service>,
    request: &Request,
    now: Instant,
    change: impl FnOnce(&mut Ask<'_>),
) -> Result<Target, Refusal> {
    let caller = Caller::anonymous();
    let mut ask = Ask {
        request,
        caller: &caller,
        tenant: None,
        breaker: BreakerUse::Shared,
        now,
        random: 0,
        tried: &[],
    };
    change(&mut ask);
    super::pick(service, &ask)
}

fn send(service: &Arc<Service>, outcome: Outcome, now: Instant) -> Result<(), Refusal> {
    pick(service, BreakerUse::Shared, now).map(|target| {
        target.finish(outcome, now);
    })
}

fn send_many(service: &Arc<Service>, count: usize, outcome: Outcome, now: Instant) {
    for _ in 0..count {
        send(service, outcome, now).unwrap();
    }
}

fn reset(registry: &Registry, name: Option<&str>, now: Instant) -> usize {
    registry.change_breakers(name, &BreakerChange::Reset {}, now)
}

fn breaker_of(registry: &Registry, now: Instant) -> BreakerSummary {
    registry.summary(now).remove(0).breakers.remove(0)
}

fn state(registry: &Registry, now: Instant) -> BreakerState {
    breaker_of(registry, now).state
}

fn cause(refusal: Refusal) -> (Unavailable, Duration) {
    let Refusal::ServiceUnavailable { cause, retry_after } = refusal else { panic!("{refusal:?}") };
    (cause, retry_after)
}

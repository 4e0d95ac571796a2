//! A node in which everything was counted.

use super::*;
use crate::trail::{Awaited, Cause, Rule, Stage, Trail};

pub(super) const SAMPLE: Sample = Sample {
    status: 200,
    total: 42_007,
    overhead: 400,
    upstream: Some(41_607),
    request_bytes: 256,
    response_bytes: 1_024,
};

/// A request that waited for two things.
fn waited() -> Trail {
    let mut trail = Trail::default();
    for (awaited, took) in [(Awaited::KeyStore, 30_000), (Awaited::Redis, 4_000)] {
        trail.waited(Cause { stage: Stage::Limit, rule: Rule::None, awaited }, 0, took);
    }
    trail
}

/// The page as text.
pub(super) fn page(registry: &Registry, external: &External) -> String {
    String::from_utf8(print(registry, external, Format::Text, &[])).expect("it is text")
}

/// Tallies of names.
pub(super) fn counted() -> Registry {
    let registry = Registry::new(2);
    registry.tier("standard").count(1);
    registry.address_list("spam").count(1);
    registry
}

/// One of everything, so that each family has a series.
#[expect(clippy::too_many_lines, reason = "it has one of everything")]
pub(super) fn busy() -> (Registry, External) {
    let registry = counted();
    registry.route("users", "users-service").observe(0, &SAMPLE, None);
    registry.route("users", "users-service").observe(1, &SAMPLE, None);
    registry.unrouted().observe(1, &Sample { status: 404, upstream: None, ..SAMPLE }, None);
    let users = registry.route("users", "users-service");
    users.excuse(1);
    users.recorded(1, 1_200);
    users.websocket(0).open.add(2);
    users.websocket(1).open.subtract(1);
    users.websocket(1).passed([2, 3]);
    users.websocket(1).closed(Closed::Idle);
    registry.trial("standard").count(1);
    registry.identity("mobile").count(0);
    registry.unidentified().count(0);
    let listener = registry.listener("public");
    listener.worker(0).accepted.add(3);
    listener.worker(0).open.add(2);
    listener.worker(0).refused.add(1);
    listener.worker(1).handshake(Handshake::Resumed);
    listener.worker(1).refused_clients.add(5);
    listener.worker(0).proxy_protocol_errors.add(2);
    let service = registry.service("users-service");
    service.worker(1).opened.add(2);
    service.worker(1).active.add(1);
    service.worker(1).failed(UpstreamFault::ConnectionReset);
    service.worker(1).unavailable(Unavailable::TooManyInFlight);
    let node = registry.node().worker(0);
    node.waits.count(waited().waits());
    node.refused(&Refusal::Malformed(Malformed::BareLineFeed));
    node.refused(&Refusal::AddressNotAllowed(Barrier::Denied { list: 0 }));
    node.timed_out(TimeoutKind::Body);
    node.requests_coarsened.add(5);
    node.key_lookups.count(KeyLookup::Late);
    node.introspections.count(KeyLookup::Full);
    node.rule_failed(RuleFault::Repeated);
    share_limits(node);
    node.logins.count(LoginEvent::RefreshRefused);
    node.password_checks.count(KeyLookup::Failed);
    node.shed(Reason::Cpu, Priority::P3);
    let tenant = registry.tenants().tenant("acme");
    tenant.observe(0, 200, false);
    tenant.observe(0, 429, true);
    node.in_flight.add(4);
    node.in_flight.subtract(1);
    (registry, external())
}

pub(super) fn limit_line() -> LimitLine {
    let (waiting, waiting_full, bans, bans_so_far) = (7, 8, 9, 10);
    LimitLine { keys: 5, full: 6, waiting, waiting_full, bans, bans_so_far, emergencies: 11 }
}

pub(super) fn share_limits(node: &WorkerCounts) {
    node.shared_limits.answered(Duration::from_micros(400));
    node.shared_limits.failed(StoreFailure::Late);
    node.shared_limits.fell_back(Fallback::Closed);
}

#[expect(clippy::too_many_lines, reason = "it has one of everything")]
pub(super) fn external() -> External {
    let instance = |standing| InstanceLine {
        service: "users".into(),
        instance: "a:1".into(),
        standing,
        in_flight: 2,
        picks: 5,
        ejections: 3,
    };
    let service =
        ServiceLine { service: "users".into(), panics: true, panics_so_far: 7, ejections_prevented: 8 };
    External {
        key_cache: KeyCacheLine { known: 7, unknown: 2, evicted: 3 },
        revocations: RevocationLine { held: 7, most: 9, covered: 2 },
        proofs: ProofLine { proofs: 4, full: 5 },
        shared_store: SharedStoreLine { connected: 1, open: 2, openings: 4, nodes: 3, is_bypassed: true },
        address_blocks: 4,
        address_files: vec![spam()],
        opaque_tokens: (5, 6),
        password_cache: PasswordCacheLine { right: 5, wrong: 2 },
        nonces: NonceLine { nonces: 9, full: 3 },
        file_transfers: 3,
        software: "0.1.0".into(),
        node: "gateway-3".into(),
        config_version: 7,
        config_applied_ms: 1_738_852_200_042,
        uptime_ms: 61_500,
        span: Span::default(),
        limits: limit_line(),
        records: QueueCounts { written: 10, dropped: 2, queued: 3 },
        worker_connections: vec![3, 4],
        concurrencies: vec![ConcurrencyLine { service: "users".into(), in_flight: 2, limit: 20 }],
        pending: vec![PendingLine { service: "users".into(), requests: 3 }],
        overload: OverloadLine {
            cpu_percent: 61,
            memory_percent: 81,
            memory_limit: 1_000,
            cpu_refused: 1,
            memory_refused: 2,
        },
        breakers: vec![open_breaker()],
        instances: vec![instance("healthy"), instance("ejected")],
        services: vec![service],
    }
}

pub(super) fn spam() -> AddressFileLine {
    AddressFileLine {
        kind: "addresses",
        name: "spam".to_owned(),
        entries: 5_000_000,
        bytes: 40_000_000,
        loaded_ms: 1_700_000_000_000,
    }
}

pub(super) fn open_breaker() -> BreakerLine {
    BreakerLine {
        service: "users".into(),
        route: None,
        instance: None,
        tenant: None,
        state: BreakerState::Open,
        share: 0,
        not_closed_ms: 61_500,
        opened_ms: 1_700_000_000_900,
        refused: 7,
        transitions: vec![(["closed", "open", "failure_ratio"], 9)],
    }
}

//! What the engine shows of itself: the metrics page and the state document.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::addresses;
use super::breakers::{self, Clock};
use super::limits;
use super::{Engine, EngineError, OpenListener};
use crate::balance::{InstanceSummary, ServiceSummary, Standing};
use crate::node::Node;
use crate::proxy::queue::Queue;
use crate::record::{
    self, ConcurrencyLine, External, Family, Format, InstanceLine, KeyCacheLine, LimitLine, NonceLine,
    OverloadLine, PasswordCacheLine, PendingLine, ProofLine, RevocationLine, ServiceLine, Span,
};
use crate::shed::{Concurrency, Load};
use crate::snapshot::TierEntry;
use crate::snapshot::document::Priority;
use std::sync::atomic::Ordering;

impl Engine {
    /// Everything counted, as Prometheus text.
    pub fn metrics(&self) -> String {
        String::from_utf8(metrics(&self.node, Format::Text, &[])).unwrap_or_default()
    }

    /// Everything counted, in a format by its name, and below it the `families` of whoever asks (a JSON list).
    pub fn exposition(&self, format: &str, families: &[u8]) -> Result<Vec<u8>, EngineError> {
        let format = format.parse().map_err(EngineError::Engine)?;
        let families = Family::read(families).map_err(EngineError::Engine)?;
        Ok(metrics(&self.node, format, &families))
    }

    /// The path by which this node asks itself: a GET is answered with 204, and leaves no trace. A secret.
    pub fn self_check(&self) -> Result<String, EngineError> {
        let path = self.node.self_check.path();
        path.ok_or_else(|| EngineError::Engine("self-check: there are no random numbers".to_owned()))
    }

    pub fn state(&self) -> Vec<u8> {
        let listeners = self.lock().listeners.clone();
        state(&self.node, &listeners)
    }
}

/// Everything counted, and below it what is counted elsewhere.
fn metrics(node: &Node, format: Format, families: &[Family]) -> Vec<u8> {
    record::print(&node.metrics, &external(node), format, families)
}

fn external(node: &Node) -> External {
    let snapshot = node.snapshot();
    let clock = Clock { now: Instant::now(), unix_ms: super::unix_ms() };
    let services = node.services.summary(clock.now);
    let uptime_ms = node.started.elapsed().as_millis() as u64;
    External {
        software: snapshot.as_ref().map_or_else(String::new, |snapshot| snapshot.software.to_string()),
        node: snapshot.as_ref().map_or_else(String::new, |snapshot| snapshot.node.to_string()),
        config_version: snapshot.as_ref().map_or(0, |snapshot| snapshot.version),
        config_applied_ms: node.applied_ms.load(Ordering::Relaxed),
        uptime_ms,
        span: Span { began_ms: clock.unix_ms.saturating_sub(uptime_ms), now_ms: clock.unix_ms },
        limits: limit_line(node),
        shared_store: limits::store_line(node, snapshot.as_deref()),
        file_transfers: u64::from(node.file_transfers.load(Ordering::Relaxed)),
        key_cache: key_cache_line(node),
        revocations: revocation_line(node),
        proofs: proof_line(node),
        address_blocks: node.blocks.count() as u64,
        address_files: snapshot.as_deref().map(addresses::lines).unwrap_or_default(),
        password_cache: password_cache_line(node),
        nonces: nonce_line(node),
        opaque_tokens: node.keys.opaque_size(),
        records: node.records.counts(),
        breakers: services.iter().flat_map(|service| breakers::lines(service, clock)).collect(),
        overload: overload_line(&node.load),
        concurrencies: concurrency_lines(node),
        pending: pending_lines(node),
        worker_connections: node.crowd.open().collect(),
        instances: services.iter().flat_map(instance_lines).collect(),
        services: services.iter().map(service_line).collect(),
    }
}

fn limit_line(node: &Node) -> LimitLine {
    let counters = &node.counters;
    let (waiting, waiting_full) = counters.waiting();
    let (bans, bans_so_far) = counters.count_bans(super::unix_ms());
    LimitLine {
        keys: counters.len() as u64,
        full: counters.bound_hits(),
        waiting: u64::from(waiting),
        waiting_full,
        bans,
        bans_so_far,
        emergencies: counters.emergencies(super::unix_ms()),
    }
}

fn key_cache_line(node: &Node) -> KeyCacheLine {
    let size = node.keys.stored().size();
    KeyCacheLine { known: size.known as u64, unknown: size.refused as u64, evicted: size.evicted }
}

fn proof_line(node: &Node) -> ProofLine {
    let (proofs, full) = node.keys.replays_size();
    ProofLine { proofs, full }
}

fn revocation_line(node: &Node) -> RevocationLine {
    let size = node.keys.revocations().size();
    RevocationLine { held: size.held as u64, most: size.most as u64, covered: size.covered }
}

fn password_cache_line(node: &Node) -> PasswordCacheLine {
    let size = node.keys.passwords().size();
    PasswordCacheLine { right: size.right as u64, wrong: size.wrong as u64 }
}

fn nonce_line(node: &Node) -> NonceLine {
    let (nonces, full) = node.keys.nonces_size();
    NonceLine { nonces, full }
}

fn concurrency_lines(node: &Node) -> Vec<ConcurrencyLine> {
    let line = |(service, concurrency): (Box<str>, Arc<Concurrency>)| {
        let (in_flight, limit) = concurrency.now();
        ConcurrencyLine { service, in_flight, limit: limit.unwrap_or(0) }
    };
    node.concurrencies.list().into_iter().map(line).collect()
}

fn pending_lines(node: &Node) -> Vec<PendingLine> {
    let line = |(service, queue): (Box<str>, Arc<Queue>)| PendingLine { service, requests: queue.waiting() };
    node.queues.list().into_iter().map(line).collect()
}

fn overload_line(load: &Load) -> OverloadLine {
    let pressure = load.pressure();
    OverloadLine {
        cpu_percent: pressure.cpu.percent,
        memory_percent: pressure.memory.percent,
        memory_limit: load.memory().1,
        cpu_refused: pressure.cpu.refused,
        memory_refused: pressure.memory.refused,
    }
}

fn instance_lines(service: &ServiceSummary) -> impl Iterator<Item = InstanceLine> {
    service.instances.iter().map(|instance| InstanceLine {
        service: service.name.clone(),
        instance: instance.name.clone(),
        standing: instance.standing.text(),
        in_flight: instance.in_flight,
        picks: instance.picks,
        ejections: instance.ejections,
    })
}

fn service_line(service: &ServiceSummary) -> ServiceLine {
    ServiceLine {
        service: service.name.clone(),
        panics: service.panics,
        panics_so_far: service.panics_so_far,
        ejections_prevented: service.ejections_prevented,
    }
}

/// What is live, as JSON.
fn state(node: &Node, listeners: &[OpenListener]) -> Vec<u8> {
    let snapshot = node.snapshot();
    let counts = node.records.counts();
    let tiers: Vec<Value> = snapshot
        .iter()
        .flat_map(|snapshot| snapshot.tier_entries.iter().map(|entry| tier(node, entry)))
        .collect();
    let clock = Clock { now: Instant::now(), unix_ms: super::unix_ms() };
    let services = node.services.summary(clock.now);
    let document = json!({
        "version": snapshot.as_ref().map(|snapshot| snapshot.version),
        "node": snapshot.as_ref().map(|snapshot| &*snapshot.node),
        "software": snapshot.as_ref().map(|snapshot| &*snapshot.software),
        "draining": node.is_draining(),
        "uptime_ms": node.started.elapsed().as_millis() as u64,
        "workers": node.options.workers,
        "connections": node.connections.load(Ordering::Relaxed),
        "worker_connections": node.crowd.open().collect::<Vec<_>>(),
        "in_flight": node.load.in_flight(),
        "listeners": listeners.iter().map(listener).collect::<Vec<_>>(),
        "services": services.iter().map(|found| service(found, clock)).collect::<Vec<_>>(),
        "overload": overload(node),
        "tiers": tiers,
        "address_files": addresses::documents(snapshot.as_deref()),
        "address_blocks": node.blocks.count(),
        "limit_keys": node.counters.len(),
        "limit_store": limits::store(node, snapshot.as_deref()),
        "records": {"written": counts.written, "dropped": counts.dropped, "queued": counts.queued},
    });
    document.to_string().into_bytes()
}

/// What sheds, and whom.
fn overload(node: &Node) -> Value {
    let pressure = node.load.pressure();
    let (memory, limit) = node.load.memory();
    let refused = Priority::ALL.into_iter().filter(|priority| pressure.refuses(*priority));
    json!({
        "cpu_percent": pressure.cpu.percent,
        "memory_percent": pressure.memory.percent,
        "memory_bytes": memory,
        "memory_limit_bytes": limit,
        "refused": refused.map(Priority::text).collect::<Vec<_>>(),
    })
}

/// How many callers of each tier are listed.
const BUSIEST: usize = 10;

fn tier(node: &Node, entry: &TierEntry) -> Value {
    let name = &*entry.counted.named.name;
    let busiest = node.counters.busiest(name, BUSIEST, super::unix_ms());
    json!({
        "name": name,
        "dry_run": entry.dry_run,
        "emergency": super::limits::by_hand(node, name),
        "busiest": busiest.iter().map(|usage| json!({"caller": usage.caller, "used": usage.used})).collect::<Vec<_>>(),
    })
}

fn listener(open: &OpenListener) -> Value {
    json!({
        "name": open.name,
        "address": open.bound.to_string(),
        "connections": open.door.open.load(Ordering::Relaxed),
    })
}

fn service(service: &ServiceSummary, clock: Clock) -> Value {
    json!({
        "name": service.name,
        "instances": service.instances.iter().map(instance).collect::<Vec<_>>(),
        "panic": service.panics,
        "capped_in_flight": service.capped_in_flight,
        "breakers": breakers::documents(service, clock),
    })
}

fn instance(instance: &InstanceSummary) -> Value {
    json!({
        "name": instance.name,
        "address": instance.address.to_string(),
        "weight": instance.weight,
        "state": instance.standing.text(),
        "healthy": instance.standing == Standing::Healthy,
        "share_percent": instance.share,
        "ejected_for_ms": instance.ejected_for.as_millis() as u64,
        "draining_for_ms": instance.draining_for.as_millis() as u64,
        "ejections": instance.ejections,
        "requests": instance.picks,
        "in_flight": instance.in_flight,
        "consecutive_failures": instance.consecutive_failures,
    })
}

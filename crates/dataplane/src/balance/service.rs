//! A service as one snapshot describes it, over state that outlives the snapshot.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hashbrown::HashMap;

use super::breaker::{Breaker, Rules};
use super::health::Events;
use super::instance::{Instance, Roster};
use super::registry::Registry;
use crate::snapshot::document::{
    HealthCheckDocument, HealthKindDocument, InstanceDocument, PoolDocument, ServiceDocument,
};

/// What a client is told to wait where no health check says when things may be better.
const DEFAULT_RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Service {
    pub name: String,
    /// Position in the snapshot.
    pub index: u32,
    pub pool: PoolDocument,
    pub(super) health_check: Option<HealthCheckDocument>,
    pub(super) breaker_rules: Option<Rules>,
    pub(super) breaker: Arc<Breaker>,
    /// The list in the snapshot; the roster may have been replaced by discovery since.
    pub(super) listed: Vec<InstanceDocument>,
    pub(super) roster: Arc<ArcSwap<Roster>>,
    pub(super) events: Arc<Events>,
}

impl Service {
    /// The instances balanced over right now.
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.roster.load().instances.clone()
    }

    /// Passive failures alone never take an instance out: without a health check nothing would bring it back.
    pub(super) fn may_use(&self, instance: &Instance) -> bool {
        self.health_check.is_none() || instance.health().healthy
    }

    pub(super) fn retry_after(&self) -> Duration {
        self.health_check.as_ref().map_or(DEFAULT_RETRY, |check| Duration::from_millis(check.interval_ms))
    }
}

/// The services of one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Services {
    list: Vec<Arc<Service>>,
    names: HashMap<String, u32>,
}

impl Services {
    /// Compiles services over the state that the registry knows for their names. Changes nothing that is live:
    /// [`Registry::adopt`] does that, once the snapshot is. The error names the service and where it stands.
    pub fn compile(services: &[ServiceDocument], registry: &Registry) -> Result<Self, String> {
        let mut compiled = Self::default();
        for (index, document) in (0..).zip(services) {
            let live = registry.service(&document.name);
            let service = compile_one(document, index, (live.as_deref(), registry))
                .map_err(|error| format!("{}: service `{}`: {error}", document.at, document.name))?;
            if compiled.names.insert(document.name.clone(), index).is_some() {
                return Err(format!("{}: service `{}` is defined twice", document.at, document.name));
            }
            compiled.list.push(Arc::new(service));
        }
        Ok(compiled)
    }

    /// By position in the snapshot.
    pub fn get(&self, index: u32) -> Option<&Arc<Service>> {
        self.list.get(index as usize)
    }

    /// The position of a service.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.list.iter()
    }
}

fn compile_one(
    document: &ServiceDocument,
    index: u32,
    (live, registry): (Option<&Service>, &Registry),
) -> Result<Service, String> {
    document.health_check.as_ref().map_or(Ok(()), check_health)?;
    Ok(Service {
        name: document.name.clone(),
        index,
        pool: document.pool.clone(),
        health_check: document.health_check.clone(),
        breaker_rules: document.circuit_breaker.as_ref().map(Rules::compile).transpose()?,
        breaker: live.map(|live| Arc::clone(&live.breaker)).unwrap_or_default(),
        listed: document.instances.clone(),
        roster: roster(document, live)?,
        events: registry.events(),
    })
}

/// An unchanged list keeps the roster, and with it what discovery has put there.
fn roster(document: &ServiceDocument, live: Option<&Service>) -> Result<Arc<ArcSwap<Roster>>, String> {
    match live {
        Some(live) if live.listed == document.instances => Ok(Arc::clone(&live.roster)),
        Some(live) => {
            let roster = Roster::compile(&document.instances, Some(live.roster.load().as_ref()))?;
            Ok(Arc::new(ArcSwap::from_pointee(roster)))
        }
        None => Ok(Arc::new(ArcSwap::from_pointee(Roster::compile(&document.instances, None)?))),
    }
}

fn check_health(document: &HealthCheckDocument) -> Result<(), String> {
    match &document.kind {
        HealthKindDocument::Http { path } | HealthKindDocument::Http2 { path } => check_path(path)?,
        HealthKindDocument::Grpc { service } if service.len() < 128 => {}
        HealthKindDocument::Grpc { .. } => {
            return Err("the name of a gRPC service has 128 characters or more".to_owned());
        }
    }
    let least = [document.interval_ms, document.timeout_ms].into_iter().min();
    if least == Some(0) || document.unhealthy_after == 0 || document.healthy_after == 0 {
        return Err("a health check needs times and counts above 0".to_owned());
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), String> {
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("health check path `{}` is not a path", path.escape_debug()))
}

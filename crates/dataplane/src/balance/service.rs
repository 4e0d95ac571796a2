//! A service as one snapshot describes it, over state that outlives the snapshot.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hashbrown::HashMap;

use super::breaker::Breaker;
use super::health::Events;
use super::instance::{Instance, Roster};
use super::registry::Registry;
use crate::snapshot::document::{
    BreakerDocument, HealthCheckDocument, InstanceDocument, PoolDocument, ServiceDocument,
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
    pub(super) breaker_settings: Option<BreakerDocument>,
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
    document.circuit_breaker.as_ref().map_or(Ok(()), check_breaker)?;
    Ok(Service {
        name: document.name.clone(),
        index,
        pool: document.pool.clone(),
        health_check: document.health_check.clone(),
        breaker_settings: document.circuit_breaker.clone(),
        breaker: breaker(document, live),
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

/// Counts of another window length mean something else, so only then the state starts anew.
fn breaker(document: &ServiceDocument, live: Option<&Service>) -> Arc<Breaker> {
    let kept = live.map(|live| &live.breaker);
    let Some(settings) = &document.circuit_breaker else {
        return kept.map_or_else(|| Arc::new(Breaker::new(0)), Arc::clone);
    };
    match kept {
        Some(breaker) if breaker.window_ms() == settings.window_ms => Arc::clone(breaker),
        Some(_) | None => Arc::new(Breaker::new(settings.window_ms)),
    }
}

fn check_health(document: &HealthCheckDocument) -> Result<(), String> {
    let path = &document.path;
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("health check path `{}` is not a path", path.escape_debug()));
    }
    let least = [document.interval_ms, document.timeout_ms].into_iter().min();
    if least == Some(0) || document.unhealthy_after == 0 || document.healthy_after == 0 {
        return Err("a health check needs times and counts above 0".to_owned());
    }
    Ok(())
}

fn check_breaker(document: &BreakerDocument) -> Result<(), String> {
    if !(0.0..=1.0).contains(&document.failure_ratio) {
        return Err(format!("the breaker's failure_ratio {} is not within 0 to 1", document.failure_ratio));
    }
    if document.window_ms < 10 || document.open_for_ms == 0 || document.probes == 0 {
        return Err("a breaker needs a window of 10 ms or more, open_for and probes above 0".to_owned());
    }
    Ok(())
}

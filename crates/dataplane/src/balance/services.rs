//! The services of a snapshot, compiled over what is known of them.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use hashbrown::HashMap;

use super::breaker::{Breaker, Rules};
use super::events::Events;
use super::ledger::Ledger;
use super::pins;
use super::roster::Roster;
use super::service::Service;
use super::terms::Terms;
use crate::snapshot::document::{
    EjectionDocument, HealthCheckDocument, HttpProbeDocument, ProbeDocument, ServiceDocument,
};
use crate::tls::ServiceTls;

/// What gives the TLS of a service, where it has one.
pub type Secure<'a> = dyn Fn(&ServiceDocument) -> Result<Option<Arc<ServiceTls>>, String> + 'a;

/// What outlives snapshots.
pub(super) struct Known {
    /// By name.
    pub(super) live: HashMap<String, Arc<Service>>,
    pub(super) events: Arc<Events>,
}

/// The services of one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Services {
    list: Vec<Arc<Service>>,
    names: HashMap<String, u32>,
}

impl Services {
    pub(super) fn compile(
        services: &[ServiceDocument],
        known: &Known,
        secure: &Secure<'_>,
    ) -> Result<Self, String> {
        let mut compiled = Self::default();
        for (index, document) in (0..).zip(services) {
            let compiled_one = secure(document).and_then(|tls| compile_one(document, index, known, tls));
            let service = compiled_one
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

    /// Takes every instance for healthy, for a look at decisions that no probe will precede.
    pub fn assume_healthy(&self) {
        let services = self.list.iter();
        services.flat_map(|service| service.instances()).for_each(|instance| instance.assume_healthy());
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.list.iter()
    }
}

fn compile_one(
    document: &ServiceDocument,
    index: u32,
    known: &Known,
    tls: Option<Arc<ServiceTls>>,
) -> Result<Service, String> {
    document.health_check.as_ref().map_or(Ok(()), check_health)?;
    document.balance.ejection.as_ref().map_or(Ok(()), check_ejection)?;
    document.balance.sticky.as_ref().map_or(Ok(()), pins::check)?;
    let live = known.live.get(&document.name).map(AsRef::as_ref);
    let ledger = live.map_or_else(|| Arc::new(Ledger::new(Instant::now())), |live| Arc::clone(&live.ledger));
    let roster = roster(document, live)?;
    ledger.mark(&roster.load());
    Ok(Service {
        name: document.name.clone(),
        index,
        pool: document.pool.clone(),
        balance: document.balance.clone(),
        tls,
        retry_budget: live.map(|live| Arc::clone(&live.retry_budget)).unwrap_or_default(),
        health_check: document.health_check.clone(),
        breaker_rules: document.circuit_breaker.as_ref().map(Rules::compile).transpose()?,
        breaker: live.map(|live| Arc::clone(&live.breaker)).unwrap_or_default(),
        tenant_breakers: live.map(|live| Arc::clone(&live.tenant_breakers)).unwrap_or_default(),
        own_breakers: document.own_breakers.iter().map(|route| own_breaker(route, live)).collect(),
        listed: document.instances.clone(),
        roster,
        ledger,
        events: Arc::clone(&known.events),
    })
}

/// An unchanged list keeps its instances, and with them what discovery has put there. They are the very same roster
/// only while who may be sent requests is decided alike.
fn roster(document: &ServiceDocument, live: Option<&Service>) -> Result<Arc<ArcSwap<Roster>>, String> {
    let terms = Terms { balance: &document.balance, health: document.health_check.as_ref() };
    let Some(live) = live else {
        return Ok(Arc::new(ArcSwap::from_pointee(Roster::compile(&document.instances, terms, None)?)));
    };
    let known = live.roster.load();
    if live.listed != document.instances {
        let roster = Roster::compile(&document.instances, terms, Some(known.as_ref()))?;
        return Ok(Arc::new(ArcSwap::from_pointee(roster)));
    }
    if live.balance == document.balance && live.health_check == document.health_check {
        return Ok(Arc::clone(&live.roster));
    }
    let is_same =
        live.balance.algorithm == terms.balance.algorithm && live.balance.sticky == terms.balance.sticky;
    let roster = if is_same { known.again() } else { known.again_for(terms.balance) };
    Ok(Arc::new(ArcSwap::from_pointee(roster)))
}

fn own_breaker(route: &str, live: Option<&Service>) -> (String, Arc<Breaker>) {
    let known = live.into_iter().flat_map(|live| &live.own_breakers).find(|(owner, _)| owner == route);
    (route.to_owned(), known.map(|(_, breaker)| Arc::clone(breaker)).unwrap_or_default())
}

fn check_health(document: &HealthCheckDocument) -> Result<(), String> {
    match &document.kind {
        ProbeDocument::Http(http) | ProbeDocument::Http2(http) => check_http(http)?,
        ProbeDocument::Grpc { service } if service.len() >= 128 => {
            return Err("the name of a gRPC service has 128 characters or more".to_owned());
        }
        ProbeDocument::Grpc { .. } | ProbeDocument::Tcp => {}
    }
    let least = [document.interval_ms, document.unhealthy_interval_ms, document.timeout_ms].into_iter().min();
    if document.jitter > 100 || document.port == Some(0) {
        return Err("a health check needs a port above 0 and a jitter up to 100".to_owned());
    }
    if least == Some(0) || document.unhealthy_after == 0 || document.healthy_after == 0 {
        return Err("a health check needs times and counts above 0".to_owned());
    }
    Ok(())
}

fn check_ejection(document: &EjectionDocument) -> Result<(), String> {
    if document.base_ms == 0 || document.maximum_ms < document.base_ms || document.max_share > 100 {
        return Err(
            "an ejection needs a base time above 0, a maximum not below, a share up to 100".to_owned()
        );
    }
    Ok(())
}

/// What would make more than one request of the probe.
fn check_http(document: &HttpProbeDocument) -> Result<(), String> {
    let path = &document.path;
    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !path.starts_with('/') || !is_visible(path) {
        return Err(format!("health check path `{}` is not a path", path.escape_debug()));
    }
    if !document.host.as_deref().is_none_or(|host| !host.is_empty() && is_visible(host)) {
        return Err("the host of the health check is no host".to_owned());
    }
    let is_clean = |value: &String| !value.chars().any(char::is_control);
    let named = |name: &String| !name.is_empty() && is_visible(name) && !name.contains(':');
    if !document.headers.iter().all(|(name, value)| named(name) && is_clean(value)) {
        return Err("a header of the health check is no header".to_owned());
    }
    Ok(())
}

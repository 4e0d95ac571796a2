//! A service as one snapshot describes it, over state that outlives the snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use hashbrown::HashMap;

use super::breaker::{Breaker, BreakerChange, Rules};
use super::budget::Budget;
use super::health::Events;
use super::instance::Instance;
use super::ledger::Ledger;
use super::registry::Registry;
use super::roster::{Roster, Terms};
use super::standing::Standing;
use super::sticky;
use crate::snapshot::document::{
    BalanceDocument, EjectionDocument, HealthCheckDocument, HttpProbeDocument, InstanceDocument,
    PoolDocument, ProbeDocument, ServiceDocument,
};
use crate::tls::ServiceTls;

/// What a client is told to wait where no health check says when things may be better.
const DEFAULT_RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Service {
    pub name: String,
    /// Position in the snapshot.
    pub index: u32,
    pub pool: PoolDocument,
    pub(super) balance: BalanceDocument,
    /// How its instances are spoken to; `None`: in plain.
    pub tls: Option<Arc<ServiceTls>>,
    /// Of retries, for all routes to it.
    pub retry_budget: Arc<Budget>,
    pub(super) health_check: Option<HealthCheckDocument>,
    pub(super) breaker_rules: Option<Rules>,
    pub(super) breaker: Arc<Breaker>,
    /// Of routes with a breaker of their own, under their names.
    pub(super) own_breakers: Vec<(String, Arc<Breaker>)>,
    /// The list in the snapshot; the roster may have been replaced by discovery since.
    pub(super) listed: Vec<InstanceDocument>,
    pub(super) roster: Arc<ArcSwap<Roster>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) events: Arc<Events>,
}

impl Service {
    /// The instances balanced over right now.
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.roster.load().members.instances.clone()
    }

    /// Who is balanced over at this moment. Whoever comes first after a change works it out for all.
    pub(super) fn roster(&self, now: Instant) -> Guard<Arc<Roster>> {
        let roster = self.roster.load();
        // Asked before the instances are, so that what changes meanwhile is seen next time.
        let changes = self.ledger.changes();
        if roster.is_current(changes, now) {
            return roster;
        }
        let renewed = Arc::new(roster.renewed(self, changes, now));
        // Where another thread was quicker its roster is as good, and a new list must not be lost.
        let panics = renewed.panics && !roster.panics;
        let before = self.roster.compare_and_swap(&roster, renewed);
        if panics && Arc::ptr_eq(&before, &roster) {
            self.ledger.panicked();
        }
        self.roster.load()
    }

    pub(super) fn change_breakers(&self, name: Option<&str>, change: &BreakerChange, now: Instant) -> usize {
        let Some(rules) = &self.breaker_rules else { return 0 };
        let is_meant = |own: String| name.is_none_or(|name| name == own);
        let whole = is_meant(self.name.clone());
        let mut changed = 0;
        if rules.is_per_instance() {
            for instance in self.instances() {
                let meant = whole || is_meant(format!("{}@{}", self.name, instance.name));
                changed += usize::from(meant && instance.breaker.apply(change, rules, now));
            }
        } else {
            changed += usize::from(whole && self.breaker.apply(change, rules, now));
        }
        for (route, breaker) in &self.own_breakers {
            let meant = is_meant(format!("{}/{route}", self.name));
            changed += usize::from(meant && breaker.apply(change, rules, now));
        }
        changed
    }

    pub(super) fn terms(&self) -> Terms<'_> {
        Terms { balance: &self.balance, health: self.health_check.as_ref() }
    }

    /// Failures of traffic count for health only where a check would bring the instance back.
    pub(super) fn standing(&self, instance: &Instance, now: Instant) -> Standing {
        if instance.draining_since().is_some() { Standing::Draining } else { self.condition(instance, now) }
    }

    /// The same, whatever anybody wants of it.
    pub(super) fn condition(&self, instance: &Instance, now: Instant) -> Standing {
        if self.balance.ejection.is_some() && instance.record.is_out(instance.clock.stamp(now)) {
            Standing::Ejected
        } else if self.health_check.is_some() && !instance.health().healthy {
            Standing::Unhealthy
        } else {
            Standing::Healthy
        }
    }

    /// When asking again may help: the next check, or the end of an ejection where that comes sooner.
    pub(super) fn retry_after(&self, roster: &Roster, now: Instant) -> Duration {
        let check = self.health_check.as_ref().map(|check| Duration::from_millis(check.interval_ms));
        let due = roster.due().map(|due| due.saturating_duration_since(now));
        check.into_iter().chain(due).min().unwrap_or(DEFAULT_RETRY)
    }
}

/// What gives the TLS of a service, where it has one.
pub type Secure<'a> = dyn Fn(&ServiceDocument) -> Result<Option<Arc<ServiceTls>>, String> + 'a;

/// The services of one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Services {
    list: Vec<Arc<Service>>,
    names: HashMap<String, u32>,
}

impl Services {
    /// Compiles services over the state that the registry knows for their names. Changes nothing that is live:
    /// [`Registry::adopt`] does that, once the snapshot is. The error names the service and where it stands.
    /// `secure` gives the TLS of a service.
    pub fn compile(
        services: &[ServiceDocument],
        registry: &Registry,
        secure: &Secure<'_>,
    ) -> Result<Self, String> {
        let mut compiled = Self::default();
        for (index, document) in (0..).zip(services) {
            let live = registry.service(&document.name);
            let compiled_one = secure(document)
                .and_then(|tls| compile_one(document, index, (live.as_deref(), registry), tls));
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
    (live, registry): (Option<&Service>, &Registry),
    tls: Option<Arc<ServiceTls>>,
) -> Result<Service, String> {
    document.health_check.as_ref().map_or(Ok(()), check_health)?;
    document.balance.ejection.as_ref().map_or(Ok(()), check_ejection)?;
    document.balance.sticky.as_ref().map_or(Ok(()), sticky::check)?;
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
        own_breakers: document.own_breakers.iter().map(|route| own_breaker(route, live)).collect(),
        listed: document.instances.clone(),
        roster,
        ledger,
        events: registry.events(),
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

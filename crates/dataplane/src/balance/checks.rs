//! Active health checks: who answers its probes?
//!
//! [`run`] asks every instance of every live service, one loop each. At most 64 probes are under way; where that many
//! hang, the others wait for their time-outs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::events::Events;
use super::instance::Instance;
use super::ledger::Ledger;
use super::probe::probe;
use super::registry::Registry;
use super::service::Service;
use crate::io::address::Address;
use crate::snapshot::document::HealthCheckDocument;
use crate::tls::ServiceTls;

/// Probes under way at one time, of all services together.
const MAX_PROBES: usize = 64;

/// Probes all instances of all live services that have a health check, until `shutdown` is ready. For a runtime of the
/// control thread; one call per registry. A new or changed instance or setting is probed at once, and again after each
/// interval, give or take its jitter.
pub async fn run(registry: Arc<Registry>, shutdown: impl Future<Output = ()>) {
    let events = registry.events();
    let mut shutdown = pin!(shutdown);
    let mut watches = Watches::new(Arc::clone(&events));
    loop {
        watches.follow(&registry);
        tokio::select! {
            () = &mut shutdown => return,
            () = events.next_lists() => {}
            // A loop ends only when it was stopped; this takes it off the books.
            Some(_) = watches.tasks.join_next() => {}
        }
    }
}

struct Watch {
    instance: Arc<Instance>,
    tls: Option<Arc<ServiceTls>>,
    settings: HealthCheckDocument,
    task: AbortHandle,
}

/// The probe loops that run; dropping it stops them all.
struct Watches {
    running: HashMap<(String, Arc<str>, Address), Watch>,
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
    events: Arc<Events>,
}

impl Watches {
    fn new(events: Arc<Events>) -> Self {
        let places = Arc::new(Semaphore::new(MAX_PROBES));
        Self { running: HashMap::new(), tasks: JoinSet::new(), places, events }
    }

    /// Starts, stops and restarts loops until they are those that the registry asks for.
    fn follow(&mut self, registry: &Registry) {
        let mut before = std::mem::take(&mut self.running);
        for service in registry.services() {
            let Some(settings) = &service.health_check else { continue };
            for instance in service.instances() {
                let key = (service.name.clone(), instance.name.clone(), instance.address.clone());
                let kept = before.remove(&key).filter(|watch| watch.is_for(&instance, &service, settings));
                let watch = kept.unwrap_or_else(|| self.start(&service, instance, settings.clone()));
                self.running.insert(key, watch);
            }
        }
    }

    fn start(&mut self, service: &Service, instance: Arc<Instance>, settings: HealthCheckDocument) -> Watch {
        let turn = Turn {
            places: Arc::clone(&self.places),
            events: Arc::clone(&self.events),
            ledger: Arc::clone(&service.ledger),
        };
        let tls = service.tls.clone();
        let task = self.tasks.spawn(turn.keep_probing(Arc::clone(&instance), tls.clone(), settings.clone()));
        Watch { instance, tls, settings, task }
    }
}

impl Watch {
    /// An instance that left its list and came back is another one, with its health forgotten.
    fn is_for(&self, instance: &Arc<Instance>, service: &Service, settings: &HealthCheckDocument) -> bool {
        let id = |tls: &Option<Arc<ServiceTls>>| tls.as_ref().map(|tls| tls.id);
        Arc::ptr_eq(&self.instance, instance)
            && id(&self.tls) == id(&service.tls)
            && self.settings == *settings
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Turn {
    places: Arc<Semaphore>,
    events: Arc<Events>,
    ledger: Arc<Ledger>,
}

impl Turn {
    async fn keep_probing(
        self,
        instance: Arc<Instance>,
        tls: Option<Arc<ServiceTls>>,
        settings: HealthCheckDocument,
    ) {
        loop {
            let Ok(place) = self.places.acquire().await else { return };
            let ok = probe(&instance, tls.as_deref(), &settings).await;
            drop(place);
            if instance.observe(ok, &settings).is_some() {
                self.ledger.changed();
                self.events.health_changed();
            }
            let is_healthy = instance.health().healthy;
            let interval = if is_healthy { settings.interval_ms } else { settings.unhealthy_interval_ms };
            tokio::time::sleep(jittered(interval, settings.jitter)).await;
        }
    }
}

/// Spread, so that the probes of many nodes and instances do not come at one moment.
fn jittered(interval_ms: u64, jitter: u32) -> Duration {
    let most = interval_ms * u64::from(jitter) / 100;
    Duration::from_millis(interval_ms - most + fastrand::u64(0..=most * 2))
}

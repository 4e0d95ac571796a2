//! Connections to services that are opened before a request needs them (requirement UP-1).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::balance::{Instance, Service};
use crate::io::dial::Destination;
use crate::proxy::Protocol;
use crate::proxy::pool::PoolSettings;
use crate::proxy::upstream::Upstream;
use crate::snapshot::ServiceEntry;
use crate::worker::Worker;

/// Opens to each instance what is missing of the connections that its service wants. Called every second, so an instance
/// that takes none is asked as often.
pub fn keep(worker: &Rc<Worker>) {
    let Some(snapshot) = worker.node.snapshot().filter(|_| !worker.node.is_draining()) else { return };
    for (entry, service) in snapshot.service_entries.iter().zip(snapshot.services.iter()) {
        if entry.pool.minimum > 0 && entry.protocol == Protocol::Http1 {
            serve(worker, service, entry);
        }
    }
}

fn serve(worker: &Rc<Worker>, service: &Arc<Service>, entry: &ServiceEntry) {
    let now = Instant::now();
    for instance in service.instances().into_iter().filter(|instance| service.is_available(instance, now)) {
        for _ in 0..worker.links.pools.borrow_mut().missing(&instance, &entry.pool) {
            let (worker, metrics) = (Rc::clone(worker), Arc::clone(&entry.metrics));
            let opening = open(Rc::clone(&worker), Arc::clone(service), Arc::clone(&instance), entry.pool);
            tokio::task::spawn_local(async move {
                if opening.await {
                    metrics.worker(worker.index).opened.add(1);
                }
            });
        }
    }
}

/// False where there was none to be had: that is for requests and health checks to judge.
async fn open(
    worker: Rc<Worker>,
    service: Arc<Service>,
    instance: Arc<Instance>,
    pool: PoolSettings,
) -> bool {
    let tls = service.tls.as_deref();
    let destination = Destination { address: &instance.address, name: &instance.name, tls };
    let opened = Upstream::connect(destination, pool.connect_timeout, Instant::now()).await.ok();
    let is_open = opened.is_some();
    worker.links.pools.borrow_mut().add(&instance, opened, Instant::now());
    is_open
}

//! What the proxy and the counters need of a service, compiled. Its instances and their state are `balance`'s.

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::pool::PoolSettings;
use crate::record::ServiceMetrics;
use crate::snapshot::document::{PoolDocument, SnapshotDocument};
use crate::snapshot::{Lasting, Named};

#[derive(Debug)]
pub struct ServiceEntry {
    pub named: Named,
    pub pool: PoolSettings,
    pub metrics: Arc<ServiceMetrics>,
}

pub fn compile(document: &SnapshotDocument, lasting: &Lasting<'_>) -> Vec<ServiceEntry> {
    document
        .services
        .iter()
        .map(|service| ServiceEntry {
            named: Named::new(&service.name, &service.at),
            pool: pool_settings(&service.pool, lasting.workers),
            metrics: lasting.metrics.service(&service.name),
        })
        .collect()
}

/// The node's limit is shared out to the workers, because pools are theirs.
fn pool_settings(document: &PoolDocument, workers: usize) -> PoolSettings {
    PoolSettings {
        connections: (document.max_connections as usize).div_ceil(workers.max(1)).max(1),
        pending: document.max_pending as usize,
        connect_timeout: Duration::from_millis(document.connect_timeout_ms),
        idle_timeout: Duration::from_millis(document.idle_timeout_ms),
        max_lifetime: Duration::from_millis(document.max_lifetime_ms),
    }
}

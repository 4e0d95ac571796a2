//! What the proxy and the counters need of a service, compiled. Its instances and their state are `balance`'s.

use std::sync::Arc;
use std::time::Duration;

use crate::balance::Services;
use crate::proxy::pool::PoolSettings;
use crate::proxy::queue::Queue;
use crate::proxy::{Protocol, http2};
use crate::record::ServiceMetrics;
use crate::snapshot::document::{PoolDocument, ProtocolDocument, ServiceDocument, SnapshotDocument};
use crate::snapshot::{Lasting, Named};
use crate::tls::{self, ServiceTls};

#[derive(Debug)]
pub struct ServiceEntry {
    pub named: Named,
    pub pool: PoolSettings,
    pub queue: Arc<Queue>,
    pub protocol: Protocol,
    pub metrics: Arc<ServiceMetrics>,
}

/// The services themselves, with what is kept of them.
pub fn live(document: &SnapshotDocument, lasting: &Lasting<'_>) -> Result<Services, String> {
    let secure = |service: &ServiceDocument| secure(document, service, lasting.tls);
    lasting.services.compile(&document.services, &secure)
}

pub fn compile(document: &SnapshotDocument, services: &Services, lasting: &Lasting<'_>) -> Vec<ServiceEntry> {
    document
        .services
        .iter()
        .zip(services.iter())
        .map(|(service, live)| ServiceEntry {
            named: Named::new(&service.name, &service.at),
            pool: PoolSettings {
                head_bytes: service.max_header_bytes as usize,
                tls: live.tls.as_ref().map_or(0, |tls| tls.id),
                ..pool_settings(&service.pool, lasting.workers)
            },
            queue: lasting.queues.get(&service.name),
            protocol: protocol(&service.protocol),
            metrics: lasting.metrics.service(&service.name),
        })
        .collect()
}

fn protocol(document: &ProtocolDocument) -> Protocol {
    match document {
        ProtocolDocument::Http1 => Protocol::Http1,
        ProtocolDocument::Http2(http2) => Protocol::Http2(http2::Settings {
            max_streams: http2.max_streams.max(1) as usize,
            window: http2.window,
            ping_interval: Duration::from_millis(http2.ping_interval_ms),
            ping_timeout: Duration::from_millis(http2.ping_timeout_ms),
        }),
    }
}

/// The node's limit is shared out to the workers, because pools are theirs.
fn pool_settings(document: &PoolDocument, workers: usize) -> PoolSettings {
    PoolSettings {
        connections: (document.max_connections as usize).div_ceil(workers.max(1)).max(1),
        minimum: (document.min_connections as usize).div_ceil(workers.max(1)),
        pending: document.max_pending as usize,
        connect_timeout: Duration::from_millis(document.connect_timeout_ms),
        idle_timeout: Duration::from_millis(document.idle_timeout_ms),
        max_lifetime: Duration::from_millis(document.max_lifetime_ms),
        head_bytes: 0,
        tls: 0,
    }
}

/// The TLS of a service, where it has one.
fn secure(
    document: &SnapshotDocument,
    service: &ServiceDocument,
    registry: &tls::Registry,
) -> Result<Option<Arc<ServiceTls>>, String> {
    let Some(tls) = &service.tls else { return Ok(None) };
    let trusted = match &tls.authorities {
        None => &[][..],
        Some(name) => tls::authorities_of(name, &document.authorities)?,
    };
    registry.service(service, tls, trusted).map(Some)
}

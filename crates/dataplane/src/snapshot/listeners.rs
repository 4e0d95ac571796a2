//! Listeners, compiled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::intake;
use crate::record::{self, ListenerMetrics};
use crate::request::Scheme;
use crate::snapshot::Named;
use crate::snapshot::document::{Http2Limits, ListenerDocument, PathParameters, Protocol, SnapshotDocument};

/// Which protocols a listener speaks; at least one.
#[derive(Clone, Copy, Debug)]
pub struct Protocols {
    pub http1: bool,
    pub http2: bool,
}

#[derive(Debug)]
pub struct Listener {
    pub named: Named,
    pub protocols: Protocols,
    pub address: SocketAddr,
    pub max_connections: u32,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub max_header_bytes: u32,
    pub max_uri_bytes: u32,
    pub trusted_proxies: Vec<IpNet>,
    pub path_parameters: PathParameters,
    pub http2: Http2Limits,
    pub metrics: Arc<ListenerMetrics>,
}

pub fn compile(document: &SnapshotDocument, metrics: &record::Registry) -> Vec<Arc<Listener>> {
    document.listeners.iter().map(|listener| Arc::new(Listener::compile(listener, metrics))).collect()
}

impl Listener {
    /// What intake allows on this listener.
    pub fn limits(&self, scheme: Scheme) -> intake::Limits<'_> {
        intake::Limits {
            max_header_bytes: self.max_header_bytes,
            max_uri_bytes: self.max_uri_bytes,
            trusted_proxies: &self.trusted_proxies,
            path_parameters: self.path_parameters,
            scheme,
        }
    }

    fn compile(document: &ListenerDocument, metrics: &record::Registry) -> Self {
        Self {
            named: Named::new(&document.name, &document.at),
            protocols: Protocols {
                http1: document.protocols.contains(&Protocol::Http1),
                http2: document.protocols.contains(&Protocol::Http2),
            },
            address: document.address,
            max_connections: document.max_connections,
            header_timeout: Duration::from_millis(document.header_timeout_ms),
            idle_timeout: Duration::from_millis(document.idle_timeout_ms),
            body_timeout: Duration::from_millis(document.body_timeout_ms),
            write_timeout: Duration::from_millis(document.write_timeout_ms),
            max_header_bytes: document.max_header_bytes,
            max_uri_bytes: document.max_uri_bytes,
            trusted_proxies: document.trusted_proxies.clone(),
            path_parameters: document.path_parameters,
            http2: document.http2,
            metrics: metrics.listener(&document.name),
        }
    }
}

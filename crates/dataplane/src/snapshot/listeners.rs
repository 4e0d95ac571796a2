//! Listeners, compiled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::intake;
use crate::record::ListenerMetrics;
use crate::request::Scheme;
use crate::snapshot::document::{ListenerDocument, PathParameters, SnapshotDocument};
use crate::snapshot::{Lasting, Named};
use crate::tls::ListenerTls;

#[derive(Debug)]
pub struct Listener {
    pub named: Named,
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
    pub tls: Option<ListenerTls>,
    pub metrics: Arc<ListenerMetrics>,
}

pub fn compile(document: &SnapshotDocument, lasting: &Lasting<'_>) -> Result<Vec<Arc<Listener>>, String> {
    document.listeners.iter().map(|listener| Listener::compile(listener, lasting).map(Arc::new)).collect()
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

    fn compile(document: &ListenerDocument, lasting: &Lasting<'_>) -> Result<Self, String> {
        let tls = document.tls.as_ref().map(|tls| ListenerTls::compile(&document.name, tls, lasting.tls));
        let located = |error| format!("{}: listener `{}`: {error}", document.at, document.name);
        Ok(Self {
            named: Named::new(&document.name, &document.at),
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
            tls: tls.transpose().map_err(located)?,
            metrics: lasting.metrics.listener(&document.name),
        })
    }
}

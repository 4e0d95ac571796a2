//! Listeners, compiled.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::intake;
use crate::io::address::Address;
use crate::record::ListenerMetrics;
use crate::refusal::{Malformed, Refusal};
use crate::request::{Request, Scheme};
use crate::snapshot::document::{
    Authorities, Http2Limits, ListenerDocument, PathParameters, Protocol, ProxyProtocolDocument,
    SnapshotDocument,
};
use crate::snapshot::{Lasting, Named};
use crate::tls::{Certificates, ListenerTls};

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
    pub address: Address,
    /// Of the file, where the address is one.
    pub socket_mode: u32,
    pub proxy_protocol: Option<ProxyProtocolDocument>,
    pub max_connections: u32,
    pub max_connections_per_client: Option<u32>,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    /// Bytes in a second; 0: any number.
    pub min_body_rate: u32,
    pub write_timeout: Duration,
    pub max_header_bytes: u32,
    pub max_uri_bytes: u32,
    pub trusted_proxies: Vec<IpNet>,
    pub path_parameters: PathParameters,
    pub tls: Option<ListenerTls>,
    pub redirection: Option<Redirection>,
    pub http2: Http2Limits,
    pub metrics: Arc<ListenerMetrics>,
}

/// Where requests that came in plain are sent on to.
#[derive(Debug)]
pub struct Redirection {
    port: u16,
    /// Of the listener at that port, where this node has one: only hosts that it serves are sent there.
    certificates: Option<Arc<Certificates>>,
}

impl Redirection {
    pub fn compile<'l>(port: u16, listeners: impl Iterator<Item = &'l Listener>) -> Self {
        let mut there = listeners.filter(|listener| listener.address.port() == Some(port));
        let tls = there.find_map(|listener| listener.tls.as_ref());
        Self { port, certificates: tls.map(|tls| Arc::clone(tls.certificates())) }
    }

    /// The same request over `https`. Refuses a request without a host, or for one that is not served there: whoever
    /// can make a client send a `Host` must not be able to send it anywhere.
    pub fn location(&self, request: &Request) -> Result<String, Refusal> {
        let host = request.host();
        if host.is_empty() {
            return Err(Refusal::Malformed(Malformed::MissingHost));
        }
        if self.certificates.as_ref().is_some_and(|certificates| !certificates.serve(host)) {
            return Err(Refusal::Misdirected);
        }
        let port = if self.port == HTTPS { String::new() } else { format!(":{}", self.port) };
        let query = request.query.map_or_else(String::new, |_| format!("?{}", request.query()));
        Ok(format!("https://{host}{port}{}{query}", request.path()))
    }
}

const HTTPS: u16 = 443;

pub fn compile(document: &SnapshotDocument, lasting: &Lasting<'_>) -> Result<Vec<Arc<Listener>>, String> {
    let compile = |listener| Listener::compile(listener, &document.authorities, lasting);
    let mut listeners = document.listeners.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
    let ports = document.listeners.iter().map(|listener| listener.redirect_to_https);
    let redirections: Vec<_> =
        ports.map(|port| port.map(|port| Redirection::compile(port, listeners.iter()))).collect();
    for (listener, redirection) in listeners.iter_mut().zip(redirections) {
        listener.redirection = redirection;
    }
    Ok(listeners.into_iter().map(Arc::new).collect())
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

    fn compile(
        document: &ListenerDocument,
        authorities: &Authorities,
        lasting: &Lasting<'_>,
    ) -> Result<Self, String> {
        let tls =
            document.tls.as_ref().map(|tls| ListenerTls::compile(document, tls, authorities, lasting.tls));
        let located = |error| format!("{}: listener `{}`: {error}", document.at, document.name);
        Ok(Self {
            named: Named::new(&document.name, &document.at),
            protocols: Protocols {
                http1: document.protocols.contains(&Protocol::Http1),
                http2: document.protocols.contains(&Protocol::Http2),
            },
            address: document.address.clone(),
            socket_mode: document.socket_mode,
            proxy_protocol: document.proxy_protocol.clone(),
            max_connections: document.max_connections,
            max_connections_per_client: document.max_connections_per_client,
            header_timeout: Duration::from_millis(document.header_timeout_ms),
            idle_timeout: Duration::from_millis(document.idle_timeout_ms),
            body_timeout: Duration::from_millis(document.body_timeout_ms),
            min_body_rate: document.min_body_rate,
            write_timeout: Duration::from_millis(document.write_timeout_ms),
            max_header_bytes: document.max_header_bytes,
            max_uri_bytes: document.max_uri_bytes,
            trusted_proxies: document.trusted_proxies.clone(),
            path_parameters: document.path_parameters,
            tls: tls.transpose().map_err(located)?,
            // Found out once all listeners are known.
            redirection: None,
            http2: document.http2,
            metrics: lasting.metrics.listener(&document.name),
        })
    }
}

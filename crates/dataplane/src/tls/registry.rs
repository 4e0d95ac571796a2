//! What belongs to TLS and outlives snapshots: keys of session tickets, handshakes in progress, sessions with services.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use rustls::server::ProducesTickets;

use crate::snapshot::document::{ProtocolDocument, ServiceDocument, ServiceTlsDocument};
use crate::tls::ServiceTls;
use crate::tls::service::HTTP2;

/// By name. A listener or service that comes back under its old name finds its state again.
#[derive(Debug, Default)]
pub struct Registry {
    listeners: Mutex<HashMap<Box<str>, Arc<Lasting>>>,
    services: Mutex<HashMap<Box<str>, KnownService>>,
    last_id: AtomicU64,
}

/// A service's TLS, and what it was made of.
#[derive(Debug)]
struct KnownService {
    document: ServiceTlsDocument,
    authorities: Vec<String>,
    protocol: &'static [u8],
    tls: Arc<ServiceTls>,
}

#[derive(Debug)]
pub(super) struct Lasting {
    /// Whose tickets are taken: those of listeners that demand the same of clients. A ticket stands for what its first
    /// handshake proved, so one from before a change would carry a client around the new demand.
    demand: Box<[u8]>,
    pub(super) tickets: Arc<dyn ProducesTickets>,
    handshakes: Arc<AtomicU32>,
}

impl Registry {
    /// The state of a listener for `demand`, a text of all that is asked of clients' certificates.
    pub(super) fn listener(&self, name: &str, demand: &[u8]) -> Result<Arc<Lasting>, String> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let known = listeners.get(name);
        if let Some(known) = known.filter(|known| *known.demand == *demand) {
            return Ok(Arc::clone(known));
        }
        let handshakes = known.map_or_else(Arc::default, |known| Arc::clone(&known.handshakes));
        // Keys are replaced every six hours, and each is good for twelve at most.
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
        let lasting = Arc::new(Lasting { demand: demand.into(), tickets, handshakes });
        listeners.insert(name.into(), Arc::clone(&lasting));
        Ok(lasting)
    }

    /// The TLS of a service. What has not changed stays, with its sessions and its pooled connections.
    pub fn service(
        &self,
        service: &ServiceDocument,
        document: &ServiceTlsDocument,
        authorities: &[String],
    ) -> Result<Arc<ServiceTls>, String> {
        let protocol = protocol(&service.protocol);
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let known = services.get(service.name.as_str()).filter(|known| {
            known.document == *document && known.authorities == authorities && known.protocol == protocol
        });
        if let Some(known) = known {
            return Ok(Arc::clone(&known.tls));
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let tls = Arc::new(ServiceTls::compile(document, authorities, (protocol, id))?);
        let (document, authorities) = (document.clone(), authorities.to_vec());
        let known = KnownService { document, authorities, protocol, tls: Arc::clone(&tls) };
        services.insert(service.name.as_str().into(), known);
        Ok(tls)
    }

    /// Forgets listeners and services that no snapshot has any more.
    pub fn sweep(&self) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|_, lasting| Arc::strong_count(lasting) > 1);
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|_, known| Arc::strong_count(&known.tls) > 1);
    }
}

/// What is spoken, as the handshake names it (RFC 7301).
fn protocol(document: &ProtocolDocument) -> &'static [u8] {
    match document {
        ProtocolDocument::Http1 => b"http/1.1",
        ProtocolDocument::Http2(_) => HTTP2,
    }
}

/// A place among the handshakes in progress of a listener; given back when dropped.
#[derive(Debug)]
pub(super) struct Handshake(Arc<AtomicU32>);

impl Lasting {
    /// `None` while `maximum` are in progress.
    pub(super) fn begin(&self, maximum: u32) -> Option<Handshake> {
        let count = &self.handshakes;
        let step = |now: u32| (now < maximum).then_some(now + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()?;
        Some(Handshake(Arc::clone(count)))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

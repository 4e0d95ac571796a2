//! The certificates of a listener, and which of them a client is shown.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hashbrown::HashMap;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::snapshot::document::CertificateDocument;
use crate::tls::provider;

/// Certificates that are shown for one name: several where their keys are of different kinds.
#[derive(Debug, Default)]
struct Shown {
    keys: Vec<Arc<CertifiedKey>>,
    /// Every name that one of them is good for.
    names: Vec<Box<str>>,
}

/// By name: exact, else wildcard, else the default, which is the first certificate.
#[derive(Debug)]
pub struct Certificates {
    by_name: HashMap<Box<str>, Shown>,
    default: Shown,
}

impl Certificates {
    /// Refuses an empty list, and keys that do not belong to their certificates.
    pub fn compile(documents: &[CertificateDocument]) -> Result<Self, String> {
        let mut compiled = Self { by_name: HashMap::new(), default: Shown::default() };
        for document in documents {
            let key = Arc::new(certified_key(document).map_err(|error| format!("{}: {error}", document.at))?);
            for name in &document.names {
                compiled.by_name.entry(name.as_str().into()).or_default().add(&key, &document.names);
            }
            if compiled.default.keys.is_empty() {
                compiled.default.add(&key, &document.names);
            }
        }
        if compiled.default.keys.is_empty() { Err("no certificate".to_owned()) } else { Ok(compiled) }
    }

    /// What a client is shown that names `server_name`, in lower case.
    fn shown(&self, server_name: Option<&str>) -> &Shown {
        let Some(name) = server_name else { return &self.default };
        let exact = self.by_name.get(name);
        let shown = exact.or_else(|| self.by_name.get(&*wildcard_of(name)?));
        shown.unwrap_or(&self.default)
    }

    /// Is there a certificate for `host`?
    pub fn serve(&self, host: &str) -> bool {
        self.by_name.contains_key(host)
            || wildcard_of(host).is_some_and(|name| self.by_name.contains_key(&*name))
    }

    /// Is what a client was shown who named `server_name` good for `host`, too?
    pub fn cover(&self, server_name: &str, host: &str) -> bool {
        self.shown(Some(server_name)).names.iter().any(|name| name_covers(name, host))
    }
}

impl Shown {
    fn add(&mut self, key: &Arc<CertifiedKey>, names: &[String]) {
        self.keys.push(Arc::clone(key));
        self.names.extend(names.iter().map(|name| name.as_str().into()));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown(hello.server_name());
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // Where no key fits the handshake fails by itself, with an alert that says why.
        shown.keys.iter().find(fits).or(shown.keys.first()).map(Arc::clone)
    }
}

/// `*.example.com` for `api.example.com`.
fn wildcard_of(name: &str) -> Option<String> {
    let (_, parent) = name.split_once('.')?;
    Some(format!("*.{parent}"))
}

/// A wildcard stands for one whole label (RFC 6125 section 6.4.3).
fn name_covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host,
    }
}

pub(super) fn der(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))
}

pub(super) fn chain(documents: &[String]) -> Result<Vec<CertificateDer<'static>>, String> {
    documents.iter().map(|text| der(text).map(CertificateDer::from)).collect()
}

fn certified_key(document: &CertificateDocument) -> Result<CertifiedKey, String> {
    let pair = &document.pair;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der(pair.key.reveal())?));
    CertifiedKey::from_der(chain(&pair.chain)?, key, &provider()).map_err(|error| error.to_string())
}

//! TLS, and the one place that knows rustls: everybody else sees a `Stream`, and what was proved about its peer.

mod certificates;
mod client_certificate;
mod listener;
mod registry;
mod secured;
mod service;
mod stream;
mod unverified;

pub use certificates::Certificates;
pub use client_certificate::ClientCertificate;
pub use listener::{HandshakeFault, ListenerTls};
pub use registry::Registry;
pub use secured::Secured;
pub use service::ServiceTls;
pub use stream::TlsStream;

use std::sync::{Arc, LazyLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};

use crate::snapshot::document::{Authorities, TlsVersionDocument};

/// One provider for everything; rustls' own process-wide default is left alone, because a host process may have one.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

static FROM_1_2: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static FROM_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(minimum: TlsVersionDocument) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        TlsVersionDocument::Tls12 => FROM_1_2,
        TlsVersionDocument::Tls13 => FROM_1_3,
    }
}

/// A list of trusted certificates by its name in the snapshot.
pub fn authorities_of<'a>(name: &str, authorities: &'a Authorities) -> Result<&'a [String], String> {
    authorities.get(name).map(Vec::as_slice).ok_or_else(|| format!("no authorities `{name}`"))
}

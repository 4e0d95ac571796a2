//! TLS, and the one place that knows rustls: everybody else sees a `Stream`, and what was proved about its peer.

mod certificates;
mod listener;
mod registry;
mod secured;
mod stream;

pub use listener::{HandshakeFault, ListenerTls};
pub use registry::Registry;
pub use secured::Secured;
pub use stream::TlsStream;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

/// One provider for everything; rustls' own process-wide default is left alone, because a host process may have one.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

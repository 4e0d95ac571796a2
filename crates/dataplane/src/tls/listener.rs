//! The listener's side of TLS, compiled: who is shown what, and the handshake itself.

use std::sync::Arc;
use std::time::Duration;

use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::io::stream::Stream;
use crate::snapshot::document::{ListenerTlsDocument, TlsVersionDocument};
use crate::tls::certificates::Certificates;
use crate::tls::registry::{Lasting, Registry};
use crate::tls::stream::TlsStream;
use crate::tls::{Secured, provider};

/// Why a client's connection did not become a secure one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// As many as allowed were in progress.
    TooMany,
    TooSlow,
    /// The client left, sent garbage, or accepted nothing that we offer; it was told by an alert.
    Failed,
}

#[derive(Debug)]
pub struct ListenerTls {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    lasting: Arc<Lasting>,
    max_handshakes: u32,
    handshake_timeout: Duration,
}

impl ListenerTls {
    /// Keys of tickets are found again in `registry` by the listener's `name`, so that sessions outlive a reload.
    pub fn compile(name: &str, document: &ListenerTlsDocument, registry: &Registry) -> Result<Self, String> {
        let certificates = Arc::new(Certificates::compile(&document.certificates)?);
        let lasting = registry.listener(name, b"")?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(document.min_version))
            .map_err(|error| error.to_string())?
            .with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        config.ticketer = Arc::clone(&lasting.tickets);
        // All sessions are in tickets: a store would be one more thing to bound and to share.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            certificates,
            lasting,
            max_handshakes: document.max_handshakes,
            handshake_timeout: Duration::from_millis(document.handshake_timeout_ms),
        })
    }

    /// Gives the secure stream, what was proved, and whether an earlier session was taken up again.
    pub async fn accept(&self, stream: Stream) -> Result<(Stream, Secured, bool), HandshakeFault> {
        let _place = self.lasting.begin(self.max_handshakes).ok_or(HandshakeFault::TooMany)?;
        let accepting = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let accepted = tokio::time::timeout(self.handshake_timeout, accepting).await;
        let stream = accepted.map_err(|_| HandshakeFault::TooSlow)?.map_err(|_| HandshakeFault::Failed)?;
        let session = stream.get_ref().1;
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let secured = Secured::new(session.server_name(), session.alpn_protocol(), &self.certificates);
        Ok((TlsStream::from(stream).into(), secured, is_resumed))
    }
}

static FROM_1_2: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static FROM_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(minimum: TlsVersionDocument) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        TlsVersionDocument::Tls12 => FROM_1_2,
        TlsVersionDocument::Tls13 => FROM_1_3,
    }
}

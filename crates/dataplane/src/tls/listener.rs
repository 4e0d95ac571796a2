//! The listener's side of TLS, compiled: who is shown what, and the handshake itself.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerConnection, WebPkiClientVerifier};
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::io::stream::Stream;
use crate::snapshot::document::{
    Authorities, ClientCertificatesDocument, ListenerDocument, ListenerTlsDocument, Protocol,
};
use crate::tls::certificates::{Certificates, chain, der};
use crate::tls::registry::{Lasting, Registry};
use crate::tls::stream::TlsStream;
use crate::tls::{ClientCertificate, Secured, authorities_of, provider, versions};

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
    tells_services: bool,
    max_handshakes: u32,
    handshake_timeout: Duration,
}

impl ListenerTls {
    /// Keys of tickets are found again in `registry` by its name, so that sessions outlive a reload.
    pub fn compile(
        listener: &ListenerDocument,
        document: &ListenerTlsDocument,
        authorities: &Authorities,
        registry: &Registry,
    ) -> Result<Self, String> {
        let certificates = Arc::new(Certificates::compile(&document.certificates)?);
        let clients = document.client_certificates.as_ref();
        let trusted = clients.map(|clients| authorities_of(&clients.authorities, authorities)).transpose()?;
        let lasting = registry.listener(&listener.name, &demand(clients, trusted))?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(document.min_version))
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier(clients, trusted)?);
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        config.ticketer = Arc::clone(&lasting.tickets);
        // All sessions are in tickets: a store would be one more thing to bound and to share.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // The first that a client offers, too, is taken: HTTP/2 where it can be had.
        let in_order = [Protocol::Http2, Protocol::Http1].into_iter();
        config.alpn_protocols =
            in_order.filter(|protocol| listener.protocols.contains(protocol)).map(offered).collect();
        Ok(Self {
            config: Arc::new(config),
            certificates,
            lasting,
            tells_services: clients.is_some_and(|clients| clients.headers),
            max_handshakes: document.max_handshakes,
            handshake_timeout: Duration::from_millis(document.handshake_timeout_ms),
        })
    }

    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Gives the secure stream, what was proved, and whether an earlier session was taken up again.
    pub async fn accept(
        &self,
        stream: Stream,
        unix_ms: u64,
    ) -> Result<(Stream, Secured, bool), HandshakeFault> {
        let _place = self.lasting.begin(self.max_handshakes).ok_or(HandshakeFault::TooMany)?;
        let accepting = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let accepted = tokio::time::timeout(self.handshake_timeout, accepting).await;
        let stream = accepted.map_err(|_| HandshakeFault::TooSlow)?.map_err(|_| HandshakeFault::Failed)?;
        let session = stream.get_ref().1;
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let secured = self.proved(session, unix_ms)?;
        Ok((TlsStream::from(stream).into(), secured, is_resumed))
    }

    fn proved(&self, session: &ServerConnection, unix_ms: u64) -> Result<Secured, HandshakeFault> {
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        let client =
            shown.map(|der| ClientCertificate::read(der).ok_or(HandshakeFault::Failed)).transpose()?;
        // A session that is taken up again may be of a certificate that has ended meanwhile.
        if client.as_ref().is_some_and(|client| client.is_expired(unix_ms)) {
            return Err(HandshakeFault::Failed);
        }
        let server_name = session.server_name();
        Ok(Secured {
            server_name: server_name.map(|name| name.strip_suffix('.').unwrap_or(name).into()),
            protocol: session.alpn_protocol().map(Into::into),
            agreed: agreed(session),
            client,
            tells_services: self.tells_services,
            certificates: Arc::clone(&self.certificates),
        })
    }
}

fn agreed(session: &ServerConnection) -> [u8; 4] {
    let version = session.protocol_version().map_or(0, u16::from).to_be_bytes();
    let suite = session.negotiated_cipher_suite().map_or(0, |suite| u16::from(suite.suite())).to_be_bytes();
    [version[0], version[1], suite[0], suite[1]]
}

/// The name of a protocol in ALPN (RFC 7301).
fn offered(protocol: Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Http1 => b"http/1.1".to_vec(),
        Protocol::Http2 => b"h2".to_vec(),
    }
}

/// All that is asked of clients: a session is taken up again only where that is still the same.
fn demand(clients: Option<&ClientCertificatesDocument>, trusted: Option<&[String]>) -> Vec<u8> {
    let Some(clients) = clients else { return Vec::new() };
    let mut demand = vec![u8::from(clients.required)];
    for authority in trusted.unwrap_or_default() {
        demand.extend_from_slice(authority.as_bytes());
        demand.push(b',');
    }
    // A session of a certificate that is revoked meanwhile must not be taken up.
    for list in &clients.revocations {
        demand.extend_from_slice(list.as_bytes());
        demand.push(b';');
    }
    demand
}

fn verifier(
    clients: Option<&ClientCertificatesDocument>,
    trusted: Option<&[String]>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let Some(clients) = clients else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let mut roots = RootCertStore::empty();
    for authority in chain(trusted.unwrap_or_default())? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    let lists = clients.revocations.iter().map(|list| der(list).map(CertificateRevocationListDer::from));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).with_crls(lists);
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| error.to_string())
}

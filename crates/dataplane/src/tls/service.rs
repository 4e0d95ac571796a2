//! The service's side of TLS, compiled: whom we trust, whom we say we are, and the handshake itself.

use std::io;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::io::stream::Stream;
use crate::refusal::UpstreamFault;
use crate::snapshot::document::{PairDocument, ServiceTlsDocument};
use crate::tls::certificates::{chain, der};
use crate::tls::stream::TlsStream;
use crate::tls::unverified::Unverified;
use crate::tls::{provider, versions};

/// Sessions that are remembered for each service, so that the next connection of any worker is opened with less work.
const SESSIONS: usize = 256;

/// HTTP/2, as the handshake names it.
pub(super) const HTTP2: &[u8] = b"h2";

/// How connections to a service are secured. Shared by all workers.
#[derive(Debug)]
pub struct ServiceTls {
    connector: Arc<ClientConfig>,
    /// Who the certificate must be for; by default the host of each instance.
    server_name: Option<ServerName<'static>>,
    /// The one protocol that is offered.
    protocol: &'static [u8],
    /// Connections of different configurations never mix in a pool.
    pub id: u64,
}

impl ServiceTls {
    pub(super) fn compile(
        document: &ServiceTlsDocument,
        authorities: &[String],
        (protocol, id): (&'static [u8], u64),
    ) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(document.min_version))
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier(document, authorities)?);
        let mut config = match &document.certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => with_certificate(builder, pair)?,
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        config.alpn_protocols = vec![protocol.to_vec()];
        let server_name = document.server_name.as_deref().map(parse_name).transpose()?;
        Ok(Self { connector: Arc::new(config), server_name, protocol, id })
    }

    /// The handshake on a fresh connection to `instance`, which is `host:port` as the user wrote it.
    pub async fn connect(&self, stream: Stream, instance: &str) -> Result<Stream, UpstreamFault> {
        let server_name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse_name(host_of(instance)).map_err(|_| UpstreamFault::TlsWrongName)?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.connector));
        match connector.connect(server_name, stream).await {
            // HTTP/2 over TLS is spoken only where both sides agree on it (RFC 9113 section 3.2).
            Ok(stream) if self.protocol == HTTP2 && stream.get_ref().1.alpn_protocol() != Some(HTTP2) => {
                Err(UpstreamFault::TlsHandshakeFailed)
            }
            Ok(stream) => Ok(TlsStream::from(stream).into()),
            Err(error) => Err(fault(&error)),
        }
    }
}

fn verifier(
    document: &ServiceTlsDocument,
    authorities: &[String],
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if !document.verify {
        return Ok(Arc::new(Unverified::default()));
    }
    let mut roots = RootCertStore::empty();
    // A system's list may hold one that this build cannot read; the others are good all the same.
    roots.add_parsable_certificates(chain(authorities)?);
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let verifier = built.map_err(|error| error.to_string())?;
    Ok(verifier)
}

fn with_certificate(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    pair: &PairDocument,
) -> Result<ClientConfig, String> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der(pair.key.reveal())?));
    builder.with_client_auth_cert(chain(&pair.chain)?, key).map_err(|error| error.to_string())
}

fn parse_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| format!("`{}` is not a server name", name.escape_debug()))
}

/// `[::1]:443` is for `::1`.
fn host_of(instance: &str) -> &str {
    let host = instance.rsplit_once(':').map_or(instance, |(host, _)| host);
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

/// Which of the ways in which a handshake can fail this was.
fn fault(error: &io::Error) -> UpstreamFault {
    let found = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(problem)) = found else { return UpstreamFault::TlsHandshakeFailed };
    if matches!(
        problem,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    ) {
        UpstreamFault::TlsExpired
    } else if matches!(problem, CertificateError::UnknownIssuer) {
        UpstreamFault::TlsUntrusted
    } else if matches!(
        problem,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    ) {
        UpstreamFault::TlsWrongName
    } else {
        UpstreamFault::TlsInvalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_instance_is_its_host_without_port_and_brackets() {
        for (instance, host) in
            [("users.internal:443", "users.internal"), ("192.0.2.1:443", "192.0.2.1"), ("[::1]:443", "::1")]
        {
            assert_eq!(host_of(instance), host);
            assert!(parse_name(host).is_ok());
        }
    }
}

//! TLS of listeners and services, as Python hands it down: keys and certificates are in here, and nowhere else.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTlsDocument {
    /// The first is shown to clients that name no host, or one that no certificate is for.
    pub certificates: Vec<CertificateDocument>,
    pub min_version: TlsVersionDocument,
    pub handshake_timeout_ms: u64,
    /// In progress at once on the whole node.
    pub max_handshakes: u32,
    pub client_certificates: Option<ClientCertificatesDocument>,
}

/// What is asked of clients. One that shows a certificate must show a good one in any case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificatesDocument {
    pub required: bool,
    /// Name of a list in the snapshot's `authorities`.
    pub authorities: String,
    /// Lists of certificates that are good no more, DER in base64; with any, there must be one of each authority.
    pub revocations: Vec<String>,
    /// Services are told with `X-Client-Cert-*`.
    pub headers: bool,
}

/// Lists of trusted certificates by name, DER in base64.
pub type Authorities = BTreeMap<String, Vec<String>>;

/// Which part of a client's certificate says who calls.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum CertificateFieldDocument {
    SubjectCn,
    SanDns,
    SanUri,
    SanEmail,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateDocument {
    pub at: String,
    pub pair: PairDocument,
    /// DNS names that the certificate is for, in lower case; `*.example.com` for one label.
    pub names: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PairDocument {
    /// DER in base64, the certificate itself first.
    pub chain: Vec<String>,
    /// PKCS #8 DER in base64.
    pub key: SecretDocument,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ServiceTlsDocument {
    /// Without it, whoever answers is believed.
    pub verify: bool,
    /// Name of a list in the snapshot's `authorities`; `null` where nothing is verified.
    pub authorities: Option<String>,
    /// Whom the certificate must be for; `null`: the host of each instance.
    pub server_name: Option<String>,
    /// Shown to services that ask for one.
    pub certificate: Option<PairDocument>,
    pub min_version: TlsVersionDocument,
}

/// A text that no log and no message may show.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct SecretDocument(String);

impl SecretDocument {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretDocument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(secret)")
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum TlsVersionDocument {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

//! Listeners, as Python hands them down.

use std::net::SocketAddr;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerDocument {
    pub name: String,
    pub at: String,
    pub address: SocketAddr,
    pub max_connections: u32,
    pub header_timeout_ms: u64,
    /// Between two requests of one connection.
    pub idle_timeout_ms: u64,
    /// Between two reads of a body.
    pub body_timeout_ms: u64,
    /// Between two writes of a response that the client takes.
    pub write_timeout_ms: u64,
    pub max_header_bytes: u32,
    pub max_uri_bytes: u32,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub path_parameters: PathParameters,
    pub tls: Option<ListenerTlsDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTlsDocument {
    /// The first is shown to clients that name no host, or one that no certificate is for.
    pub certificates: Vec<CertificateDocument>,
    pub min_version: TlsVersionDocument,
    pub handshake_timeout_ms: u64,
    /// In progress at once on the whole node.
    pub max_handshakes: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateDocument {
    pub at: String,
    /// DER in base64, the certificate itself first.
    pub chain: Vec<String>,
    /// PKCS #8 DER in base64.
    pub key: SecretDocument,
    /// DNS names that the certificate is for, in lower case; `*.example.com` for one label.
    pub names: Vec<String>,
}

/// A text that no log and no message may show.
#[derive(Clone, Deserialize)]
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

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PathParameters {
    /// A `;` in the path is a 400: services disagree about what it means.
    Refuse,
    /// A `;` is a character of its segment; dot segments with parameters are still refused.
    Keep,
}

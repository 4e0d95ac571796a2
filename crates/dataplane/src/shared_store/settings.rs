//! Where the store is, and how long it may take.

use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::{
    ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates,
};

use crate::snapshot::document::{SentinelDocument, SharedStoreDocument, StoreTlsDocument};

#[derive(Debug)]
pub struct Settings {
    pub(super) document: SharedStoreDocument,
    pub(super) target: Target,
    pub deadline: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) open_for: Duration,
    pub(super) nodes: Option<u32>,
}

/// What is connected to.
pub(super) enum Target {
    Server(redis::Client),
    /// Whoever of these answers says where the master is, which is spoken to as the last says.
    Sentinels {
        sentinels: Vec<redis::Client>,
        master: String,
        login: RedisConnectionInfo,
    },
    Cluster(Box<ClusterClient>),
}

impl std::fmt::Debug for Target {
    // Addresses have passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Server(_) => "server",
            Self::Sentinels { .. } => "sentinels",
            Self::Cluster(_) => "cluster",
        })
    }
}

impl Settings {
    /// Refuses addresses that cannot be read. Connects to nothing.
    pub fn compile(document: &SharedStoreDocument) -> Result<Self, String> {
        let target = Target::compile(document).map_err(|error| format!("shared store: {error}"))?;
        Ok(Self {
            target,
            deadline: Duration::from_millis(document.deadline_ms),
            connect_timeout: Duration::from_millis(document.connect_timeout_ms),
            open_for: Duration::from_millis(document.open_for_ms),
            nodes: document.nodes,
            document: document.clone(),
        })
    }

    /// Is it the same store, spoken to in the same way?
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl Target {
    fn compile(document: &SharedStoreDocument) -> Result<Self, RedisError> {
        let certificates = document.tls.as_ref().map(certificates);
        let infos: Vec<ConnectionInfo> =
            document.urls.iter().map(|url| url.as_str().into_connection_info()).collect::<Result<_, _>>()?;
        let client = |info: ConnectionInfo| match (&certificates, info.addr()) {
            (Some(certificates), ConnectionAddr::TcpTls { .. }) => {
                redis::Client::build_with_tls(info, certificates.clone())
            }
            _ => redis::Client::open(info),
        };
        let none = (redis::ErrorKind::InvalidClientConfig, "there is no address");
        let first = infos.first().cloned().ok_or(none)?;
        if document.cluster {
            return cluster(infos, document, certificates.clone());
        }
        let Some(sentinel) = &document.sentinel else { return Ok(Self::Server(client(first)?)) };
        let of_sentinel = |info: ConnectionInfo| client(info.set_redis_settings(login(sentinel)));
        Ok(Self::Sentinels {
            login: first.redis_settings().clone(),
            sentinels: infos.into_iter().map(of_sentinel).collect::<Result<_, _>>()?,
            master: sentinel.master.clone(),
        })
    }
}

/// Retries are short: what a redirection needs, within the time that a request waits.
fn cluster(
    infos: Vec<ConnectionInfo>,
    document: &SharedStoreDocument,
    certificates: Option<TlsCertificates>,
) -> Result<Target, RedisError> {
    let builder = ClusterClient::builder(infos)
        .connection_timeout(Duration::from_millis(document.connect_timeout_ms))
        .response_timeout(Duration::from_millis(document.connect_timeout_ms))
        .retries(2)
        .min_retry_wait(1)
        .max_retry_wait(20);
    let builder = match certificates {
        Some(certificates) => builder.certs(certificates),
        None => builder,
    };
    Ok(Target::Cluster(Box::new(builder.build()?)))
}

fn login(sentinel: &SentinelDocument) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default();
    if let Some(username) = &sentinel.username {
        login = login.set_username(username);
    }
    if let Some(password) = &sentinel.password {
        login = login.set_password(password);
    }
    login
}

fn certificates(tls: &StoreTlsDocument) -> TlsCertificates {
    TlsCertificates {
        client_tls: tls.certificate.as_ref().map(|(certificate, key)| ClientTlsConfig {
            client_cert: certificate.clone().into_bytes(),
            client_key: key.clone().into_bytes(),
        }),
        root_cert: tls.authorities.as_ref().map(|authorities| authorities.clone().into_bytes()),
    }
}

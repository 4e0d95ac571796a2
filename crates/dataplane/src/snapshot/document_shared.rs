//! The store in which nodes count together, as Python hands it down.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SharedStoreDocument {
    /// Of the server; of the sentinels where there are some; of any servers of a cluster. At least one.
    pub urls: Vec<String>,
    #[serde(default)]
    pub sentinel: Option<SentinelDocument>,
    #[serde(default)]
    pub cluster: bool,
    /// For `rediss://`; absent: the authorities of the system.
    #[serde(default)]
    pub tls: Option<StoreTlsDocument>,
    pub connect_timeout_ms: u64,
    /// How long a request waits for an answer.
    pub deadline_ms: u64,
    /// Requests of one worker that wait at a time.
    pub max_waiting: u32,
    /// Failures within a second, at least half of all, after which a worker asks no more for a while.
    pub failures: u32,
    pub open_for_ms: u64,
    /// Absent: as many as tell the store that they are there.
    #[serde(default)]
    pub nodes: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SentinelDocument {
    /// What the sentinels call the master.
    pub master: String,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<String>,
}

/// PEM texts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct StoreTlsDocument {
    #[serde(default)]
    pub authorities: Option<String>,
    /// Certificate and private key that the server is shown.
    #[serde(default)]
    pub certificate: Option<(String, String)>,
}

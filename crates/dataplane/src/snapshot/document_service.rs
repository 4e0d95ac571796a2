//! Services and their instances, as Python hands them down.

use serde::Deserialize;

use super::document_balance::BalanceDocument;
use super::document_tls::ServiceTlsDocument;
use crate::io::address::Address;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceDocument {
    pub name: String,
    pub at: String,
    pub instances: Vec<InstanceDocument>,
    pub balance: BalanceDocument,
    pub health_check: Option<HealthCheckDocument>,
    pub circuit_breaker: Option<BreakerDocument>,
    /// Names of the routes to it that have a breaker of their own.
    pub own_breakers: Vec<String>,
    pub pool: PoolDocument,
    /// Of one response's head.
    pub max_header_bytes: u32,
    pub tls: Option<ServiceTlsDocument>,
    pub protocol: ProtocolDocument,
}

/// What the instances of a service speak.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProtocolDocument {
    Http1,
    Http2(Http2Document),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Http2Document {
    /// Exchanges on one connection at once; the service may allow fewer.
    pub max_streams: u32,
    /// Bytes of one response that may wait for its client.
    pub window: u32,
    pub ping_interval_ms: u64,
    pub ping_timeout_ms: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct InstanceDocument {
    /// As the user wrote it (`users.internal:8080`); `backend_instance` of the record.
    pub name: String,
    pub address: Address,
    /// At least 1.
    pub weight: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HealthCheckDocument {
    pub at: String,
    pub kind: ProbeDocument,
    /// In place of the instance's own.
    pub port: Option<u16>,
    pub interval_ms: u64,
    /// While the instance is unhealthy.
    pub unhealthy_interval_ms: u64,
    /// Per cent by which an interval may be shorter or longer.
    pub jitter: u32,
    pub timeout_ms: u64,
    pub unhealthy_after: u32,
    pub healthy_after: u32,
    /// New instances get nothing before their first success.
    pub starts_unhealthy: bool,
}

/// What a probe asks.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProbeDocument {
    /// GET over HTTP/1.1.
    Http(HttpProbeDocument),
    /// The same over HTTP/2.
    Http2(HttpProbeDocument),
    /// `grpc.health.v1.Health/Check`; an empty name asks for the whole server.
    Grpc { service: String },
    /// That a connection opens is enough.
    Tcp,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct HttpProbeDocument {
    pub path: String,
    /// `None`: the name of the instance.
    pub host: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Ranges of statuses that are a success, ends included.
    pub statuses: Vec<(u16, u16)>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BreakerDocument {
    pub at: String,
    pub scope: BreakerScope,
    /// Each rule may be absent.
    pub failure_ratio: Option<f64>,
    pub slow_ratio: Option<f64>,
    pub slow_after_ms: u64,
    pub consecutive_failures: Option<u32>,
    pub load: Option<LoadDocument>,
    pub window: BreakerWindow,
    pub minimum_requests: u32,
    /// From and to, both included.
    pub failure_statuses: Vec<[u16; 2]>,
    pub open_for_ms: u64,
    /// Each opening in a row lasts this many times as long as the one before, up to the maximum.
    pub open_growth: f64,
    pub max_open_for_ms: u64,
    /// Successes in a row that close it again.
    pub probes: u32,
    pub concurrent_probes: u32,
    pub on_probe_failure: OnProbeFailure,
    /// With `restart`: after so many probes that did not close it, it opens again.
    pub probe_limit: u32,
    /// A probe holds its place no longer.
    pub probe_timeout_ms: u64,
    /// After closing; 0 for none.
    pub ramp_ms: u64,
}

/// What instances report of their load, and how much of it is too much.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LoadDocument {
    /// Share of the calls.
    pub ratio: f64,
    /// 1 is all that an instance has.
    pub above: f64,
    /// Of responses; lower case.
    pub header: String,
    /// Which of several numbers.
    pub metric: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum BreakerScope {
    Service,
    Instance,
}

/// What a breaker judges by.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum BreakerWindow {
    Milliseconds(u64),
    /// The last so many calls.
    Calls(u32),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnProbeFailure {
    Open,
    /// The count of successes in a row begins again.
    Restart,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PoolDocument {
    /// Per instance on this node.
    pub max_connections: u32,
    /// Kept open to each instance by this node.
    pub min_connections: u32,
    /// Requests that wait for a connection, on this node.
    pub max_pending: u32,
    pub connect_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub max_lifetime_ms: u64,
}

/// `set_instances` takes a list of these in place of those in the snapshot.
pub type Instances = Vec<InstanceDocument>;

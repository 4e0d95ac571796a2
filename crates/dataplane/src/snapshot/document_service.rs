//! Services and their instances, as Python hands them down.

use std::net::SocketAddr;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceDocument {
    pub name: String,
    pub at: String,
    pub instances: Vec<InstanceDocument>,
    pub health_check: Option<HealthCheckDocument>,
    pub circuit_breaker: Option<BreakerDocument>,
    pub pool: PoolDocument,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct InstanceDocument {
    /// As the user wrote it (`users.internal:8080`); `backend_instance` of the record.
    pub name: String,
    pub address: SocketAddr,
    /// At least 1.
    pub weight: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HealthCheckDocument {
    pub at: String,
    pub path: String,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub unhealthy_after: u32,
    pub healthy_after: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BreakerDocument {
    pub at: String,
    pub failure_ratio: f64,
    pub window_ms: u64,
    pub minimum_requests: u32,
    pub open_for_ms: u64,
    /// Successes in a row, one request at a time, that close it again.
    pub probes: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PoolDocument {
    /// Per instance on this node.
    pub max_connections: u32,
    /// Requests that wait for a connection of one instance, per worker.
    pub max_pending: u32,
    pub connect_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub max_lifetime_ms: u64,
}

/// `set_instances` takes a list of these in place of those in the snapshot.
pub type Instances = Vec<InstanceDocument>;

//! What Python hands down: one JSON document, versioned data and nothing else. Unknown fields are an error.
//!
//! `at` is the position of a rule in the user's files (`gateway.yaml:12:5`), kept for records and `explain`.
//! Times are whole milliseconds, sizes bytes.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

pub use super::document_route::*;

/// The value of `format` that this build reads.
pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotDocument {
    pub format: u32,
    /// Given by Python, rising; 0 is refused.
    pub version: u64,
    pub node: NodeDocument,
    pub listeners: Vec<ListenerDocument>,
    pub services: Vec<ServiceDocument>,
    pub identities: Vec<IdentityDocument>,
    pub tiers: Vec<TierDocument>,
    pub routes: Vec<RouteDocument>,
    /// Name of the tier that unmatched and unauthenticated requests are charged to, by client address (D1, D2).
    pub unauthenticated_tier: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeDocument {
    /// `gateway_instance` of the record.
    pub name: String,
    /// `gateway_version` of the record.
    pub software: String,
    /// Requests in flight on the whole node before new ones are refused as overloaded (OV-4: 5,000).
    pub max_in_flight: u32,
    /// Callers that limit counters are kept for, all tiers together.
    pub max_limit_keys: u32,
    /// Records waiting for Python before the oldest are dropped and counted (O14: 10,000). With 0, none are written.
    pub record_queue: u32,
    /// Verified tokens remembered by each worker.
    pub token_cache: u32,
}

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
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PathParameters {
    /// A `;` in the path is a 400: services disagree about what it means.
    Refuse,
    /// A `;` is a character of its segment; dot segments with parameters are still refused.
    Keep,
}

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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityDocument {
    pub name: String,
    pub at: String,
    pub kind: IdentityKindDocument,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKindDocument {
    Jwt(JwtDocument),
    ApiKey(ApiKeyDocument),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtDocument {
    /// Lower-case header that carries `Bearer <token>`.
    pub header: String,
    /// `null`: any issuer.
    pub issuer: Option<String>,
    /// One of them must be in `aud`; empty: any audience.
    pub audiences: Vec<String>,
    pub leeway_ms: u64,
    pub require_expiry: bool,
    /// The claim that becomes `X-User-ID`.
    pub user_claim: String,
    /// Claims read for scopes: a space-separated text or a list of texts.
    pub scope_claims: Vec<String>,
    /// Inline key set; `null` where Python pushes it with `set_keys`.
    pub keys: Option<KeySetDocument>,
}

/// A JSON Web Key Set (RFC 7517). Unknown members of a key are ignored, as the RFC demands.
#[derive(Clone, Debug, Deserialize)]
pub struct KeySetDocument {
    pub keys: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyDocument {
    /// Lower-case header that carries the key.
    pub header: String,
    /// Key of the HMAC, where keys are stored as HMAC-SHA256; `null` for plain SHA-256.
    pub pepper: Option<String>,
    /// Inline keys; `null` where Python pushes them with `set_keys`.
    pub keys: Option<ApiKeysDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeysDocument {
    pub keys: Vec<ApiKeyEntryDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEntryDocument {
    /// Public name of the key, for records; never part of the secret.
    pub id: String,
    /// Lower-case hexadecimal SHA-256 or HMAC-SHA256 of the whole key.
    pub hash: String,
    /// Becomes `X-Partner-ID`.
    pub partner: String,
    pub scopes: Vec<String>,
    /// Tier that replaces the route's for this key.
    pub tier: Option<String>,
    pub expires_at_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TierDocument {
    pub name: String,
    pub at: String,
    pub limit: u64,
    pub window_ms: u64,
    pub per: PerDocument,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PerDocument {
    User,
    ApiKey,
    ClientIp,
    Global,
}

/// `set_instances` takes a list of these in place of those in the snapshot.
pub type Instances = Vec<InstanceDocument>;

/// One request for `decide`: as a client would send it. The address is the peer's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestDocument {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub peer: IpAddr,
    /// Name of the listener; the first where absent.
    pub listener: Option<String>,
    /// Milliseconds since the epoch at which to decide; tokens are judged by it.
    pub now_ms: u64,
    pub content_length: Option<u64>,
}

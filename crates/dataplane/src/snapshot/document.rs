//! What Python hands down: one JSON document, versioned data and nothing else. Unknown fields are an error.
//!
//! `at` is the position of a rule in the user's files (`gateway.yaml:12:5`), kept for records and `explain`.
//! Times are whole milliseconds, sizes bytes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDocument {
    pub name: String,
    pub at: String,
    #[serde(rename = "match")]
    pub matching: MatchDocument,
    pub precedence: i32,
    pub action: ActionDocument,
    pub auth: Option<AuthDocument>,
    pub rate_limit: Option<RateLimitDocument>,
    pub timeout_ms: u64,
    pub max_body_bytes: u64,
    pub priority: Priority,
    /// `Authorization` goes on to the service.
    pub forward_authorization: bool,
    /// The API key's header goes on to the service.
    pub forward_api_key: bool,
    pub request_headers: HeaderChangesDocument,
    pub response_headers: HeaderChangesDocument,
    /// Added where the service has not set them (RS-5, D61).
    pub security_headers: bool,
    pub cors: Option<CorsDocument>,
    /// `Deprecation: true` and, where given, `Sunset` as an HTTP date.
    pub deprecated: bool,
    pub sunset: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    P0,
    P1,
    P2,
    P3,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchDocument {
    /// `api.example.com` or `*.example.com`, lower case; empty: any.
    pub hosts: Vec<String>,
    pub path: PathMatchDocument,
    /// Upper case; empty: any.
    pub methods: Vec<String>,
    pub headers: Vec<ValueMatchDocument>,
    pub query: Vec<ValueMatchDocument>,
}

/// The path in the user's own notation, classified by Python; Rust canonicalises literal parts as it does requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathMatchDocument {
    /// `/a/b`
    Exact(String),
    /// `/a/{id}/b`: a name binds one whole segment.
    Pattern(String),
    /// `/a/*` arrives as `/a`: itself and everything below. `/*` arrives as `/`. May hold `{name}` segments.
    Prefix(String),
    /// `regex:...` without the prefix; must match the whole path.
    Regex(String),
}

impl Default for PathMatchDocument {
    fn default() -> Self {
        Self::Prefix("/".to_owned())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueMatchDocument {
    /// Headers: lower case.
    pub name: String,
    pub test: ValueTestDocument,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueTestDocument {
    Present,
    Absent,
    Exact(String),
    /// Must match the whole value.
    Regex(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ActionDocument {
    Proxy(ProxyDocument),
    Redirect {
        status: u16,
        to: String,
    },
    Respond {
        status: u16,
        headers: BTreeMap<String, String>,
        body: String,
    },
    /// The service `self`: `{"status": "ok"}` (RT-12).
    Health {},
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyDocument {
    pub service: String,
    pub strip_prefix: Option<String>,
    pub rewrite: Option<RewriteDocument>,
    /// Use the service's circuit breaker (BH-19).
    pub circuit_breaker: bool,
    pub host: HostHeader,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum HostHeader {
    /// The client's `Host` goes on to the service.
    Preserve,
    /// The name of the instance is sent as `Host`.
    Instance,
}

/// The regex must match the whole canonical path; `replacement` may use `$1` or `${name}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteDocument {
    pub regex: String,
    pub replacement: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthDocument {
    pub at: String,
    /// Names of identities, tried in this order by which credential is present.
    pub accept: Vec<String>,
    /// All of them are required.
    pub scopes: Vec<String>,
    /// A request without any credential goes on as anonymous; a wrong credential is still a 401 (O25).
    pub optional: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitDocument {
    pub at: String,
    pub tier: String,
    pub on_failure: OnFailure,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    Local,
    Open,
    Closed,
}

/// Applied in the order remove, set, add. Names in lower case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderChangesDocument {
    pub remove: Vec<String>,
    pub set: BTreeMap<String, String>,
    pub add: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsDocument {
    pub at: String,
    /// Exact origins, or `*` alone.
    pub allow_origins: Vec<String>,
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub allow_credentials: bool,
    pub max_age_s: u32,
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

//! What Python hands down: one JSON document, versioned data and nothing else. Unknown fields are an error.
//!
//! `at` is the position of a rule in the user's files (`gateway.yaml:12:5`), kept for records and `explain`.
//! Times are whole milliseconds, sizes bytes.

use std::net::IpAddr;

use serde::Deserialize;

pub use super::document_answer::*;
pub use super::document_authorize::*;
pub use super::document_balance::*;
pub use super::document_identity::*;
pub use super::document_limit::*;
pub use super::document_listener::*;
pub use super::document_login::*;
pub use super::document_overload::*;
pub use super::document_password::*;
pub use super::document_recording::*;
pub use super::document_revocation::*;
pub use super::document_route::*;
pub use super::document_screening::*;
pub use super::document_service::*;
pub use super::document_shared::*;
pub use super::document_signature::*;
pub use super::document_tenant::*;
pub use super::document_tls::*;
pub use super::document_tracing::*;

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
    /// Absent where no identity has its keys there.
    #[serde(default)]
    pub key_store: Option<KeyStoreDocument>,
    /// Absent where no identity has passwords.
    #[serde(default)]
    pub passwords: Option<PasswordsDocument>,
    pub tiers: Vec<TierDocument>,
    /// Absent where the gateway is one for all.
    #[serde(default)]
    pub tenants: Option<TenantsDocument>,
    /// Absent where every tier is counted by each node for itself.
    #[serde(default)]
    pub shared_store: Option<SharedStoreDocument>,
    pub routes: Vec<RouteDocument>,
    /// What scopes and roles are good for.
    #[serde(default)]
    pub permissions: Vec<PermissionDocument>,
    /// Lists of certificates that services and clients are trusted by; each list is here once.
    #[serde(default)]
    pub authorities: Authorities,
    /// Name of the tier that unmatched and unauthenticated requests are charged to, by client address (D1, D2).
    pub unauthenticated_tier: Option<String>,
    /// Name of the tier that failed authentications are charged to by client address; an address for which nothing is left
    /// is refused before anything else.
    #[serde(default)]
    pub failed_authentication_tier: Option<String>,
    #[serde(default)]
    pub limit_headers: LimitHeaders,
    /// Absent where nobody makes spans of records.
    #[serde(default)]
    pub tracing: Option<TracingDocument>,
    /// Absent: every address may ask, and nobody knows where it is.
    #[serde(default)]
    pub screening: ScreeningDocument,
    /// Absent: only `max_in_flight` sheds.
    pub overload: Option<OverloadDocument>,
    /// Of refusals before a route is found, and of routes that say nothing.
    #[serde(default)]
    pub error_pages: Option<ErrorPagesDocument>,
    /// Added to refusals before a route is found.
    #[serde(default)]
    pub security_headers: bool,
    /// What records say.
    #[serde(default)]
    pub recording: RecordingDocument,
}

fn waiting() -> u32 {
    1_000
}

fn revocations() -> u32 {
    100_000
}

fn metric_names() -> u32 {
    2_000
}

fn steps() -> u32 {
    10_000
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
    /// Requests that leaky buckets let wait at one time.
    #[serde(default = "waiting")]
    pub max_limit_waiting: u32,
    /// Steps that the rules of a route may take for one request.
    #[serde(default = "steps")]
    pub max_rule_steps: u32,
    /// Records waiting for Python before the oldest are dropped and counted (O14: 10,000). With 0, none are written.
    pub record_queue: u32,
    /// Verified tokens remembered by each worker.
    pub token_cache: u32,
    /// Revoked tokens and users that are remembered.
    #[serde(default = "revocations")]
    pub max_revocations: u32,
    /// Names of one kind that have metrics of their own; further ones share those of `other`.
    #[serde(default = "metric_names")]
    pub max_metric_names: u32,
    /// Files on their way to clients before more are refused as overloaded.
    pub max_file_transfers: u32,
    /// Answers that are compressed at once; more go on as they are.
    pub max_compressions: u32,
    /// Bodies that are kept for another attempt, all together.
    pub max_retry_memory_bytes: u64,
}

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
    /// The state of the node to decide in: the use of processor and memory in percent, and requests in flight. Where
    /// absent, an idle one.
    pub cpu_percent: Option<u16>,
    pub memory_percent: Option<u16>,
    pub in_flight: Option<u32>,
}

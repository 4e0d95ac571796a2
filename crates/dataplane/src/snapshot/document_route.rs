//! Routes as Python hands them down: what matches, what is demanded, what is done.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::document_answer::{CompressionDocument, ErrorPagesDocument, FilesDocument};
use super::document_authorize::{AuthDocument, HttpsOnlyDocument};
use super::document_limit::RateLimitDocument;
use super::document_recording::RouteRecordingDocument;
use super::document_screening::ScreenDocument;

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
    /// `null`: from every address.
    #[serde(default)]
    pub screen: Option<ScreenDocument>,
    pub rate_limit: Option<RateLimitDocument>,
    /// Names of the tenants that may use it; `null`: whoever else may.
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
    /// Requests that came in plain are not served (LT-2).
    #[serde(default)]
    pub https_only: HttpsOnlyDocument,
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
    /// Sent as a `Link` of each of the two.
    #[serde(default)]
    pub deprecation_link: Option<String>,
    /// Milliseconds since the epoch from which on requests are refused with 410; `null`: never.
    #[serde(default)]
    pub gone_after_ms: Option<u64>,
    /// `null`: those of the snapshot.
    #[serde(default)]
    pub error_pages: Option<ErrorPagesDocument>,
    /// `null`: answers go on as they are (D24).
    #[serde(default)]
    pub compression: Option<CompressionDocument>,
    /// `null`: a request is sent once (UP-10).
    #[serde(default)]
    pub retry: Option<RetryDocument>,
    /// `null`: one instance is asked at a time.
    #[serde(default)]
    pub hedge: Option<HedgeDocument>,
    /// From 0 to 1, of the traces that begin here; `null`: as for all.
    #[serde(default)]
    pub trace_sample: Option<f64>,
    /// What is demanded of requests that browsers vouch for; `null`: nothing (RS-8).
    #[serde(default)]
    pub cross_site: Option<CrossSiteDocument>,
    /// How its records differ; absent: not at all.
    #[serde(default)]
    pub recording: Option<RouteRecordingDocument>,
}

/// From where requests with the credentials of a browser may change something.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossSiteDocument {
    /// Beside the request's own origin.
    pub trusted_origins: Vec<String>,
    /// Lower case; `null`: no token is demanded.
    pub token_header: Option<String>,
}

/// When several instances are asked for one read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HedgeDocument {
    pub delay_ms: u64,
    /// Beside the first.
    pub attempts: u32,
    pub budget: BudgetDocument,
}

/// How many further attempts there may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetDocument {
    /// That each request brings.
    pub ratio: f64,
    /// That each second brings.
    pub minimum_per_second: u32,
}

/// When a request is sent once more (UP-11).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryDocument {
    /// Further ones, after the first.
    pub attempts: u32,
    pub causes: Vec<RetryCauseDocument>,
    pub statuses: Vec<u16>,
    /// Of gRPC calls.
    pub grpc_statuses: Vec<u16>,
    /// Upper case; `null`: those that are idempotent.
    pub methods: Option<Vec<String>>,
    pub per_try_timeout_ms: Option<u64>,
    pub backoff_base_ms: u64,
    pub backoff_max_ms: u64,
    pub budget: BudgetDocument,
    pub max_body_bytes: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RetryCauseDocument {
    ConnectFailure,
    Reset,
    Timeout,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    P0,
    P1,
    P2,
    P3,
}

impl Priority {
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    pub fn text(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }
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
    Files(FilesDocument),
    /// The service `self`: `{"status": "ok"}` (RT-12).
    Health {},
    /// The paths of a login with this identity.
    Login {
        identity: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyDocument {
    pub service: String,
    pub strip_prefix: Option<String>,
    pub rewrite: Option<RewriteDocument>,
    /// Which circuit breaker it uses, if any (BH-19).
    pub circuit_breaker: BreakerUseDocument,
    pub host: HostHeader,
    /// `null`: no WebSocket (D25).
    #[serde(default)]
    pub websocket: Option<WebSocketDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketDocument {
    pub idle_timeout_ms: u64,
    pub max_message_bytes: u64,
    pub messages_per_second: Option<u32>,
    pub messages_per_second_per_caller: Option<u32>,
    pub max_connections_per_caller: Option<u32>,
    pub max_connections: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum BreakerUseDocument {
    None,
    /// That of the service, or of each of its instances.
    Shared,
    /// One that this route has for itself.
    Own,
    /// One for each tenant; that of the service for requests of none.
    Tenant,
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

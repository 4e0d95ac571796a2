//! What a route demands of its callers, as Python hands it down.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthDocument {
    pub at: String,
    /// Names of identities, tried in this order by which credential is present. Empty only where `optional` is set: nobody is
    /// asked who calls.
    pub accept: Vec<String>,
    #[serde(default)]
    pub scopes: DemandDocument,
    #[serde(default)]
    pub roles: DemandDocument,
    /// A request without any credential goes on as anonymous; a wrong credential is still a 401 (O25).
    pub optional: bool,
    /// The same for a while: such requests are counted and told of (AU-24).
    #[serde(default)]
    pub grace_period: bool,
    /// Names of permissions, all of which a caller must have.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// The request's own method and path must be among what the caller is permitted.
    #[serde(default)]
    pub endpoint_permissions: bool,
    #[serde(default)]
    pub rules: Vec<RuleDocument>,
}

/// Scopes or roles.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemandDocument {
    pub all: Vec<String>,
    /// One of them at least, where there are some.
    pub any: Vec<String>,
    pub none: Vec<String>,
}

/// An expression in CEL.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDocument {
    pub name: String,
    pub at: String,
    /// Where it holds a request is allowed; otherwise, where it holds it is refused.
    pub allows: bool,
    pub expression: String,
    /// For the caller who is refused.
    pub message: Option<String>,
}

/// What one scope or role is good for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionDocument {
    /// What records call it: `role support`.
    pub name: String,
    pub at: String,
    pub holder: HolderDocument,
    /// As written: `orders:*`, `GET /orders/**`, `!DELETE /orders/**`.
    pub patterns: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderDocument {
    Scope(String),
    Role(String),
}

/// What becomes of a request that came in plain.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum HttpsOnlyDocument {
    #[default]
    Off,
    /// 403.
    Refuse,
    /// Reads are sent on to this port; all else is refused.
    Redirect(u16),
}

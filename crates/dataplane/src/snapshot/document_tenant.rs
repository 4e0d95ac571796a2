//! Tenants as Python hands them down.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantsDocument {
    pub at: String,
    /// Where it says whose a request is. All that say something have to agree; the first is named in records.
    pub from: Vec<TenantSourceDocument>,
    /// A request of no tenant is refused.
    pub required: bool,
    pub unknown: UnknownTenant,
    /// Name of the tier that takes the place of a route's first, for tenants without one of their own.
    pub tier: Option<String>,
    /// Names of the tiers that count every request of a tenant, for tenants without any of their own.
    pub quotas: Vec<String>,
    /// Tenants that have metrics and breakers of their own, those of `known` included.
    pub max: u32,
    pub known: Vec<TenantDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantDocument {
    pub name: String,
    pub at: String,
    pub tier: Option<String>,
    /// `null`: those of all.
    pub quotas: Option<Vec<String>>,
    pub disabled: bool,
}

/// What is to be done with a tenant that is not listed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum UnknownTenant {
    Refuse,
    Accept,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TenantSourceDocument {
    /// Path of a claim.
    Claim(String),
    /// The owner of an API key.
    Partner,
    /// Lower case.
    Header(String),
    /// What stands before and after the name.
    Host { before: String, after: String },
    /// What stands before the segment that is the name; begins and ends with a slash.
    Path(String),
}

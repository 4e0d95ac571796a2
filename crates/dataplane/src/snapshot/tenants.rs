//! Tenants, and what their quotas mean for routes.

use crate::limit::{LimitRule, Tiers};
use crate::record::Registry;
use crate::snapshot::document::{RouteDocument, SnapshotDocument};
use crate::tenant::Tenants;

pub(super) fn compile(
    document: &SnapshotDocument,
    tiers: &Tiers,
    metrics: &Registry,
) -> Result<Option<Tenants>, String> {
    let compile = |tenants| Tenants::compile(tenants, &|name| tiers.index(name), metrics.tenants());
    document.tenants.as_ref().map(compile).transpose()
}

/// The limit of a route. One without any still has the quotas of tenants.
pub(super) fn limit(
    route: &RouteDocument,
    service: &str,
    tiers: &Tiers,
    tenants: Option<&Tenants>,
) -> Result<Option<LimitRule>, String> {
    let quotas = tenants.map(Tenants::quotas).unwrap_or_default();
    let rule = match &route.rate_limit {
        Some(limit) => LimitRule::compile(limit, tiers, &route.name, service)?,
        None if quotas.is_empty() => return Ok(None),
        None => LimitRule::of_quotas(&route.name, service),
    };
    for list in &quotas {
        rule.check(tiers, list).map_err(|error| format!("{}: route `{}`: {error}", route.at, route.name))?;
    }
    Ok(Some(rule))
}

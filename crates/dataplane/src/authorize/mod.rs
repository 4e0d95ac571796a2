//! Authorize: may this caller use this route at all?
//! Takes a `Caller` and the request. Gives a `Grant`. Refuses with `AddressNotAllowed`, `Browser` and `Forbidden`.
//! What is asked before there is a caller is in `screen`.

mod cross_site;
mod demands;
mod permissions;
mod proof;
mod rules;
mod screen;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::caller::Caller;
use crate::refusal::{Barrier, Forbidden, Refusal};
use crate::request::{Request, Span};
use crate::snapshot::document::AuthDocument;
use crate::tenant::Tenant;
pub use cross_site::{CrossSite, may_log_out, same_origin};
use demands::Demands;
pub use permissions::{Canonical, Permissions};
use permissions::{Demanded, Missing};
use rules::Rules;
pub use rules::{Ground, Mistake, RuleSettings, examine};
pub use screen::{Grounds, Screen, Visitor, screen};

/// What a route demands of its callers. The default demands nothing.
#[derive(Debug, Default)]
pub struct Policy {
    demands: Demands,
    permissions: Option<Box<Demanded>>,
    rules: Option<Box<Rules>>,
}

/// What all policies of a snapshot are compiled from.
pub struct Common {
    pub permissions: Permissions,
    pub rules: RuleSettings,
}

impl Policy {
    /// `first_rule` is the index in the snapshot of the route's first rule.
    pub fn compile(
        document: &AuthDocument,
        common: &Common,
        ground: Ground<'_>,
        first_rule: u32,
    ) -> Result<Self, String> {
        let (names, endpoints) = (&document.permissions, document.endpoint_permissions);
        Ok(Self {
            demands: Demands::compile(&document.scopes, &document.roles),
            permissions: Demanded::compile(names, endpoints, &common.permissions),
            rules: Rules::compile(&document.rules, ground, &common.rules, first_rule)?,
        })
    }

    pub fn is_demanding(&self) -> bool {
        !self.demands.is_empty() || self.permissions.is_some() || self.rules.is_some()
    }
}

/// A request that a caller is to be granted, and what its route bound in its path.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub request: &'a Request,
    pub parameters: &'a [Span],
    /// Whose it is, where somebody is said to be.
    pub tenant: Option<&'a str>,
    pub unix_ms: u64,
}

/// What let a caller in, where there was something to decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantedBy {
    #[default]
    Nothing,
    /// Index in the snapshot of the scope or role that has the permission.
    Permission(u32),
    /// Index in the snapshot of the rule.
    Rule(u32),
}

/// Proof that the caller may use the route. Only `grant` makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    caller: Arc<Caller>,
    tenant: Option<Arc<Tenant>>,
    by: GrantedBy,
}

impl Grant {
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Whose request it is.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_deref()
    }

    /// The same for a request that belongs to a tenant.
    #[must_use]
    pub fn of(self, tenant: Option<Arc<Tenant>>) -> Self {
        Self { tenant, ..self }
    }

    pub fn by(&self) -> GrantedBy {
        self.by
    }
}

/// The one door. An anonymous caller has neither scopes nor roles, so a route that demands one refuses it even where
/// `optional` lets it past `authenticate`.
///
/// Before that, a caller who may call from some networks only has to be in one of them (requirement SE-9).
pub fn grant(policy: &Policy, caller: Arc<Caller>, asked: Asked<'_>) -> Result<Grant, Refusal> {
    if let Some(networks) = &caller.networks
        && !networks.iter().any(|network| network.contains(&asked.request.client))
    {
        return Err(Refusal::AddressNotAllowed(Barrier::Caller));
    }
    policy.demands.check(&caller)?;
    let mut by = GrantedBy::Nothing;
    if let Some(permissions) = &policy.permissions
        && let Some(holder) = permissions.check(&caller, asked.request).map_err(refused)?
    {
        by = GrantedBy::Permission(holder);
    }
    if let Some(rules) = &policy.rules
        && let Some(rule) = rules.check(&caller, asked)?
    {
        by = GrantedBy::Rule(rule);
    }
    Ok(Grant { caller, by, tenant: None })
}

fn refused(missing: Missing) -> Refusal {
    Refusal::Forbidden(Forbidden::Unpermitted { permission: missing.permission, by: missing.forbidden_by })
}

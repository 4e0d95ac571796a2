//! Authorize: may this caller use this route at all?
//! Takes a `Caller`. Gives a `Grant`. Refuses with `AddressNotAllowed` and `MissingScope`.

mod demands;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::snapshot::document::AuthDocument;
use crate::tenant::Tenant;
use demands::Demands;

/// What a route demands of its callers. The default demands nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    demands: Demands,
}

impl Policy {
    pub fn compile(document: &AuthDocument) -> Self {
        Self { demands: Demands::compile(document) }
    }

    pub fn is_demanding(&self) -> bool {
        !self.demands.is_empty()
    }
}

/// Proof that the caller may use the route. Only `grant` makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    caller: Arc<Caller>,
    tenant: Option<Arc<Tenant>>,
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
}

/// The one door. An anonymous caller has nothing that could be demanded, so a route that demands something refuses it
/// even where `optional` lets it past `authenticate`.
///
/// Before that, a caller who may call from some networks only has to be in one of them (requirement SE-9).
pub fn grant(policy: &Policy, caller: Arc<Caller>, client: IpAddr) -> Result<Grant, Refusal> {
    if let Some(networks) = &caller.networks
        && !networks.iter().any(|network| network.contains(&client))
    {
        return Err(Refusal::AddressNotAllowed);
    }
    policy.demands.check(&caller)?;
    Ok(Grant { caller, tenant: None })
}

//! Tenants: whose request is it, of those who share the gateway?
//! Takes a `Caller` and the request. Gives a `Belonging`, or nothing. Refuses with `Tenant`.
//!
//! Every source that says something has to say the same: nobody is moved to another tenant by a header.

mod others;
mod source;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::caller::Caller;
use crate::record::{TenantMetrics, TenantRegistry};
use crate::refusal::{Refusal, TenantFault};
use crate::request::Request;
use crate::snapshot::document::{TenantsDocument, UnknownTenant};
use others::Others;
use source::Source;

/// One of those who share the gateway.
#[derive(Debug)]
pub struct Tenant {
    /// Visible ASCII of few kinds: safe in a header, a label and a log.
    pub name: Arc<str>,
    pub terms: Terms,
    pub metrics: Arc<TenantMetrics>,
    /// Its name, or `other` where there are too many for it to have metrics and breakers of its own.
    pub label: Arc<str>,
    is_disabled: bool,
}

/// What limits the requests of a tenant, beside their routes.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Index in the snapshot of the tier that takes the place of a route's first.
    pub tier: Option<u32>,
    /// Tiers that count each of its requests as well.
    pub quotas: Arc<[u32]>,
}

/// A tenant, and how it is known that the request is its.
#[derive(Clone, Debug)]
pub struct Belonging {
    pub tenant: Arc<Tenant>,
    /// The kind of the first source that said so.
    pub from: &'static str,
}

/// Gives the index of a tier by its name.
type Index<'a> = dyn Fn(&str) -> Option<u32> + 'a;

/// The tenants of a snapshot.
#[derive(Debug)]
pub struct Tenants {
    sources: Box<[Source]>,
    is_required: bool,
    known: HashMap<Box<str>, Arc<Tenant>>,
    /// `None`: whoever is not listed is refused.
    others: Option<Others>,
}

impl Tenants {
    /// Refuses sources that say nothing, repeated and impossible names, and tiers that do not exist.
    pub fn compile(
        document: &TenantsDocument,
        tiers: &Index<'_>,
        registry: &Arc<TenantRegistry>,
    ) -> Result<Self, String> {
        let place = |error: String| format!("{}: tenants: {error}", document.at);
        let general = terms(document.tier.as_deref(), &document.quotas, tiers).map_err(place)?;
        let sources = document.from.iter().map(Source::compile).collect::<Result<_, _>>().map_err(place)?;
        let mut known = HashMap::new();
        for one in &document.known {
            let place = |error: &str| format!("{}: tenant `{}`: {error}", one.at, one.name);
            if !source::is_name(&one.name) {
                return Err(place("the name is none"));
            }
            let tier = one.tier.as_deref().or(document.tier.as_deref());
            let quotas = one.quotas.as_ref().unwrap_or(&document.quotas);
            let tenant = Tenant {
                name: one.name.as_str().into(),
                terms: terms(tier, quotas, tiers).map_err(|error| place(&error))?,
                metrics: registry.tenant(&one.name),
                label: one.name.as_str().into(),
                is_disabled: one.disabled,
            };
            if known.insert(one.name.as_str().into(), Arc::new(tenant)).is_some() {
                return Err(place("the name is repeated"));
            }
        }
        let room = (document.max as usize).saturating_sub(known.len());
        let others = match document.unknown {
            UnknownTenant::Refuse => None,
            UnknownTenant::Accept => Some(Others::new(general, room, registry)),
        };
        Ok(Self { sources, is_required: document.required, known, others })
    }

    /// Every list of quotas that a tenant has, each once; none that is empty.
    pub fn quotas(&self) -> Vec<Arc<[u32]>> {
        let listed = self.known.values().map(|tenant| &tenant.terms.quotas);
        let mut lists: Vec<_> = listed.chain(self.others.as_ref().map(Others::quotas)).cloned().collect();
        lists.sort();
        lists.dedup();
        lists.retain(|list| !list.is_empty());
        lists
    }

    /// Whose request it is; `None` where nothing says so and nothing has to.
    fn resolve(&self, caller: &Caller, request: &Request) -> Result<Option<Belonging>, Refusal> {
        let mut said: Option<(Cow<'_, [u8]>, &'static str)> = None;
        for source in &self.sources {
            let Some(name) = source.read(caller, request) else { continue };
            match &said {
                None => said = Some((name, source.kind())),
                Some((first, _)) if *first == name => {}
                Some((first, _)) => return Err(TenantFault::Mismatch.of(first)),
            }
        }
        let Some((name, from)) = said else {
            return if self.is_required { Err(TenantFault::Missing.of(b"")) } else { Ok(None) };
        };
        let tenant = self.find(&name).ok_or_else(|| TenantFault::Unknown.of(&name))?;
        if tenant.is_disabled {
            Err(TenantFault::Disabled.of(&name))
        } else {
            Ok(Some(Belonging { tenant, from }))
        }
    }

    fn find(&self, name: &[u8]) -> Option<Arc<Tenant>> {
        let name = std::str::from_utf8(name).ok()?;
        if let Some(tenant) = self.known.get(name) {
            return Some(Arc::clone(tenant));
        }
        self.others.as_ref().filter(|_| source::is_name(name)).map(|others| others.get(name))
    }
}

/// Whose request it is, where there are tenants; refuses who is none of those that the route is for.
pub fn find(
    (tenants, allowed): (Option<&Tenants>, Option<&[Box<str>]>),
    caller: &Caller,
    request: &Request,
) -> Result<Option<Belonging>, Refusal> {
    let Some(tenants) = tenants else { return Ok(None) };
    let belonging = tenants.resolve(caller, request)?;
    let Some(allowed) = allowed else { return Ok(belonging) };
    let name = belonging.as_ref().map_or("", |belonging| &*belonging.tenant.name);
    if allowed.iter().any(|one| **one == *name) {
        return Ok(belonging);
    }
    let fault = if belonging.is_some() { TenantFault::NotAllowed } else { TenantFault::Missing };
    Err(fault.of(name.as_bytes()))
}

fn terms(tier: Option<&str>, quotas: &[String], tiers: &Index<'_>) -> Result<Terms, String> {
    let index = |name: &str| tiers(name).ok_or_else(|| format!("there is no tier `{name}`"));
    let quotas = quotas.iter().map(|name| index(name)).collect::<Result<_, _>>()?;
    Ok(Terms { tier: tier.map(index).transpose()?, quotas })
}

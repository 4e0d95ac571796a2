//! Permissions: what scopes and roles are good for, as patterns.
//!
//! A *permission* has a name of segments, `orders:read`; an *endpoint* is a method and a path, `GET /orders/**`. Within a
//! pattern `*` stands for exactly one segment and `**`, at the end, for any number of them, none included. A `!` before a
//! pattern forbids what it matches, whatever else the caller has: deny wins. What no pattern allows is refused.

mod endpoints;
mod pattern;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::caller::Caller;
use crate::request::Request;
use crate::snapshot::document::{HolderDocument, PermissionDocument};
use endpoints::Endpoints;
use pattern::{Pattern, Target};

/// How a literal path of the configuration becomes what intake makes of a request's path; an error says what is wrong
/// with it. It is handed in because stages do not import each other.
pub type Canonical = fn(&str) -> Result<String, String>;

/// What a permission is granted to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Scope(Arc<str>),
    Role(Arc<str>),
}

impl Holder {
    fn compile(document: &HolderDocument) -> Self {
        match document {
            HolderDocument::Scope(name) => Self::Scope(name.as_str().into()),
            HolderDocument::Role(name) => Self::Role(name.as_str().into()),
        }
    }

    fn is(&self, caller: &Caller) -> bool {
        match self {
            Self::Scope(name) => caller.has_scope(name),
            Self::Role(name) => caller.has_role(name),
        }
    }
}

/// The section `permissions`, compiled.
pub struct Permissions {
    grants: Vec<Grants>,
    endpoints: Arc<Endpoints>,
}

/// What one scope or role is good for.
struct Grants {
    holder: Holder,
    patterns: Vec<Pattern>,
}

impl Permissions {
    pub fn compile(documents: &[PermissionDocument], canonical: Canonical) -> Result<Self, String> {
        let grants = documents.iter().map(|document| Grants::compile(document, canonical));
        let grants = grants.collect::<Result<Vec<_>, _>>()?;
        let endpoints = Arc::new(Endpoints::compile(&grants));
        Ok(Self { grants, endpoints })
    }

    /// Who has a permission, and who must not: found out here, so that a request compares no patterns.
    fn named(&self, permission: &str) -> Named {
        let holders = |denies: bool| {
            let fits = |pattern: &&Pattern| pattern.denies == denies && pattern.matches_name(permission);
            let numbered = self.grants.iter().zip(0..);
            numbered
                .filter(|(grants, _)| grants.patterns.iter().any(|pattern| fits(&pattern)))
                .map(|(grants, number)| (grants.holder.clone(), number))
                .collect()
        };
        Named { permission: permission.into(), allowed: holders(false), denied: holders(true) }
    }
}

impl Grants {
    fn compile(document: &PermissionDocument, canonical: Canonical) -> Result<Self, String> {
        let located = |error| format!("{}: {error}", document.at);
        let patterns = document.patterns.iter().map(|text| Pattern::compile(text, canonical));
        let patterns = patterns.collect::<Result<_, String>>().map_err(located)?;
        Ok(Self { holder: Holder::compile(&document.holder), patterns })
    }
}

/// What one route demands of a caller's permissions.
#[derive(Clone)]
pub(super) struct Demanded {
    named: Box<[Named]>,
    /// The request's own method and path must be allowed.
    endpoints: Option<Arc<Endpoints>>,
}

#[derive(Clone)]
struct Named {
    permission: Arc<str>,
    /// With their places in the section.
    allowed: Box<[(Holder, u32)]>,
    denied: Box<[(Holder, u32)]>,
}

/// A permission that is missing.
pub(super) struct Missing {
    /// `None`: for this method and path.
    pub(super) permission: Option<Arc<str>>,
    /// The place in the section of whatever forbids it.
    pub(super) forbidden_by: Option<u32>,
}

impl Demanded {
    /// `None`: nothing is demanded.
    pub(super) fn compile(names: &[String], endpoints: bool, permissions: &Permissions) -> Option<Box<Self>> {
        let named: Box<[Named]> = names.iter().map(|name| permissions.named(name)).collect();
        let endpoints = endpoints.then(|| Arc::clone(&permissions.endpoints));
        (!named.is_empty() || endpoints.is_some()).then(|| Box::new(Self { named, endpoints }))
    }

    /// Gives the place in the section of what allowed it last.
    pub(super) fn check(&self, caller: &Caller, request: &Request) -> Result<Option<u32>, Missing> {
        let mut by = None;
        for named in &self.named {
            by = Some(named.check(caller)?);
        }
        if let Some(endpoints) = &self.endpoints {
            let target = Target { method: request.method, name: request.method(), path: request.path() };
            let missing = |forbidden_by| Missing { permission: None, forbidden_by };
            by = Some(endpoints.check(caller, target).map_err(missing)?);
        }
        Ok(by)
    }
}

impl Named {
    fn check(&self, caller: &Caller) -> Result<u32, Missing> {
        let find = |holders: &[(Holder, u32)]| {
            holders.iter().find(|(holder, _)| holder.is(caller)).map(|(_, number)| *number)
        };
        let forbidden_by = find(&self.denied);
        let missing = || Missing { permission: Some(Arc::clone(&self.permission)), forbidden_by };
        if forbidden_by.is_some() {
            return Err(missing());
        }
        find(&self.allowed).ok_or_else(missing)
    }
}

impl std::fmt::Debug for Demanded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.named.iter().map(|named| &*named.permission).collect();
        let endpoints = self.endpoints.is_some();
        formatter.debug_struct("Demanded").field("named", &names).field("endpoints", &endpoints).finish()
    }
}

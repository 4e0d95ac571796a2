//! Authorize: may this caller use this route at all?
//! Takes a `Caller`. Gives a `Grant`. Refuses with `MissingScope`.

use std::sync::Arc;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::snapshot::document::AuthDocument;

/// The scopes that a route demands, all of them. The default demands none.
#[derive(Clone, Debug, Default)]
pub struct ScopePolicy {
    required: Box<[Arc<str>]>,
}

impl ScopePolicy {
    pub fn compile(document: &AuthDocument) -> Self {
        Self { required: document.scopes.iter().map(|scope| scope.as_str().into()).collect() }
    }

    pub fn is_demanding(&self) -> bool {
        !self.required.is_empty()
    }
}

/// Proof that the caller may use the route. Only `grant` makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    caller: Arc<Caller>,
}

impl Grant {
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}

/// Refuses with the first scope, in the order of the configuration, that the caller lacks. An anonymous caller has no
/// scopes, so a route that demands one refuses it even where `optional` lets it past `authenticate`.
pub fn grant(policy: &ScopePolicy, caller: Arc<Caller>) -> Result<Grant, Refusal> {
    match policy.required.iter().find(|scope| !caller.has_scope(scope)) {
        None => Ok(Grant { caller }),
        Some(scope) => Err(Refusal::MissingScope { scope: Arc::clone(scope) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::CallerKind;

    fn policy(scopes: &[&str]) -> ScopePolicy {
        ScopePolicy::compile(&AuthDocument {
            at: "gateway.yaml:1:1".to_owned(),
            accept: vec!["mobile".to_owned()],
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            optional: false,
        })
    }

    fn caller(scopes: &[&str]) -> Arc<Caller> {
        let scopes = scopes.iter().map(|scope| Arc::from(*scope)).collect();
        Arc::new(Caller::new(CallerKind::User, Some(0), scopes))
    }

    #[test]
    fn a_caller_with_every_scope_is_granted() {
        let grant = grant(&policy(&["read", "write"]), caller(&["write", "other", "read"])).unwrap();
        assert_eq!(&*grant.caller().scopes_text, "write other read");
    }

    #[test]
    fn the_first_missing_scope_is_named() {
        let refusal = grant(&policy(&["read", "write", "admin"]), caller(&["read"])).unwrap_err();
        assert_eq!(refusal, Refusal::MissingScope { scope: "write".into() });
        assert_eq!(refusal.status(), 403);
    }

    #[test]
    fn a_scope_is_compared_whole_and_by_case() {
        for near in ["admi", "admins", "Admin", "admin "] {
            assert!(grant(&policy(&["admin"]), caller(&[near])).is_err(), "{near:?}");
        }
    }

    #[test]
    fn an_anonymous_caller_passes_only_where_no_scope_is_demanded() {
        assert!(grant(&ScopePolicy::default(), Arc::new(Caller::anonymous())).is_ok());
        assert!(grant(&policy(&["read"]), Arc::new(Caller::anonymous())).is_err());
    }
}

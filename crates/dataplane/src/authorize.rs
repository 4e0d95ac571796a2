//! Authorize: may this caller use this route at all?
//! Takes a `Caller`. Gives a `Grant`. Refuses with `AddressNotAllowed` and `MissingScope`.

use std::net::IpAddr;
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
///
/// Before that, a caller who may call from some networks only has to be in one of them (requirement SE-9).
pub fn grant(policy: &ScopePolicy, caller: Arc<Caller>, client: IpAddr) -> Result<Grant, Refusal> {
    if let Some(networks) = &caller.networks
        && !networks.iter().any(|network| network.contains(&client))
    {
        return Err(Refusal::AddressNotAllowed);
    }
    match policy.required.iter().find(|scope| !caller.has_scope(scope)) {
        None => Ok(Grant { caller }),
        Some(scope) => Err(Refusal::MissingScope { scope: Arc::clone(scope) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::CallerKind;
    use ipnet::IpNet;
    use std::net::Ipv4Addr;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

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
        let grant = grant(&policy(&["read", "write"]), caller(&["write", "other", "read"]), CLIENT).unwrap();
        assert_eq!(&*grant.caller().scopes_text, "write other read");
    }

    #[test]
    fn the_first_missing_scope_is_named() {
        let refusal = grant(&policy(&["read", "write", "admin"]), caller(&["read"]), CLIENT).unwrap_err();
        assert_eq!(refusal, Refusal::MissingScope { scope: "write".into() });
        assert_eq!(refusal.status(), 403);
    }

    #[test]
    fn a_scope_is_compared_whole_and_by_case() {
        for near in ["admi", "admins", "Admin", "admin "] {
            assert!(grant(&policy(&["admin"]), caller(&[near]), CLIENT).is_err(), "{near:?}");
        }
    }

    #[test]
    fn an_anonymous_caller_passes_only_where_no_scope_is_demanded() {
        assert!(grant(&ScopePolicy::default(), Arc::new(Caller::anonymous()), CLIENT).is_ok());
        assert!(grant(&policy(&["read"]), Arc::new(Caller::anonymous()), CLIENT).is_err());
    }

    #[test]
    fn a_caller_of_some_networks_is_refused_from_every_other() {
        let networks = ["203.0.113.0/29", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let caller = |networks: &[IpNet]| {
            let known = Caller::new(CallerKind::Partner, Some(0), Vec::new());
            Arc::new(Caller { networks: Some(networks.into()), ..known })
        };
        let ask = |networks: &[IpNet], client: &str| {
            grant(&ScopePolicy::default(), caller(networks), client.parse().unwrap()).err()
        };
        for inside in ["203.0.113.0", "203.0.113.7", "2001:db8:1::9"] {
            assert_eq!(ask(&networks, inside), None, "{inside}");
        }
        for outside in ["203.0.113.8", "203.0.112.255", "2001:db9::1", "::1"] {
            assert_eq!(ask(&networks, outside), Some(Refusal::AddressNotAllowed), "{outside}");
        }
        assert_eq!(ask(&[], "203.0.113.7"), Some(Refusal::AddressNotAllowed));
    }
}

//! Who is granted, and what the first refusal is.

use super::*;
use crate::caller::{CallerKind, Roles};
use crate::refusal::{Demand, Forbidden, Lack, Quality, Ruling};
use crate::snapshot::document::{DemandDocument, HolderDocument, PermissionDocument, RuleDocument};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn all(names: &[&str]) -> DemandDocument {
    DemandDocument { all: texts(names), ..DemandDocument::default() }
}

fn compile(document: &AuthDocument) -> Policy {
    let permissions = [PermissionDocument {
        at: "t:1:1".to_owned(),
        name: "role clerk".to_owned(),
        holder: HolderDocument::Role("clerk".to_owned()),
        patterns: texts(&["orders:read", "GET /orders/**"]),
    }];
    let common = Common {
        permissions: Permissions::compile(&permissions, |path| Ok(path.to_owned())).unwrap(),
        rules: RuleSettings { identities: ["mobile".into()].into(), max_steps: 1_000 },
    };
    Policy::compile(document, &common, Ground { route: "orders", parameters: &[] }, 7).unwrap()
}

fn policy(scopes: &[&str]) -> Policy {
    compile(&AuthDocument { scopes: all(scopes), ..AuthDocument::default() })
}

fn caller(scopes: &[&str]) -> Caller {
    let scopes = scopes.iter().map(|scope| Arc::from(*scope)).collect();
    Caller::new(CallerKind::User, Some(0), scopes)
}

fn clerk() -> Caller {
    Caller { roles: Some(Roles::new(vec!["clerk".into()]).into()), ..caller(&["read"]) }
}

fn from(policy: &Policy, caller: Caller, client: IpAddr) -> Result<GrantedBy, Refusal> {
    let mut request = Request::new(client);
    request.method_text = request.append(b"GET");
    request.path = request.append(b"/orders/7");
    let asked = Asked { request: &request, parameters: &[], tenant: None, unix_ms: 0 };
    grant(policy, Arc::new(caller), asked).map(|grant| grant.by())
}

fn ask(policy: &Policy, caller: Caller) -> Result<GrantedBy, Refusal> {
    from(policy, caller, CLIENT)
}

fn lack(refusal: Refusal) -> Arc<Lack> {
    let Refusal::Forbidden(Forbidden::Unqualified { lack, is_bearer: true }) = refusal else {
        panic!("{refusal:?}")
    };
    lack
}

#[test]
fn a_caller_with_every_scope_is_granted() {
    assert_eq!(ask(&policy(&["read", "write"]), caller(&["write", "other", "read"])), Ok(GrantedBy::Nothing));
}

#[test]
fn the_first_missing_scope_is_named_and_the_challenge_names_all() {
    let refusal = ask(&policy(&["read", "write", "admin"]), caller(&["read"])).unwrap_err();
    assert_eq!(refusal.status(), 403);
    let lack = lack(refusal);
    assert_eq!((&*lack.names, &*lack.challenge), ("write", "read write admin"));
}

#[test]
fn a_scope_is_compared_whole_and_by_case() {
    for near in ["admi", "admins", "Admin", "admin "] {
        assert!(ask(&policy(&["admin"]), caller(&[near])).is_err(), "{near:?}");
    }
}

#[test]
fn of_any_one_is_enough_and_of_none_one_is_too_much() {
    let demand = DemandDocument { all: texts(&["a"]), any: texts(&["b", "c"]), none: texts(&["x", "y"]) };
    let policies = [
        (Quality::Scope, compile(&AuthDocument { scopes: demand.clone(), ..AuthDocument::default() })),
        (Quality::Role, compile(&AuthDocument { roles: demand, ..AuthDocument::default() })),
    ];
    for (quality, policy) in &policies {
        let with = |names: &[&str]| match quality {
            Quality::Scope => ask(policy, caller(names)),
            Quality::Role => {
                let roles = Roles::new(names.iter().map(|name| Arc::from(*name)).collect());
                ask(policy, Caller { roles: Some(roles.into()), ..caller(&[]) })
            }
        };
        assert!(with(&["a", "b"]).is_ok() && with(&["c", "a"]).is_ok());
        for (names, demand, missing) in [
            (&["b"][..], Demand::All, "a"),
            (&["a"], Demand::Any, "b c"),
            (&["a", "b", "y"], Demand::None, "y"),
            (&["x"], Demand::None, "x"),
        ] {
            let lack = lack(with(names).unwrap_err());
            assert_eq!((lack.quality, lack.demand, &*lack.names), (*quality, demand, missing), "{names:?}");
        }
    }
}

#[test]
fn only_a_token_can_be_had_with_more_scopes() {
    let partner = Caller { kind: CallerKind::Partner, ..caller(&[]) };
    let refusal = ask(&policy(&["read"]), partner).unwrap_err();
    assert!(
        matches!(refusal, Refusal::Forbidden(Forbidden::Unqualified { is_bearer: false, .. })),
        "{refusal:?}"
    );
}

#[test]
fn an_anonymous_caller_passes_only_where_no_scope_is_demanded() {
    assert!(ask(&Policy::default(), Caller::anonymous()).is_ok());
    assert!(ask(&policy(&["read"]), Caller::anonymous()).is_err());
}

#[test]
fn permissions_come_after_scopes_and_before_rules() {
    let rule = RuleDocument {
        name: "never".to_owned(),
        at: "t:2:2".to_owned(),
        allows: true,
        expression: "caller.user == \"ann\"".to_owned(),
        message: None,
    };
    let document = AuthDocument {
        scopes: all(&["read"]),
        permissions: texts(&["orders:read"]),
        endpoint_permissions: true,
        ..AuthDocument::default()
    };
    let policy = compile(&document);
    assert_eq!(ask(&policy, clerk()), Ok(GrantedBy::Permission(0)));
    assert!(matches!(ask(&policy, caller(&[])), Err(Refusal::Forbidden(Forbidden::Unqualified { .. }))));
    assert_eq!(
        ask(&policy, caller(&["read"])),
        Err(Refusal::Forbidden(Forbidden::Unpermitted { permission: Some("orders:read".into()), by: None }))
    );
    let ruled = compile(&AuthDocument { rules: vec![rule], ..document });
    let refusal = ask(&ruled, clerk());
    assert_eq!(
        refusal,
        Err(Refusal::Forbidden(Forbidden::Ruled { rule: 7, ruling: Ruling::NotAllowed, message: None }))
    );
    let ann = Caller { user: Some("ann".into()), ..clerk() };
    assert_eq!(ask(&ruled, ann), Ok(GrantedBy::Rule(7)));
}

#[test]
fn a_caller_of_some_networks_is_refused_from_every_other() {
    let networks = ["203.0.113.0/29", "2001:db8::/32"].map(|network| network.parse().unwrap());
    let caller = |networks: &[IpNet]| {
        let known = Caller::new(CallerKind::Partner, Some(0), Vec::new());
        Caller { networks: Some(networks.into()), ..known }
    };
    let ask = |networks: &[IpNet], client: &str| {
        from(&Policy::default(), caller(networks), client.parse().unwrap()).err()
    };
    for inside in ["203.0.113.0", "203.0.113.7", "2001:db8:1::9"] {
        assert_eq!(ask(&networks, inside), None, "{inside}");
    }
    for outside in ["203.0.113.8", "203.0.112.255", "2001:db9::1", "::1"] {
        assert_eq!(ask(&networks, outside), Some(Refusal::AddressNotAllowed(Barrier::Caller)), "{outside}");
    }
    assert_eq!(ask(&[], "203.0.113.7"), Some(Refusal::AddressNotAllowed(Barrier::Caller)));
}

//! Who is granted, and what the first refusal is.

use super::*;
use crate::caller::CallerKind;
use crate::snapshot::document::AuthDocument;
use ipnet::IpNet;
use std::net::Ipv4Addr;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fn policy(scopes: &[&str]) -> Policy {
    Policy::compile(&AuthDocument {
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
    assert!(grant(&Policy::default(), Arc::new(Caller::anonymous()), CLIENT).is_ok());
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
        grant(&Policy::default(), caller(networks), client.parse().unwrap()).err()
    };
    for inside in ["203.0.113.0", "203.0.113.7", "2001:db8:1::9"] {
        assert_eq!(ask(&networks, inside), None, "{inside}");
    }
    for outside in ["203.0.113.8", "203.0.112.255", "2001:db9::1", "::1"] {
        assert_eq!(ask(&networks, outside), Some(Refusal::AddressNotAllowed), "{outside}");
    }
    assert_eq!(ask(&[], "203.0.113.7"), Some(Refusal::AddressNotAllowed));
}

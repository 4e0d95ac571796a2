//! Whose request it is, whoever says so, in whatever order.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::caller::CallerKind;
use crate::claims::Claims;
use crate::record::Registry;
use crate::request::Header;
use crate::snapshot::document::{TenantDocument, TenantSourceDocument as From};

const TIERS: [&str; 3] = ["gold", "month", "week"];

fn document(from: Vec<From>) -> TenantsDocument {
    let known = |name: &str| TenantDocument {
        name: name.to_owned(),
        at: "gateway.yaml:9:5".to_owned(),
        tier: None,
        quotas: None,
        disabled: name == "gone",
    };
    TenantsDocument {
        at: "gateway.yaml:7:1".to_owned(),
        from,
        required: false,
        unknown: UnknownTenant::Refuse,
        tier: None,
        quotas: vec!["month".to_owned()],
        max: 4,
        known: ["acme", "globex", "gone"].map(known).into(),
    }
}

fn all() -> Vec<From> {
    vec![
        From::Claim("org.id".to_owned()),
        From::Partner,
        From::Header("x-tenant".to_owned()),
        From::Host { before: String::new(), after: ".example.com".to_owned() },
        From::Path("/t/".to_owned()),
    ]
}

fn compile(document: &TenantsDocument) -> Result<Tenants, String> {
    let index = |name: &str| TIERS.iter().position(|tier| *tier == name).map(|index| index as u32);
    Tenants::compile(document, &index, Registry::new(1).tenants())
}

/// What is said by the token, as owner of a key, in a header, by host and path; empty: nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    claim: &'a str,
    partner: &'a str,
    header: &'a [&'a str],
    host: &'a str,
    path: &'a str,
}

impl Said<'_> {
    fn request(&self) -> Request {
        let mut request = Request::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for value in self.header {
            let (name, value) = (request.append(b"x-tenant"), request.append(value.as_bytes()));
            request.headers.push(Header { name, value, ..Header::default() });
        }
        request.host = request.append(self.host.as_bytes());
        request.path = request.append(self.path.as_bytes());
        request
    }

    fn caller(&self) -> Caller {
        let claims = format!(r#"{{"org": {{"id": {}}}}}"#, self.claim);
        let claims = if self.claim.is_empty() { None } else { Claims::parse(claims.as_bytes()) };
        let partner = (!self.partner.is_empty()).then(|| self.partner.into());
        Caller { claims: claims.map(Arc::new), partner, ..Caller::new(CallerKind::User, Some(0), Vec::new()) }
    }

    fn ask(&self, tenants: &Tenants) -> Result<Option<(String, &'static str)>, &'static str> {
        let found = find((Some(tenants), None), &self.caller(), &self.request());
        let name = |found: Belonging| (found.tenant.name.to_string(), found.from);
        found.map(|found| found.map(name)).map_err(|refusal| refusal.code())
    }
}

#[test]
fn every_source_says_it_in_its_own_way() {
    let tenants = compile(&document(all())).unwrap();
    let nothing = Said::default();
    for (said, from) in [
        (Said { claim: "\"acme\"", ..nothing }, "claim"),
        (Said { partner: "acme", ..nothing }, "partner"),
        (Said { header: &["acme"], ..nothing }, "header"),
        (Said { header: &["acme", "acme"], ..nothing }, "header"),
        (Said { host: "acme.example.com", ..nothing }, "host"),
        (Said { path: "/t/acme", ..nothing }, "path"),
        (Said { path: "/t/acme/orders/7", ..nothing }, "path"),
    ] {
        assert_eq!(said.ask(&tenants), Ok(Some(("acme".to_owned(), from))), "{said:?}");
    }
    for said in [
        nothing,
        Said { host: "example.com", ..nothing },
        Said { host: "a.acme.example.com", ..nothing },
        Said { host: "acme.example.org", ..nothing },
        Said { path: "/t", ..nothing },
        Said { path: "/t/", ..nothing },
        Said { path: "/tenants/acme", ..nothing },
    ] {
        assert_eq!(said.ask(&tenants), Ok(None), "{said:?}");
    }
}

#[test]
fn what_is_no_tenant_is_refused_and_why_is_told_apart() {
    let mut given = document(all());
    let tenants = compile(&given).unwrap();
    let nothing = Said::default();
    for name in ["initech", "ACME", "acme ", " ", "a/b", "\u{e4}", &"x".repeat(65)] {
        assert_eq!(Said { header: &[name], ..nothing }.ask(&tenants), Err("tenant_unknown"), "{name:?}");
    }
    for claim in ["7", "null", "true", "[\"acme\"]", "{\"acme\": 1}", "\"\""] {
        assert_eq!(Said { claim, ..nothing }.ask(&tenants), Err("tenant_unknown"), "{claim}");
    }
    assert_eq!(Said { partner: "gone", ..nothing }.ask(&tenants), Err("tenant_disabled"));
    assert_eq!(Said { header: &["acme", "globex"], ..nothing }.ask(&tenants), Err("tenant_unknown"));
    given.required = true;
    assert_eq!(nothing.ask(&compile(&given).unwrap()), Err("tenant_required"));
}

#[test]
fn a_route_for_some_is_for_nobody_else() {
    let tenants = compile(&document(all())).unwrap();
    let allowed: Box<[Box<str>]> = ["acme".into()].into();
    let ask = |said: Said<'_>| {
        let found = find((Some(&tenants), Some(&allowed)), &said.caller(), &said.request());
        found.map(|found| found.is_some()).map_err(|refusal| refusal.code())
    };
    assert_eq!(ask(Said { partner: "acme", ..Said::default() }), Ok(true));
    assert_eq!(ask(Said { partner: "globex", ..Said::default() }), Err("tenant_not_allowed"));
    assert_eq!(ask(Said::default()), Err("tenant_required"));
}

#[test]
fn tenants_that_are_not_listed_are_their_own_and_share_a_label_beyond_the_bound() {
    let given = TenantsDocument { unknown: UnknownTenant::Accept, max: 5, ..document(all()) };
    let tenants = compile(&given).unwrap();
    let label = |name: &str| {
        let said = Said { partner: name, ..Said::default() };
        let found = find((Some(&tenants), None), &said.caller(), &said.request()).unwrap().unwrap();
        assert_eq!(&*found.tenant.name, name);
        assert_eq!(*found.tenant.terms.quotas, [1]);
        found.tenant.label.to_string()
    };
    // Three are listed, so two more have room.
    let labels = ["acme", "one", "two", "three", "one", "four"].map(label);
    assert_eq!(labels, ["acme", "one", "two", "other", "one", "other"]);
}

#[test]
fn own_terms_take_the_place_of_those_for_all() {
    let mut given = document(all());
    given.tier = Some("gold".to_owned());
    given.known[0].quotas = Some(vec!["week".to_owned(), "month".to_owned()]);
    given.known[1].quotas = Some(Vec::new());
    let tenants = compile(&given).unwrap();
    let terms = |name: &str| tenants.find(name.as_bytes()).unwrap().terms.clone();
    assert_eq!((terms("acme").tier, &*terms("acme").quotas), (Some(0), &[2, 1][..]));
    assert!(terms("globex").quotas.is_empty());
    assert_eq!(tenants.quotas().iter().map(|list| list.to_vec()).collect::<Vec<_>>(), [vec![1], vec![2, 1]]);
    for (wrong, why) in [
        (TenantsDocument { tier: Some("none".to_owned()), ..given.clone() }, "no tier `none`"),
        (TenantsDocument { quotas: vec!["none".to_owned()], ..given.clone() }, "no tier `none`"),
        (TenantsDocument { from: vec![From::Path("t".to_owned())], ..given.clone() }, "says nothing"),
    ] {
        assert!(compile(&wrong).unwrap_err().contains(why));
    }
    given.known[1].name = "acme".to_owned();
    assert!(compile(&given).unwrap_err().contains("repeated"));
    given.known[1].name = "a b".to_owned();
    assert!(compile(&given).unwrap_err().contains("the name is none"));
}

proptest! {
    /// Nobody is moved to another tenant: neither by a header, nor by where it stands in the list of sources.
    #[test]
    fn all_that_say_something_agree_or_the_request_is_refused_in_every_order(
        names in prop::collection::vec(prop::sample::select(vec!["", "acme", "globex"]), 5),
        from in Just(all()).prop_shuffle(),
    ) {
        let tenants = compile(&document(from)).unwrap();
        let quoted = format!("\"{}\"", names[0]);
        let headers = [names[2]];
        let (host, path) = (format!("{}.example.com", names[3]), format!("/t/{}", names[4]));
        let said = Said {
            claim: if names[0].is_empty() { "" } else { &quoted },
            partner: names[1],
            header: if names[2].is_empty() { &[] } else { &headers },
            host: if names[3].is_empty() { "example.com" } else { &host },
            path: &path,
        };
        let mut distinct: Vec<_> = names.iter().filter(|name| !name.is_empty()).collect();
        distinct.sort();
        distinct.dedup();
        let found = said.ask(&tenants).map(|found| found.map(|(name, _)| name));
        match distinct.as_slice() {
            [] => prop_assert_eq!(found, Ok(None)),
            [one] => prop_assert_eq!(found, Ok(Some((**one).to_owned()))),
            _ => prop_assert_eq!(found, Err("tenant_mismatch")),
        }
    }
}

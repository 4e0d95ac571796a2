use serde_json::{Value, json};

use super::*;

fn grounds() -> Grounds {
    let list = |name: &str, addresses: &[&str]| json!({"name": name, "at": "t:1:1", "addresses": addresses});
    let document: ScreeningDocument = serde_json::from_value(json!({
        "lists": [
            list("office", &["10.0.0.0/8"]), list("guests", &["10.1.0.0/16"]), list("abroad", &["2001:db8::/32"]),
        ],
    }))
    .unwrap();
    Grounds::compile(&document, &Registry::default()).unwrap()
}

fn judge(document: &Value, client: &str, country: Option<&str>) -> (Result<(), Refusal>, Trail) {
    let mut document = document.clone();
    document["at"] = json!("t:1:1");
    let document = serde_json::from_value(document).unwrap();
    let grounds = grounds();
    let compiled = Screen::compile(&document, &grounds).unwrap();
    let request = Request::new(client.parse().unwrap());
    let country = country.and_then(Country::parse);
    let visitor = Visitor { request: &request, country, unix_ms: 0, rule: Rule::Route(7) };
    let mut trail = Trail::default();
    (screen(&compiled, &grounds, &visitor, &mut trail), trail)
}

fn barrier(document: &Value, client: &str, country: Option<&str>) -> Option<Barrier> {
    match judge(document, client, country).0 {
        Ok(()) => None,
        Err(Refusal::AddressNotAllowed(barrier)) => Some(barrier),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_list_that_denies_wins_over_one_that_allows_in_either_order() {
    let screen = json!({"allow": ["office", "abroad"], "deny": ["guests"]});
    assert_eq!(barrier(&screen, "10.2.0.1", None), None);
    assert_eq!(barrier(&screen, "2001:db8::1", None), None);
    assert_eq!(barrier(&screen, "10.1.0.1", None), Some(Barrier::Denied { list: 1 }));
    assert_eq!(barrier(&screen, "::ffff:10.1.0.1", None), Some(Barrier::Denied { list: 1 }));
    assert_eq!(barrier(&screen, "192.0.2.1", None), Some(Barrier::NotAllowed));
    let narrow = json!({"allow": ["guests"], "deny": ["office"]});
    assert_eq!(barrier(&narrow, "10.1.0.1", None), Some(Barrier::Denied { list: 0 }));
}

#[test]
fn an_empty_list_of_allowed_lists_allows_nobody() {
    assert_eq!(barrier(&json!({"allow": []}), "10.0.0.1", None), Some(Barrier::NotAllowed));
    assert_eq!(barrier(&json!({}), "10.0.0.1", None), None);
}

#[test]
fn the_trail_names_the_list_that_allows() {
    let (verdict, trail) = judge(&json!({"allow": ["guests", "office"]}), "10.2.0.1", None);
    assert_eq!(verdict, Ok(()));
    let [step] = trail.steps() else { panic!("{trail:?}") };
    assert_eq!((step.verdict, step.rule), ("screened", Rule::AddressList(0)));
    let (_, trail) = judge(&json!({"deny": ["guests"]}), "10.2.0.1", None);
    assert_eq!(trail.steps()[0].rule, Rule::Route(7));
}

#[test]
fn countries_are_allowed_denied_and_unknown() {
    let known = |code| Some(Barrier::Country(Country::parse(code)));
    let allow = json!({"countries": {"allow": ["DE", "FR"], "deny": ["FR"], "unknown": false}});
    assert_eq!(barrier(&allow, "192.0.2.1", Some("DE")), None);
    assert_eq!(barrier(&allow, "192.0.2.1", Some("FR")), known("FR"));
    assert_eq!(barrier(&allow, "192.0.2.1", Some("US")), known("US"));
    assert_eq!(barrier(&allow, "192.0.2.1", None), Some(Barrier::Country(None)));
    let deny = json!({"countries": {"deny": ["US"], "unknown": true}});
    assert_eq!(barrier(&deny, "192.0.2.1", Some("US")), known("US"));
    assert_eq!(barrier(&deny, "192.0.2.1", Some("DE")), None);
    assert_eq!(barrier(&deny, "192.0.2.1", None), None);
}

#[test]
fn names_of_nothing_do_not_compile() {
    let compile = |document: Value| {
        Screen::compile(&serde_json::from_value(document).unwrap(), &grounds()).unwrap_err()
    };
    assert_eq!(compile(json!({"at": "t:1:1", "deny": ["x"]})), "t:1:1: unknown list of addresses `x`");
    let countries = json!({"deny": ["Germany"], "unknown": true});
    assert_eq!(compile(json!({"at": "t:1:1", "countries": countries})), "t:1:1: `Germany` is no country");
}

//! The vectors of RFC 9421, and one change at a time to a good signature.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::super::tests::request;
use super::super::{AuthPolicy, Identities, KeyStore, TokenCache, identify};
use super::*;
use crate::refusal::Refusal;
use crate::request::{Method, Scheme};
use crate::snapshot::document::{AuthDocument, IdentityDocument};
use CredentialFault as Fault;

/// Of RFC 9421, appendix B.1.5.
const SHARED: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
/// Of appendix B.1.4.
const ED25519: &str = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
const DIGEST: &str =
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
/// When the signatures of the appendix were made.
const CREATED: u64 = 1_618_884_473_000;

const B25: [&str; 2] = [
    r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
    "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
];
const B26: [&str; 2] = [
    r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
];

fn key(id: &str, algorithm: &str, key: &str) -> Value {
    json!({"id": id, "algorithm": algorithm, "key": key, "partner": "acme", "scopes": ["a"], "tier": null,
        "expires_at_ms": null})
}

fn document(changes: Value) -> IdentityDocument {
    let mut kind = json!({
        "label": null, "components": [], "max_age_ms": 300_000, "leeway_ms": 30_000, "needs_nonce": false,
        "needs_digest": false, "max_body_bytes": 1_000, "max_nonces": 100,
        "keys": [key("test-shared-secret", "hmac-sha256", SHARED), key("test-key-ed25519", "ed25519", ED25519)],
    });
    for (name, value) in changes.as_object().unwrap() {
        kind[name] = value.clone();
    }
    serde_json::from_value(json!({"name": "machines", "at": "1:1", "kind": {"signature": kind}})).unwrap()
}

struct Bench {
    policy: AuthPolicy,
    cache: TokenCache,
    _store: KeyStore,
}

impl Bench {
    fn new(changes: Value) -> Self {
        let store = KeyStore::new();
        let identities = Identities::compile(&[document(changes)], &None, &store).unwrap();
        let accept = vec!["machines".to_owned()];
        let auth = AuthDocument { at: "1:1".to_owned(), accept, ..AuthDocument::default() };
        let policy = AuthPolicy::compile(&auth, &identities).unwrap();
        Self { policy, cache: TokenCache::new(0), _store: store }
    }

    fn ask(&mut self, request: &Request, now_ms: u64) -> Result<Arc<Caller>, Refusal> {
        identify(Some(&self.policy), request, &mut self.cache, None, now_ms)
    }

    fn fault(&mut self, request: &Request) -> Fault {
        match self.ask(request, CREATED) {
            Err(Refusal::Unauthenticated { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }
}

/// The request of appendix B.2, with these two headers.
fn signed([input, signature]: [&str; 2]) -> Request {
    let headers = [
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", DIGEST),
        ("content-length", "18"),
        ("signature-input", input),
        ("signature", signature),
    ];
    let mut request = request(&headers);
    request.client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    (request.method, request.method_text) = (Method::Post, request.append(b"POST"));
    request.path = request.append(b"/foo");
    request.query = Some(request.append(b"param=Value&Pet=dog"));
    request.host = request.append(b"example.com");
    request.authority = request.host;
    request.framing = Framing::Length(18);
    request
}

/// Signs by the shared secret what this input says of the request.
fn sign(mut request: Request, input: &str) -> Request {
    let value = format!("s={input}");
    replace(&mut request, "signature-input", &value);
    let read = Input::read(value.as_bytes(), None).unwrap();
    let text = base(&request, &read).unwrap();
    let secret = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, SHARED).unwrap();
    let code =
        aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret), &text);
    let code = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, code.as_ref());
    replace(&mut request, "signature", &format!("s=:{code}:"));
    request
}

fn replace(request: &mut Request, name: &str, value: &str) {
    let span = request.append(value.as_bytes());
    let place = request.headers.iter().position(|header| request.slice(header.name) == name.as_bytes());
    request.headers[place.unwrap()].value = span;
}

const ALL: &str = r#"("@method" "@authority" "@path" "@query" "content-digest");created=1618884473;keyid="test-shared-secret""#;

#[test]
fn the_vectors_of_the_rfc_verify() {
    for vector in [B25, B26] {
        let caller = Bench::new(json!({})).ask(&signed(vector), CREATED).unwrap();
        assert_eq!((caller.partner.as_deref(), &*caller.scopes_text), (Some("acme"), "a"));
        assert!(caller.key_id.is_some());
    }
}

#[test]
fn any_change_of_what_is_signed_makes_the_signature_wrong() {
    let good = || sign(signed(B25), ALL);
    assert!(Bench::new(json!({})).ask(&good(), CREATED).is_ok());
    let changes: [fn(&mut Request); 6] = [
        |request| request.method_text = request.append(b"PUT"),
        |request| request.path = request.append(b"/fo"),
        |request| request.query = Some(request.append(b"param=Value&Pet=cat")),
        |request| request.query = None,
        |request| {
            request.host = request.append(b"example.org");
            request.authority = request.host;
        },
        |request| replace(request, "content-digest", "sha-256=:AAAA:"),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut request = good();
        change(&mut request);
        assert_eq!(Bench::new(json!({})).fault(&request), Fault::BadSignature, "{number}");
    }
    for place in 2..45 {
        let mut request = signed(B25);
        let mut value = B25[1].to_owned().into_bytes();
        let at = "sig-b25=:".len() + place - 2;
        value[at] = if value[at] == b'A' { b'B' } else { b'A' };
        replace(&mut request, "signature", std::str::from_utf8(&value).unwrap());
        let fault = Bench::new(json!({})).fault(&request);
        assert!(matches!(fault, Fault::BadSignature | Fault::Malformed), "{place}: {fault:?}");
    }
}

#[test]
fn what_must_be_covered_is_demanded_and_wider_components_cover_narrower_ones() {
    let wanted =
        json!({"components": ["@method", "@authority", "@path", "@query", "@scheme"], "needs_digest": true});
    let input = |components: &str| format!(r#"({components});created=1618884473;keyid="test-shared-secret""#);
    for (components, fits) in [
        (r#""@method" "@target-uri" "content-digest""#, true),
        (r#""@method" "@scheme" "@authority" "@request-target" "content-digest""#, true),
        (r#""@method" "@target-uri""#, false),
        (r#""@target-uri" "content-digest""#, false),
        (r#""@method" "@authority" "@path" "@scheme" "content-digest""#, false),
        ("", false),
    ] {
        let request = sign(signed(B25), &input(components));
        let mut bench = Bench::new(wanted.clone());
        if fits {
            assert!(bench.ask(&request, CREATED).is_ok(), "{components}");
        } else {
            assert_eq!(bench.fault(&request), Fault::UnsignedPart, "{components}");
        }
    }
    let mut bodiless = sign(signed(B25), &input(r#""@method" "@target-uri""#));
    bodiless.framing = Framing::None;
    assert!(Bench::new(wanted).ask(&bodiless, CREATED).is_ok());
}

#[test]
fn times_are_held_with_some_leeway() {
    let ask = |parameters: &str, now: u64| {
        let request = sign(signed(B25), &format!(r#"("date"){parameters};keyid="test-shared-secret""#));
        match Bench::new(json!({})).ask(&request, now) {
            Ok(_) => None,
            Err(Refusal::Unauthenticated { fault, .. }) => Some(fault),
            Err(other) => panic!("{other:?}"),
        }
    };
    let created = ";created=1618884473";
    assert_eq!(ask("", CREATED), Some(Fault::MissingTime));
    assert_eq!(ask(created, CREATED - 30_000), None);
    assert_eq!(ask(created, CREATED - 30_001), Some(Fault::IssuedInFuture));
    assert_eq!(ask(created, CREATED + 329_999), None);
    assert_eq!(ask(created, CREATED + 330_000), Some(Fault::Expired));
    let expiring = ";created=1618884473;expires=1618884483";
    assert_eq!(ask(expiring, CREATED + 39_999), None);
    assert_eq!(ask(expiring, CREATED + 40_000), Some(Fault::Expired));
}

fn with_nonce(nonce: &str) -> Request {
    let input = format!(r#"("date");created=1618884473;nonce="{nonce}";keyid="test-shared-secret""#);
    sign(signed(B25), &input)
}

#[test]
fn a_nonce_is_used_once_while_its_signature_is_good() {
    let mut bench = Bench::new(json!({"needs_nonce": true}));
    assert_eq!(bench.fault(&signed(B25)), Fault::MissingNonce);
    assert_eq!(bench.fault(&with_nonce("")), Fault::MissingNonce);
    assert!(bench.ask(&with_nonce("one"), CREATED).is_ok());
    assert_eq!(bench.fault(&with_nonce("one")), Fault::Replayed);
    assert!(bench.ask(&with_nonce("two"), CREATED).is_ok());
    let mut request = with_nonce("three");
    replace(&mut request, "signature", "s=:AAAA:");
    assert_eq!(bench.fault(&request), Fault::BadSignature);
    assert!(bench.ask(&with_nonce("three"), CREATED).is_ok(), "who cannot sign uses no nonce up");
}

#[test]
fn where_no_nonce_can_be_remembered_nobody_is_let_in_and_none_is_forgotten() {
    let mut bench = Bench::new(json!({}));
    for number in 0..100 {
        assert!(bench.ask(&with_nonce(&number.to_string()), CREATED).is_ok());
    }
    let full = Refusal::AuthenticationUnavailable { identity: 0, cause: Unjudged::TooManyNonces };
    assert_eq!(bench.ask(&with_nonce("more"), CREATED), Err(full));
    assert_eq!(bench.fault(&with_nonce("0")), Fault::Replayed);
}

#[test]
fn algorithms_and_keys_are_those_of_the_configuration() {
    for (parameters, fault) in [
        (r#";keyid="nobody""#, Fault::UnknownKey),
        ("", Fault::UnknownKey),
        (r#";keyid="test-shared-secret";alg="ed25519""#, Fault::WrongAlgorithm),
        (r#";keyid="test-key-ed25519""#, Fault::BadSignature),
        (r#";keyid="test-key-ed25519";alg="hmac-sha256""#, Fault::WrongAlgorithm),
    ] {
        let request = sign(signed(B25), &format!(r#"("date");created=1618884473{parameters}"#));
        assert_eq!(Bench::new(json!({})).fault(&request), fault, "{parameters}");
    }
    let named = r#"("date");created=1618884473;keyid="test-shared-secret";alg="hmac-sha256""#;
    assert!(Bench::new(json!({})).ask(&sign(signed(B25), named), CREATED).is_ok());
}

#[test]
fn of_several_signatures_the_one_with_the_label_counts() {
    let both = [&*format!("{}, {}", B26[0], B25[0]), &*format!("{}, {}", B26[1], B25[1])];
    let mut bench = Bench::new(json!({"label": "sig-b25"}));
    assert_eq!(bench.ask(&signed(both), CREATED).unwrap().key_id.as_deref(), Some("test-shared-secret"));
    assert_eq!(bench.fault(&signed(B26)), Fault::Missing);
    assert_eq!(Bench::new(json!({})).fault(&signed(both)), Fault::Repeated);
}

#[test]
fn what_is_no_signature_is_malformed_and_never_panics() {
    let good = B25[0];
    for cut in 0..good.len() {
        let request = signed([&good[..cut], B25[1]]);
        assert!(Bench::new(json!({})).ask(&request, CREATED).is_err(), "{cut}");
    }
    for wrong in [
        r#"s=("date" "date");created=1;keyid="test-shared-secret""#,
        r#"s=("date";sf);created=1;keyid="test-shared-secret""#,
        r#"s=("@query-param";name="a");created=1;keyid="test-shared-secret""#,
        r#"s=("date"  "host");created=1;keyid="test-shared-secret""#,
        r#"s=("date");created=1;created=2;keyid="test-shared-secret""#,
        r#"s=("date");created=-1;keyid="test-shared-secret""#,
        r#"s=("date");created=1;other=1;keyid="test-shared-secret""#,
        r#"s=("da\"te");created=1;keyid="test-shared-secret""#,
        r#"S=("date");created=1;keyid="test-shared-secret""#,
        r#"s="date""#,
        "s=?1",
        ",",
    ] {
        let fault = Bench::new(json!({})).fault(&signed([wrong, "s=:AAAA:"]));
        assert!(matches!(fault, Fault::Malformed | Fault::Repeated), "{wrong}: {fault:?}");
    }
    let unknown = r#"s=("@status");created=1618884473;keyid="test-shared-secret""#;
    assert_eq!(Bench::new(json!({})).fault(&signed([unknown, "s=:AAAA:"])), Fault::Malformed);
    let absent = r#"s=("x-none");created=1618884473;keyid="test-shared-secret""#;
    assert_eq!(Bench::new(json!({})).fault(&signed([absent, "s=:AAAA:"])), Fault::UnsignedPart);
    let long = format!(r#"s=("{}");created=1"#, "a".repeat(5_000));
    assert_eq!(Bench::new(json!({})).fault(&signed([&long, "s=:AAAA:"])), Fault::TooLong);
}

#[test]
fn the_authority_has_the_port_but_for_that_of_its_scheme() {
    let line = |authority: &str, scheme| {
        let mut request = signed(B25);
        request.scheme = scheme;
        request.authority = request.append(authority.as_bytes());
        let host = authority
            .strip_suffix(":80")
            .or(authority.strip_suffix(":443"))
            .or(authority.strip_suffix(":8080"));
        request.host = request.append(host.unwrap_or(authority).as_bytes());
        let input = Input::read(br#"s=("@target-uri")"#, None).unwrap();
        String::from_utf8(base(&request, &input).unwrap()).unwrap().lines().next().unwrap().to_owned()
    };
    let uri = |start: &str| format!("\"@target-uri\": {start}/foo?param=Value&Pet=dog");
    assert_eq!(line("example.com:80", Scheme::Http), uri("http://example.com"));
    assert_eq!(line("example.com:443", Scheme::Http), uri("http://example.com:443"));
    assert_eq!(line("example.com:443", Scheme::Https), uri("https://example.com"));
    assert_eq!(line("[2001:db8::1]:8080", Scheme::Http), uri("http://[2001:db8::1]:8080"));
    assert_eq!(line("[2001:db8::1]", Scheme::Http), uri("http://[2001:db8::1]"));
}

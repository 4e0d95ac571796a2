//! A record as its readers see it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;

use super::entry::{Entry, Names, Times, Traced};
use super::line::{Memory, encode};
use super::queue::{Queue, QueueCounts};
use super::quoted::{Quoted, encode_rule};
use super::recorder::Recorder;
use crate::request::{Header, Known, Method, Request};
use crate::trail::{Awaited, Cause, Inputs, Rule, Stage, Trail};

const FIELDS: &str = "timestamp request_id method path query_string status client_ip user_agent user_id partner_id tenant_id \
                      backend_service backend_instance route_id total_latency_ms gateway_overhead_ms \
                      upstream_latency_ms rate_limit_remaining rate_limited request_bytes response_bytes error_type \
                      error_message gateway_instance gateway_version config_version protocol scheme host listener \
                      attempts queue_latency_ms connect_latency_ms first_byte_latency_ms trace_id tls_version tls_cipher \
                      sampling_weight decisions";

/// The record of `entry` with the headers and the trail of a usual request.
const PROXIED: &str = r#"{
    "timestamp": "2025-02-06T14:30:00.042Z", "request_id": "req-abc123", "method": "GET",
    "path": "/api/v2/users/me", "query_string": "a=1", "status": 200, "client_ip": "203.0.113.42",
    "user_agent": "MyApp/2.1 iOS/17.2", "user_id": "user_789", "partner_id": null, "tenant_id": null,
    "backend_service": "users", "backend_instance": "127.0.0.1:9001", "route_id": "users-v2",
    "total_latency_ms": 42.007, "gateway_overhead_ms": 4.0, "upstream_latency_ms": 38.007,
    "rate_limit_remaining": 53, "rate_limited": false, "request_bytes": 256, "response_bytes": 1024,
    "error_type": null, "error_message": null, "gateway_instance": "gateway-3", "gateway_version": "0.1.0",
    "config_version": 7, "protocol": "HTTP/1.1", "scheme": "http", "host": "api.example.com",
    "listener": "public", "attempts": 1, "queue_latency_ms": 0.0, "connect_latency_ms": null,
    "first_byte_latency_ms": 37.5, "trace_id": null, "tls_version": null, "tls_cipher": null, "sampling_weight": 1,
    "decisions": [
        {"stage": "route", "verdict": "matched", "rule": "users-v2", "at": "gateway.yaml:12:5",
         "inputs": {"path": "/api/v2/users/*"}},
        {"stage": "authenticate", "verdict": "verified", "rule": "mobile", "at": "gateway.yaml:30:5",
         "inputs": {"algorithm": "RS256", "expires_in": 3000}},
        {"stage": "limit", "verdict": "admitted", "rule": "standard", "at": "gateway.yaml:40:5",
         "inputs": {"limit": 100, "remaining": 53}},
        {"stage": "balance", "verdict": "picked", "rule": "users", "at": "gateway.yaml:50:5", "inputs": {}}
    ]
}"#;

struct Rules;

impl Names for Rules {
    fn rule(&self, rule: Rule) -> Option<(&str, &str)> {
        match rule {
            Rule::Route(0) => Some(("users-v2", "gateway.yaml:12:5")),
            Rule::Identity(0) => Some(("mobile", "gateway.yaml:30:5")),
            Rule::Tier(0) => Some(("standard", "gateway.yaml:40:5")),
            Rule::Service(0) => Some(("users", "gateway.yaml:50:5")),
            Rule::None
            | Rule::Listener(_)
            | Rule::Route(_)
            | Rule::Identity(_)
            | Rule::Permission(_)
            | Rule::Condition(_)
            | Rule::Tier(_)
            | Rule::Service(_)
            | Rule::AddressList(_) => None,
        }
    }
}

pub(super) fn request(target: (&[u8], &[u8]), headers: &[(&str, &[u8], Known)]) -> Request {
    let mut request = Request::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 42)));
    request.id = request.append(b"req-abc123");
    request.method_text = request.append(b"GET");
    request.path = request.append(target.0);
    request.query = Some(request.append(target.1));
    request.host = request.append(b"api.example.com");
    for (name, value, known) in headers {
        let (name, value) = (request.append(name.as_bytes()), request.append(value));
        request.headers.push(Header { name, value, known: *known });
    }
    request
}

pub(super) fn trail() -> Trail {
    let mut trail = Trail::default();
    trail.push(Stage::Route, "matched", Rule::Route(0), Inputs::none().text("path", "/api/v2/users/*"));
    let inputs = Inputs::none().fixed("algorithm", "RS256").number("expires_in", 3_000);
    trail.push(Stage::Authenticate, "verified", Rule::Identity(0), inputs);
    let inputs = Inputs::none().number("limit", 100).number("remaining", 53);
    trail.push(Stage::Limit, "admitted", Rule::Tier(0), inputs);
    trail.push(Stage::Balance, "picked", Rule::Service(0), Inputs::none());
    trail
}

fn quoted(name: &str) -> &'static Quoted {
    Box::leak(Box::new(Quoted::new(name)))
}

pub(super) fn entry<'a>(request: &'a Request, trail: &'a Trail) -> Entry<'a> {
    Entry {
        request,
        trail,
        names: &Rules,
        policy: Box::leak(Box::default()),
        weight: None,
        response: None,
        started_ms: 1_738_852_200_042,
        times: Times {
            total: 42_007,
            overhead: 4_000,
            upstream: Some(38_007),
            first_byte: Some(37_500),
            ..Times::default()
        },
        status: 200,
        request_bytes: 256,
        response_bytes: 1_024,
        listener: quoted("public"),
        route: Some(quoted("users-v2")),
        service: Some(quoted("users")),
        instance: Some("127.0.0.1:9001"),
        user: Some("user_789"),
        partner: None,
        tenant: None,
        rate_limit_remaining: Some(53),
        rate_limited: false,
        error_type: None,
        error_message: None,
        attempts: 1,
        trace_id: None,
        traced: None,
        country: None,
        config_version: 7,
        node: "gateway-3",
        software: "0.1.0",
    }
}

fn line(entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    encode(&mut out, entry, &mut Memory::default());
    String::from_utf8(out).expect("a record is UTF-8")
}

fn read(entry: &Entry<'_>) -> Value {
    serde_json::from_str(&line(entry)).expect("a record is JSON")
}

#[test]
fn a_record_has_exactly_its_fields_in_their_order() {
    let (request, trail) = (request((b"/a", b""), &[]), Trail::default());
    let line = line(&entry(&request, &trail));
    let object: serde_json::Map<String, Value> = serde_json::from_str(&line).expect("a record is an object");
    let mut names: Vec<&str> = FIELDS.split_whitespace().collect();
    let places: Vec<usize> =
        names.iter().map(|name| line.find(&format!("\"{name}\":")).expect(name)).collect();
    assert!(places.is_sorted());
    names.sort_unstable();
    let mut written: Vec<&String> = object.keys().collect();
    written.sort_unstable();
    assert_eq!(written, names);
}

#[test]
fn a_proxied_request_is_told_completely() {
    let agent = [("user-agent", &b"MyApp/2.1 iOS/17.2"[..], Known::UserAgent)];
    let (request, trail) = (request((b"/api/v2/users/me", b"a=1"), &agent), trail());
    let expected: Value = serde_json::from_str(PROXIED).expect("the expected record is JSON");
    assert_eq!(read(&entry(&request, &trail)), expected);
}

#[test]
fn what_spans_need_is_told_where_somebody_makes_some() {
    let (request, trail) = (request((b"/a", b""), &[]), Trail::default());
    let traced = Traced { span: [b'a'; 16], parent: None, is_sampled: true, upstream_offset: Some(1_500) };
    let told = |traced| {
        let record = read(&Entry { trace_id: Some([b'1'; 32]), traced, ..entry(&request, &trail) });
        let names = ["trace_id", "span_id", "parent_span_id", "trace_sampled", "upstream_offset_ms"];
        names.map(|name| record.get(name).map(Value::to_string)).map(Option::unwrap_or_default).join(" ")
    };
    let (trace, span) = ("1".repeat(32), "a".repeat(16));
    assert_eq!(told(Some(traced)), format!("\"{trace}\" \"{span}\" null true 1.5"));
    let followed = Traced { parent: Some([b'b'; 16]), is_sampled: false, upstream_offset: None, ..traced };
    assert_eq!(told(Some(followed)), format!("\"{trace}\" \"{span}\" \"{}\" false null", "b".repeat(16)));
    assert_eq!(told(None), format!("\"{trace}\"    "));
}

#[test]
fn a_decision_tells_what_it_waited_for_and_others_say_nothing_of_it() {
    let (request, mut waited) = (request((b"/a", b""), &[]), trail());
    let before = line(&entry(&request, &trail()));
    let cause = Cause { stage: Stage::Limit, rule: Rule::Tier(0), awaited: Awaited::Redis };
    waited.waited(cause, 153, 4_210);
    waited.settle();
    let told =
        r#""at":"gateway.yaml:40:5","waited_ms":4.210,"waited_for":"redis","waited_at_ms":0.153,"inputs""#;
    let expected = before.replace(r#""at":"gateway.yaml:40:5","inputs""#, told);
    assert_ne!(expected, before);
    assert_eq!(line(&entry(&request, &waited)), expected);
}

/// Rules that were encoded beforehand, as those of a snapshot are.
struct Encoded(Box<[u8]>);

impl Names for Encoded {
    fn rule(&self, rule: Rule) -> Option<(&str, &str)> {
        Rules.rule(rule)
    }

    fn encoded(&self, rule: Rule) -> Option<&[u8]> {
        (rule == Rule::Route(0)).then_some(&self.0)
    }
}

#[test]
fn a_rule_that_was_encoded_beforehand_reads_the_same() {
    let (request, trail) = (request((b"/a", b""), &[]), trail());
    let names = Encoded(encode_rule("users-v2", "gateway.yaml:12:5"));
    let entry = entry(&request, &trail);
    assert_eq!(line(&Entry { names: &names, ..entry }), line(&entry));
}

#[test]
fn a_changed_node_or_version_is_told_by_the_next_record() {
    let (request, trail) = (request((b"/a", b""), &[]), Trail::default());
    let (mut memory, before) = (Memory::default(), entry(&request, &trail));
    for changed in [before, Entry { node: "gateway-4", ..before }, Entry { software: "0.2.0", ..before }] {
        let mut out = Vec::new();
        encode(&mut out, &changed, &mut memory);
        assert_eq!(String::from_utf8_lossy(&out), line(&changed));
    }
}

#[test]
fn a_queue_of_no_records_is_written_nothing() {
    let queue = Arc::new(Queue::new(0));
    let (request, trail) = (request((b"/a", b""), &[]), trail());
    let mut recorder = Recorder::new(Arc::clone(&queue));
    recorder.write(&entry(&request, &trail));
    recorder.flush();
    assert_eq!(queue.counts(), QueueCounts::default());
    queue.resize(10);
    recorder.write(&entry(&request, &trail));
    recorder.flush();
    assert_eq!(queue.counts().queued, 1);
}

#[test]
fn what_is_unknown_is_null() {
    let request = Request::new("2001:db8::1".parse().expect("an address"));
    let mut trail = Trail::default();
    trail.push(Stage::Intake, "refused", Rule::None, Inputs::none());
    let mut entry = entry(&request, &trail);
    (entry.status, entry.route, entry.service, entry.instance, entry.user) = (0, None, None, None, None);
    (entry.rate_limit_remaining, entry.times.upstream) = (None, None);
    let record = read(&entry);
    let unknown = "request_id method path status user_agent user_id backend_service backend_instance route_id \
                   upstream_latency_ms rate_limit_remaining host";
    for name in unknown.split_whitespace() {
        assert_eq!(record[name], Value::Null, "{name}");
    }
    assert_eq!(record["client_ip"], "2001:db8::1");
    assert_eq!(record["query_string"], "");
    assert_eq!(record["decisions"][0]["rule"], Value::Null);
}

#[test]
fn a_method_is_told_as_it_was_sent() {
    for text in
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BR\"EW"]
    {
        let (mut request, trail) = (request((b"/a", b""), &[]), trail());
        request.method = Method::from_bytes(text.as_bytes());
        request.method_text = request.append(text.as_bytes());
        assert_eq!(read(&entry(&request, &trail))["method"], text);
    }
}

#[test]
fn no_credential_reaches_the_record() {
    let headers = [
        ("authorization", &b"Bearer CANARY"[..], Known::Authorization),
        ("proxy-authorization", b"Basic CANARY", Known::ProxyAuthorization),
        ("cookie", b"session=CANARY", Known::Cookie),
        ("x-api-key", b"CANARY", Known::Other),
    ];
    let query = b"access_token=CANARY&a=1&API_KEY=CANARY&%63ode=CANARY&sig=CANARY;x=CANARY";
    let (request, trail) = (request((b"/a", query), &headers), Trail::default());
    let line = line(&entry(&request, &trail));
    assert!(!line.contains("CANARY"), "{line}");
    assert!(line.contains("\"access_token=***&a=1&API_KEY=***&%63ode=***&sig=***\""), "{line}");
}

#[test]
fn long_texts_are_cut() {
    let agent = [("user-agent", &[b'u'; 600][..], Known::UserAgent)];
    let path = [b"/".as_slice(), &[b'p'; 3_000]].concat();
    let (request, trail) = (request((&path, &[b'q'; 3_000]), &agent), Trail::default());
    let record = read(&entry(&request, &trail));
    let lengths = ["user_agent", "path", "query_string"].map(|name| record[name].as_str().map(str::len));
    assert_eq!(lengths, [Some(512), Some(2_048), Some(2_048)]);
}

#[test]
fn every_octet_of_an_address_is_written_as_usual() {
    for octet in 0..=u8::MAX {
        let address = Ipv4Addr::new(octet, 0, 255 - octet, 1);
        let request = Request::new(IpAddr::V4(address));
        assert_eq!(read(&entry(&request, &Trail::default()))["client_ip"], address.to_string());
    }
}

#[test]
fn a_name_of_the_configuration_cannot_break_the_line() {
    let (request, mut trail) = (request((b"/a", b""), &[]), Trail::default());
    trail.push(Stage::Route, "matched", Rule::None, Inputs::none().text("path", "y\r\n{\"z\":1}"));
    let mut entry = entry(&request, &trail);
    (entry.listener, entry.route) = (quoted("a\nb"), Some(quoted("c\"d")));
    entry.user = Some("e\u{0}\\");
    let record = read(&entry);
    assert_eq!([&record["listener"], &record["route_id"], &record["user_id"]], ["a\nb", "c\"d", "e\u{0}\\"]);
    assert_eq!(record["decisions"][0]["inputs"]["path"], "y\r\n{\"z\":1}");
}

proptest! {
    #[test]
    fn any_request_becomes_one_line(
        path in proptest::collection::vec(any::<u8>(), 0..60),
        query in proptest::collection::vec(any::<u8>(), 0..60),
        agent in proptest::collection::vec(any::<u8>(), 0..60),
        user in ".*",
    ) {
        let headers = [("user-agent", &agent[..], Known::UserAgent)];
        let (request, trail) = (request((&path, &query), &headers), trail());
        let line = line(&Entry { user: Some(&user), ..entry(&request, &trail) });
        prop_assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1);
        prop_assert!(line.ends_with('\n'));
        let record: Value = serde_json::from_str(&line).expect("a record is JSON");
        prop_assert_eq!(record.as_object().map(serde_json::Map::len), Some(FIELDS.split_whitespace().count()));
    }
}

#[test]
fn a_recorder_hands_over_when_it_is_flushed_or_dropped() {
    let queue = Arc::new(Queue::new(10_000));
    let (request, trail) = (request((b"/a", b""), &[]), trail());
    let mut recorder = Recorder::new(Arc::clone(&queue));
    recorder.write(&entry(&request, &trail));
    assert_eq!(queue.counts().queued, 0);
    recorder.flush();
    recorder.flush();
    assert_eq!(queue.counts().queued, 1);
    recorder.write(&entry(&request, &trail));
    drop(recorder);
    let batch = queue.take(usize::MAX, Duration::ZERO).expect("two records");
    assert_eq!(batch.to_vec().iter().filter(|&&byte| byte == b'\n').count(), 2);
}

#[test]
fn a_recorder_hands_over_a_full_chunk_by_itself() {
    let queue = Arc::new(Queue::new(10_000));
    let (request, trail) = (request((b"/a", b""), &[]), trail());
    let mut recorder = Recorder::new(Arc::clone(&queue));
    let length = line(&entry(&request, &trail)).len();
    let needed = (64 * 1024usize).div_ceil(length);
    (1..needed).for_each(|_| _ = recorder.write(&entry(&request, &trail)));
    assert_eq!(queue.counts().queued, 0);
    recorder.write(&entry(&request, &trail));
    assert_eq!(queue.counts().queued, needed as u64);
}

#[test]
fn a_worker_that_writes_for_ever_keeps_the_queue_within_its_bound() {
    let queue = Arc::new(Queue::new(32));
    let (request, trail) = (request((b"/a", b""), &[]), trail());
    let mut recorder = Recorder::new(Arc::clone(&queue));
    (0..1_000).for_each(|_| _ = recorder.write(&entry(&request, &trail)));
    assert_eq!(queue.counts().queued, 32);
    assert_eq!(queue.counts().dropped, 968);
}

/// `cargo test --profile quick -p dataplane --lib record::line_tests -- --ignored --nocapture`
#[test]
#[ignore = "prints a time and proves nothing"]
fn time_of_one_record() {
    let agent = b"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
    let headers = [("user-agent", &agent[..], Known::UserAgent)];
    let (request, trail) = (request((b"/api/v2/users/me", b"page=2&size=50"), &headers), trail());
    let queue = Arc::new(Queue::new(10_000));
    let mut recorder = Recorder::new(Arc::clone(&queue));
    let rounds = 200_000;
    let start = Instant::now();
    (0..rounds).for_each(|_| _ = recorder.write(std::hint::black_box(&entry(&request, &trail))));
    let each = start.elapsed().as_nanos() / rounds;
    println!("{each} ns for a record of {} bytes", line(&entry(&request, &trail)).len());
}

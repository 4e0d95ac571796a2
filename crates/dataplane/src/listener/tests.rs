//! Whole connections of clients, over real sockets.

use serde_json::json;

use crate::testing::{Gateway, PATIENCE, always, fixed, listener, proxied, service, snapshot};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_malformed_request_inherits_nothing_from_the_one_before() {
    let mut limited = fixed("/limited", "hello");
    limited["rate_limit"] = json!({"at": "t:1:1", "tiers": ["few"], "on_failure": "local"});
    limited["response_headers"]["set"] = json!({"x-route": "limited"});
    let gateway = Gateway::start(&snapshot(always(OK), &[limited]));
    let mut client = gateway.connect();
    client.send("GET /limited HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(client.answer().header("x-ratelimit-limit").is_some());
    client.send("GET /other HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("x-ratelimit-limit"), None);
    assert_eq!(answer.header("x-route"), None);
    let record = gateway.record(|record| record["status"] == 400);
    assert_eq!(record["route"], json!(null));
    assert_eq!(record["decisions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_head_that_comes_too_slowly_is_refused_with_a_request_id() {
    let mut document = snapshot(always(OK), &[fixed("/", "hello")]);
    document["listeners"][0]["header_timeout_ms"] = json!(50);
    let gateway = Gateway::start(&document);
    let answer = gateway.ask("GET / HTTP/1.1\r\nhost");
    assert_eq!(answer.status, 408);
    assert!(!answer.header("x-request-id").unwrap().is_empty());
    let record = gateway.record(|record| record["status"] == 408);
    assert_eq!(record["request_id"], answer.json()["request_id"]);
}

#[test]
fn a_refusal_arrives_although_the_client_goes_on_sending() {
    let gateway = Gateway::start(&snapshot(always(OK), &[]));
    let mut client = gateway.connect();
    // A first part of the body comes with the head, so that the buffer is not empty at its front.
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nsome of it");
    let answer = client.answer();
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("connection"), Some("close"));
    // Far more than one buffer, well under what a lingering connection takes.
    for _ in 0..25 {
        client.stream.set_nodelay(true).unwrap();
        std::io::Write::write_all(&mut client.stream, &[b'x'; 8192]).expect("the gateway stopped reading");
    }
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_head_as_long_as_the_listener_allows_is_read() {
    let mut document = snapshot(always(OK), &[fixed("/", "hello")]);
    document["listeners"][0]["max_header_bytes"] = json!(200_000);
    let gateway = Gateway::start(&document);
    let (name, value) = ("x-long", "v".repeat(150_000));
    assert_eq!(gateway.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{name}: {value}\r\n\r\n")).status, 200);
    let value = "v".repeat(250_000);
    assert_eq!(gateway.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{name}: {value}\r\n\r\n")).status, 431);
}

#[test]
fn a_request_on_a_connection_of_a_removed_listener_is_answered_and_is_the_last() {
    let routes = [fixed("/", "hello")];
    let origin = always(OK);
    let mut gateway = Gateway::start(&snapshot(origin, &routes));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.answer().header("connection"), None);
    let mut document = snapshot(origin, &routes);
    document["listeners"] = json!([listener("another")]);
    gateway.apply(document);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_body_with_a_doubtful_end_ends_the_connection() {
    let origin = service(|client| while client.head().is_some() {});
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/"), fixed("/second", "smuggled")]));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na");
    // Read again from its front, in the state that the fault left behind, this would be five bytes of data and an end.
    client.send("\r\n5;a\x01b\r\n0\r\n\r\nGET /second HTTP/1.1\r\nhost: a\r\n\r\n");
    let all = String::from_utf8(client.rest()).unwrap();
    assert!(all.starts_with("HTTP/1.1 400 "), "{all}");
    assert!(all.contains("connection: close\r\n") && !all.contains("smuggled"), "{all}");
}

#[test]
fn a_panic_takes_one_connection_down_and_is_counted_and_recorded() {
    let gateway = Gateway::start(&snapshot(always(OK), &[proxied("/")]));
    let mut bystander = gateway.connect();
    bystander.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(bystander.answer().status, 200);
    let mut victim = gateway.connect();
    victim.send("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(victim.rest(), b"");
    bystander.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(bystander.answer().body, b"ok");
    gateway.metric("gateway_worker_panics_total 1");
    let record = gateway.record(|record| record["path"] == "/panic");
    assert_eq!((&record["status"], &record["error_type"]), (&json!(500), &json!("internal_error")));
    // An answer arrives a moment before its request is counted out.
    gateway.metric("gateway_in_flight_requests 0");
    let state = gateway.state();
    assert_eq!((&state["connections"], &state["in_flight"]), (&json!(1), &json!(0)));
}

#[test]
fn a_request_that_is_cut_by_stopping_is_recorded() {
    let (arrived, arrival) = std::sync::mpsc::channel();
    let arrived = std::sync::Mutex::new(arrived);
    let origin = service(move |client| {
        client.head();
        arrived.lock().unwrap().send(()).unwrap();
        client.rest();
    });
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    let mut client = gateway.connect();
    client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    arrival.recv_timeout(PATIENCE).unwrap();
    gateway.engine.stop();
    let record = gateway.record(|record| record["path"] == "/slow");
    assert_eq!((&record["status"], &record["error_type"]), (&json!(503), &json!("stopped")));
}

#[test]
fn a_client_that_waits_for_leave_is_not_given_it_behind_the_final_answer() {
    let gateway = Gateway::start(&snapshot(always(OK), &[fixed("/", "hello")]));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_connection_over_the_maximum_gets_a_whole_answer() {
    let mut document = snapshot(always(OK), &[fixed("/", "hello")]);
    document["listeners"][0]["max_connections"] = json!(1);
    let gateway = Gateway::start(&document);
    let mut first = gateway.connect();
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(first.answer().status, 200);
    let mut second = gateway.connect();
    let answer = second.answer();
    assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("overloaded")));
    assert_eq!(second.rest(), b"");
}

#[test]
fn explain_says_of_a_preflight_what_the_live_path_does() {
    let mut route = fixed("/", "hello");
    route["match"]["methods"] = json!(["GET"]);
    route["cors"] = json!({
        "at": "t:1:1", "allow_origins": ["https://a.example"], "allow_methods": ["GET"], "allow_headers": [],
        "expose_headers": [], "allow_credentials": false, "max_age_s": 60,
    });
    let document = snapshot(always(OK), &[route]);
    let headers = [("origin", "https://a.example"), ("access-control-request-method", "GET")];
    let asked = json!([{
        "method": "OPTIONS", "target": "/", "host": "a", "headers": headers, "peer": "127.0.0.1",
        "listener": null, "now_ms": 0, "content_length": null,
    }]);
    let verdicts =
        crate::engine::decide(document.to_string().as_bytes(), b"{}", asked.to_string().as_bytes()).unwrap();
    let verdicts: serde_json::Value = serde_json::from_slice(&verdicts).unwrap();
    let gateway = Gateway::start(&document);
    let mut client = gateway.connect();
    client.send(
        "OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: https://a.example\r\n\
access-control-request-method: GET\r\n\r\n",
    );
    let answer = client.answer_to_head();
    assert_eq!((&verdicts[0]["status"], &verdicts[0]["route"]), (&json!(answer.status), &json!("/")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
}

#[test]
fn a_chunked_body_beyond_the_limit_is_refused_and_ends_the_connection() {
    let origin = service(|client| {
        client.head();
        client.rest();
    });
    let mut route = proxied("/");
    route["max_body_bytes"] = json!(10);
    let gateway = Gateway::start(&snapshot(origin, &[route]));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n");
    client.send("3\r\n123\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
}

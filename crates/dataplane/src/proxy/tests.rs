//! Exchanges with services that misbehave, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::testing::{Gateway, PATIENCE, always, proxied, service, snapshot};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";

/// Answers the first request of each connection and closes without a word when another one comes.
fn closes_on_the_second(answered: Arc<AtomicU32>) -> std::net::SocketAddr {
    service(move |client| {
        if client.head().is_some() {
            answered.fetch_add(1, Ordering::Relaxed);
            client.send(OK);
            client.head();
        }
    })
}

#[test]
fn a_get_on_a_stale_connection_is_sent_again_and_a_post_is_not() {
    let answered = Arc::new(AtomicU32::new(0));
    let gateway = Gateway::start(&snapshot(closes_on_the_second(Arc::clone(&answered)), &[proxied("/")]));
    assert_eq!(gateway.ask(GET).status, 200);
    assert_eq!(gateway.ask(GET).status, 200);
    let record = gateway.record(|record| record["attempts"] == 2);
    assert_eq!(record["status"], 200);
    let answer = gateway.ask("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(answer.status, 502);
    assert_eq!(answered.load(Ordering::Relaxed), 2);
}

#[test]
fn a_service_that_is_silent_after_a_late_body_is_a_504_and_not_the_clients_fault() {
    let origin = service(|client| {
        client.head();
        client.exactly(4);
        client.rest();
    });
    let mut route = proxied("/");
    route["timeout_ms"] = json!(200);
    let gateway = Gateway::start(&snapshot(origin, &[route]));
    let mut client = gateway.connect();
    client.send("POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 100 "));
    client.send("body");
    assert_eq!(client.answer().status, 504);
}

#[test]
fn a_client_that_neither_sends_its_body_nor_reads_the_answer_is_cut() {
    let origin = service(|client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            client.send(&piece);
        }
    });
    let mut document = snapshot(origin, &[proxied("/")]);
    document["listeners"][0]["write_timeout_ms"] = json!(200);
    document["listeners"][0]["body_timeout_ms"] = json!(300);
    let gateway = Gateway::start(&document);
    let mut client = gateway.connect();
    client.send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nh");
    let record = gateway.record(|record| record["method"] == "POST");
    assert_eq!(record["error_type"], "client_stalled");
}

#[test]
fn an_interim_answer_reaches_the_client_before_the_final_one_is_there() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let origin = service(move |client| {
        client.head();
        client.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        let has_read_it = gate.lock().unwrap().recv_timeout(PATIENCE);
        assert!(has_read_it.is_ok(), "the hint was kept back");
        client.send(OK);
    });
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.head().unwrap(), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    open.send(()).unwrap();
    assert_eq!(client.answer().body, b"ok");
}

#[test]
fn a_service_with_too_many_interim_answers_is_a_502() {
    let origin = service(|client| {
        client.head();
        client.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(40));
        client.send(OK);
    });
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    let mut client = gateway.connect();
    client.send("GET /a HTTP/1.0\r\nhost: a\r\n\r\n");
    assert_eq!(client.answer().status, 502);
}

#[test]
fn a_204_has_no_length() {
    let origin = always("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n");
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(GET);
        let answer = client.answer_to_head();
        assert_eq!((answer.status, answer.header("content-length")), (204, None));
    }
}

#[test]
fn an_early_answer_ends_both_connections_and_reaches_the_client() {
    let connections = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&connections);
    let origin = service(move |client| {
        seen.fetch_add(1, Ordering::Relaxed);
        while client.head().is_some() {
            client.send(OK);
        }
    });
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    let mut client = gateway.connect();
    client.send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nsome");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(gateway.ask(GET).body, b"ok");
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[test]
fn bytes_behind_a_response_are_given_to_nobody() {
    let origin = service(|client| {
        while client.head().is_some() {
            client.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
        }
    });
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    for _ in 0..3 {
        assert_eq!(gateway.ask(GET).body, b"ok");
    }
}

#[test]
fn a_cut_response_without_a_length_is_no_orderly_end_for_an_old_client() {
    let origin = service(|client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    });
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    let mut client = gateway.connect();
    client.send("GET /a HTTP/1.0\r\nhost: a\r\n\r\n");
    gateway.record(|record| record["error_type"] == "connection_reset");
    let mut bytes = Vec::new();
    let end = std::io::Read::read_to_end(&mut client.stream, &mut bytes);
    assert!(end.is_err(), "took {:?} for complete", String::from_utf8_lossy(&bytes));
}

#[test]
fn trailers_go_to_the_client_that_asked_for_them_only() {
    let origin = always(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nset-cookie: a\r\n\r\n",
    );
    let gateway = Gateway::start(&snapshot(origin, &[proxied("/")]));
    for (asks, end) in [
        ("te: trailers\r\nconnection: te, close", "0\r\nx-sum: 1\r\n\r\n"),
        ("connection: close", "0\r\n\r\n"),
    ] {
        let mut client = gateway.connect();
        client.send(format!("GET /a HTTP/1.1\r\nhost: a\r\n{asks}\r\n\r\n"));
        let all = String::from_utf8(client.rest()).unwrap();
        assert!(all.ends_with(&format!("\r\n\r\n2\r\nok\r\n{end}")), "{all}");
    }
}

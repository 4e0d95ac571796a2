//! Generated heads: no bytes panic, no cut changes the answer, and what was read, written and read again is the same.

use proptest::prelude::*;

use super::tests::{LIMITS, PEER, dribble, read_with, shape};
use super::*;
use crate::snapshot::document::RequestDocument;

const NAMES: &str = "Host|hOst|Content-Length|Transfer-Encoding|Connection|X-User-ID|X_Request_ID|X-Request-ID|Expect|X-Forwarded-For|Upgrade|Content_Length|X|X || X|Te|X.User-Id";

const VALUES: &str = "a|A.b:80|[::1]|0|5|5, 5|+5|chunked|Chunked|gzip, chunked|close|keep-alive, x|x, host|100-continue||1.2.3.4|8.8.8.8, 10.0.0.1|\t a \t|é|a\0|a\rb|websocket";

fn header() -> impl Strategy<Value = String> {
    let name = prop::sample::select(NAMES.split('|').collect::<Vec<_>>());
    let value = prop::sample::select(VALUES.split('|').collect::<Vec<_>>());
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r\n ", "\r"]);
    (name, value, end).prop_map(|(name, value, end)| format!("{name}: {value}{end}"))
}

fn head() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "POST /a/../b?c HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "GET /%2e%2e HTTP/1.1",
        "PUT /a//b HTTP/1.0",
        "get / HTTP/1.1",
        "GET /a;b HTTP/1.1",
        "GET /a|b HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.2",
        "\r\nGET / HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
    ]);
    let host = prop::sample::select(vec!["Host: a\r\n", "Host: a\r\n", "Host: a.:80\r\n", ""]);
    let headers = prop::collection::vec(header(), 0..4).prop_map(|list| list.concat());
    (line, host, headers).prop_map(|(line, host, headers)| format!("{line}\r\n{host}{headers}\r\n"))
}

/// What a proxy would send on, with every header in it: reading it must find the same request.
fn write_again(request: &Request) -> Vec<u8> {
    let query = request.query.map(|_| format!("?{}", request.query())).unwrap_or_default();
    let version = match request.version {
        Version::Http2 => unreachable!("read from bytes of HTTP/1.1"),
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    let mut out = format!("{} {}{query} HTTP/{version}\r\n", request.method(), request.path()).into_bytes();
    for header in &request.headers {
        out.extend_from_slice(request.slice(header.name));
        out.extend_from_slice(b": ");
        out.extend_from_slice(request.slice(header.value));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Reads bytes that were looked at before, which takes the careful way and never the short one.
fn read_again(bytes: &[u8], limits: &Limits<'_>) -> (Result<Option<usize>, Refusal>, Request) {
    let mut request = Request::new(PEER);
    let mut scanned = bytes.len().min(1);
    (read(bytes, &mut scanned, limits, PEER, &mut request), request)
}

/// The one invariant of the whole stage, for any bytes.
fn check(bytes: &[u8], limits: &Limits<'_>) -> Result<(), TestCaseError> {
    let (whole, request) = read_with(bytes, limits);
    prop_assert_eq!(&whole, &dribble(bytes, limits));
    let (careful, same) = read_again(bytes, limits);
    prop_assert_eq!(&whole, &careful);
    prop_assert_eq!(shape(&request), shape(&same));
    match whole {
        Ok(None) => {}
        Ok(Some(_)) => {
            let again = write_again(&request);
            let (answer, second) = read_with(&again, limits);
            prop_assert_eq!(answer, Ok(Some(again.len())));
            prop_assert_eq!(shape(&second), shape(&request));
        }
        Err(_) => prop_assert!(!request.id.is_empty() && !request.keep_alive),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_cut_changes_the_answer_and_what_is_accepted_reads_the_same_again(head in head(), rest in "[a-z]{0,3}") {
        check(format!("{head}{rest}").as_bytes(), &LIMITS)?;
    }

    #[test]
    fn limits_give_the_same_answer_for_every_cut(head in head(), header in 1_u32..120, uri in 1_u32..20) {
        let trusted = ["192.0.2.0/24".parse().unwrap()];
        let limits = Limits { max_header_bytes: header, max_uri_bytes: uri, trusted_proxies: &trusted, ..LIMITS };
        prop_assert_eq!(read_with(head.as_bytes(), &limits).0, dribble(head.as_bytes(), &limits));
    }

    #[test]
    fn a_changed_byte_panics_nothing(head in head(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = head.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check(&bytes, &LIMITS)?;
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        check(&bytes, &LIMITS)?;
    }

    #[test]
    fn a_document_is_read_like_the_wire(
        target in "/[a-b./%;2e?#|]{0,8}",
        host in prop::sample::select(vec!["a", "A.:80", "", "a b", "a\r\nX: b"]),
        name in prop::sample::select(vec!["X-A", "x_user_id", "Connection", "Content-Length", "X A", "", "X:"]),
        value in prop::sample::select(vec!["a", " a ", "close", "5", "a\r\nHost: b", "a\0", "é"]),
        content_length in prop::option::of(0_u64..9),
    ) {
        let document = RequestDocument {
            method: "GET".into(),
            target: target.clone(),
            host: host.into(),
            headers: vec![(name.into(), value.into())],
            peer: PEER,
            listener: None,
            now_ms: 0,
            content_length,
            cpu_percent: None,
            memory_percent: None,
            in_flight: None,
        };
        let length = content_length.map(|length| format!("content-length: {length}\r\n")).unwrap_or_default();
        let wire = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{name}: {value}\r\n{length}\r\n");
        let mut request = Request::new(PEER);
        let answer = from_document(&document, &LIMITS, &mut request);
        let injects = host.contains('\n') || value.contains('\n');
        let (wire_answer, same) = read_with(wire.as_bytes(), &LIMITS);
        if wire_answer.is_ok() && !injects && name != "X:" {
            prop_assert_eq!(answer, Ok(()));
            prop_assert_eq!(shape(&request), shape(&same));
        } else {
            prop_assert!(answer.is_err());
            prop_assert!(!request.id.is_empty());
        }
    }
}

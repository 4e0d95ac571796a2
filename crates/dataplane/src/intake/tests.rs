//! Requests from bytes: what each part decides. Every head is also read byte by byte and must give the same answer.

use std::net::IpAddr;

use super::*;
use crate::request::{Framing, Known};

pub(super) const LIMITS: Limits<'static> = Limits {
    max_header_bytes: 8192,
    max_uri_bytes: 8192,
    trusted_proxies: &[],
    path_parameters: PathParameters::Refuse,
    scheme: Scheme::Http,
};
pub(super) const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

/// Everything that must not depend on cuts. A made id is left out: it is new each time.
pub(super) fn shape(request: &Request) -> String {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|header| (request.str(header.name), request.slice(header.value), header.known))
        .collect();
    let Request { method, framing, keep_alive, client, scheme, version, expects_continue, query, .. } =
        request;
    format!(
        "{method:?} {} {} {query:?} {} {} {:?} {framing:?} {keep_alive} {client} {scheme:?} {version:?} {expects_continue} {headers:?}",
        request.method(),
        request.path(),
        request.query(),
        request.host(),
        request.str(request.authority),
        query = query.is_some(),
    )
}

pub(super) fn read_with(bytes: &[u8], limits: &Limits<'_>) -> (Result<Option<usize>, Refusal>, Request) {
    let mut request = Request::new(PEER);
    let answer = read(bytes, &mut 0, limits, PEER, &mut request);
    (answer, request)
}

/// Reads the bytes as they come, one more each time; gives the first answer that is not `None`.
pub(super) fn dribble(bytes: &[u8], limits: &Limits<'_>) -> Result<Option<usize>, Refusal> {
    let (mut request, mut scanned) = (Request::new(PEER), 0);
    for length in 0..=bytes.len() {
        let answer = read(&bytes[..length], &mut scanned, limits, PEER, &mut request);
        if answer != Ok(None) {
            assert_eq!(scanned, 0);
            return answer;
        }
    }
    Ok(None)
}

pub(super) fn accept_with(head: &str, limits: &Limits<'_>) -> Request {
    let (answer, request) = read_with(head.as_bytes(), limits);
    assert_eq!(answer, Ok(Some(head.len())), "{head:?}");
    assert_eq!(dribble(head.as_bytes(), limits), answer, "{head:?}");
    assert_eq!(request.head_bytes as usize, head.len());
    request
}

pub(super) fn accept(head: &str) -> Request {
    accept_with(head, &LIMITS)
}

pub(super) fn refuse_with(head: &[u8], limits: &Limits<'_>) -> Refusal {
    let text = String::from_utf8_lossy(head).into_owned();
    let (answer, request) = read_with(head, limits);
    assert_eq!(dribble(head, limits), answer, "{text:?}");
    assert!(!request.id.is_empty() && !request.keep_alive, "{text:?}");
    answer.expect_err(&text)
}

pub(super) fn fault(head: &str) -> Malformed {
    let refusal = refuse_with(head.as_bytes(), &LIMITS);
    let Refusal::Malformed(fault) = refusal else { panic!("{refusal:?}") };
    fault
}

/// A GET with these further header lines.
pub(super) fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

fn kinds(request: &Request) -> Vec<(&str, Known)> {
    request.headers.iter().map(|header| (request.str(header.name), header.known)).collect()
}

#[test]
fn a_plain_request_is_read_whole() {
    let request =
        accept("POST /a/../b?x=%2F HTTP/1.1\r\nHost: Example.COM:8080\r\nContent-Length: 12\r\nX-A:\r\n\r\n");
    assert_eq!((request.method, request.path(), request.query()), (Method::Post, "/b", "x=%2F"));
    assert_eq!((request.host(), request.str(request.authority)), ("example.com", "example.com:8080"));
    assert_eq!((request.framing, request.keep_alive), (Framing::Length(12), true));
    assert_eq!((request.client, request.peer_is_trusted), (PEER, false));
    assert_eq!(request.id().len(), 36);
    assert_eq!(request.values(b"x-a").next(), Some(&b""[..]));
}

#[test]
fn a_request_may_come_after_one_empty_line_and_before_another_request() {
    let head = format!("\r\n{}", with(""));
    let bytes = format!("{head}GET /next HTTP/1.1\r\n");
    assert_eq!(read_with(bytes.as_bytes(), &LIMITS).0, Ok(Some(head.len())));
    assert_eq!(dribble(bytes.as_bytes(), &LIMITS), Ok(Some(head.len())));
    assert_eq!(fault(&format!("\r\n\r\n{}", with(""))), Malformed::RequestLine);
    assert_eq!(fault("\n"), Malformed::RequestLine);
}

#[test]
fn a_buffer_used_again_keeps_nothing_of_the_last_request() {
    let mut request = Request::new(PEER);
    let long =
        with("Connection: close\r\nContent-Length: 5\r\nX-Request-ID: old\r\nExpect: 100-continue\r\n");
    read(long.as_bytes(), &mut 0, &LIMITS, PEER, &mut request).unwrap();
    read(with("").as_bytes(), &mut 0, &LIMITS, PEER, &mut request).unwrap();
    assert_eq!(shape(&request), shape(&accept(&with(""))));
    assert_ne!(request.id(), "old");
}

#[test]
fn a_refusal_names_what_was_understood() {
    let (_, request) =
        read_with(b"PUT /a/%62 HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Request-ID: mine\r\n\r\n", &LIMITS);
    assert_eq!((request.method(), request.path(), request.id()), ("PUT", "/a/b", "mine"));
    let (_, request) = read_with(b"PUT /a/b HTTP/1.1\r\nBad : a\r\n\r\n", &LIMITS);
    assert_eq!((request.method(), request.path()), ("PUT", "/a/b"));
    let (_, request) = read_with(b"TRACE /a/b HTTP/1.1\r\nHost: a\r\n\r\n", &LIMITS);
    assert_eq!((request.method(), request.path()), ("TRACE", "/a/b"));
}

#[test]
fn framing_has_one_meaning_or_none() {
    let body = |lines: &str| accept(&with(lines)).framing;
    assert_eq!(body(""), Framing::None);
    assert_eq!(body("Content-Length: 0\r\n"), Framing::Length(0));
    assert_eq!(body("Transfer-Encoding: CHUNKED\r\n"), Framing::Chunked);
    for (lines, expected) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Malformed::LengthWithEncoding),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", Malformed::RepeatedLength),
        ("Content-Length: 1, 1\r\n", Malformed::Length),
        ("Content-Length:\r\n", Malformed::Length),
        ("Content-Length: +1\r\n", Malformed::Length),
        ("Content-Length: -1\r\n", Malformed::Length),
        ("Content-Length: 0x1\r\n", Malformed::Length),
        ("Content-Length: 18446744073709551616\r\n", Malformed::Length),
        ("Transfer-Encoding: gzip, chunked\r\n", Malformed::TransferEncoding),
        ("Transfer-Encoding: chunked, chunked\r\n", Malformed::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Malformed::TransferEncoding),
        ("Transfer-Encoding: chunked;q=1\r\n", Malformed::TransferEncoding),
        ("Transfer-Encoding: \"chunked\"\r\n", Malformed::TransferEncoding),
        ("Transfer-Encoding: \u{b}chunked\r\n", Malformed::HeaderValue),
        ("Transfer-Encoding: xchunked\r\n", Malformed::TransferEncoding),
        ("Transfer-Encoding:\r\n", Malformed::TransferEncoding),
        ("Transfer-Encoding : chunked\r\n", Malformed::HeaderName),
        ("Transfer-Encoding\r\n : chunked\r\n", Malformed::ObsoleteFolding),
        ("Transfer-Encoding:\r\n chunked\r\n", Malformed::ObsoleteFolding),
        ("Transfer-Encoding: chunked\n", Malformed::BareLineFeed),
        ("X: a\rTransfer-Encoding: chunked\r\n", Malformed::BareLineFeed),
        (": chunked\r\n", Malformed::HeaderName),
        ("Expect: 200-ok\r\n", Malformed::Expectation),
    ] {
        assert_eq!(fault(&with(lines)), expected, "{lines:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(fault(old), Malformed::EncodingInHttp10);
}

#[test]
fn only_a_body_in_http11_is_waited_for() {
    let lines = "Expect: 100-Continue\r\n";
    assert!(accept(&with(&format!("{lines}Content-Length: 1\r\n"))).expects_continue);
    assert!(!accept(&with(lines)).expects_continue);
    assert!(!accept("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expects_continue);
}

#[test]
fn identity_from_a_client_is_marked_in_every_spelling() {
    for name in
        ["X-User-ID", "x_user_id", "X.User.Scopes", "X-PARTNER_ID", "X_Forwarded-For", "Content_Length"]
    {
        let head = with(&format!("{name}: root\r\n"));
        assert_eq!(accept(&head).headers[1].known, Known::ClientSentIdentity, "{name}");
    }
}

#[test]
fn connection_takes_away_what_it_names_but_not_what_we_need() {
    let request = accept(&with(
        "X-Hop: 1\r\nConnection: x-hop, HOST,Content-Length\r\nAuthorization: b\r\nContent-Length: 1\r\n\
         connection: authorization, x-request-id, x-user-id\r\nX-Request-ID: 7\r\nX-User-ID: 1\r\nX-Stay: 1\r\n",
    ));
    assert_eq!(
        kinds(&request),
        [
            ("host", Known::Host),
            ("x-hop", Known::NamedInConnection),
            ("connection", Known::Connection),
            ("authorization", Known::NamedInConnection),
            ("content-length", Known::ContentLength),
            ("connection", Known::Connection),
            ("x-request-id", Known::XRequestId),
            ("x-user-id", Known::ClientSentIdentity),
            ("x-stay", Known::Other),
        ]
    );
    assert_eq!((request.framing, request.id()), (Framing::Length(1), "7"));
    assert_eq!(fault(&with("Connection: a b\r\n")), Malformed::HeaderValue);
}

#[test]
fn the_connection_lives_on_as_version_and_header_say() {
    let lives = |version: &str, lines: &str| {
        accept(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).keep_alive
    };
    assert!(lives("1.1", "") && lives("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    assert!(
        !lives("1.1", "Connection: x, CLOSE\r\n")
            && !lives("1.1", "Connection: keep-alive\r\nConnection: close\r\n")
    );
    assert!(!lives("1.0", "") && lives("1.0", "Connection: Keep-Alive\r\n"));
}

#[test]
fn a_sane_request_id_is_kept_and_any_other_replaced() {
    let id = |lines: String| accept(&with(&lines)).id().to_owned();
    let longest = "x".repeat(128);
    assert_eq!(id(format!("X-Request-ID: {longest}\r\n")), longest);
    for lines in [
        format!("X-Request-ID: {longest}x\r\n"),
        "X-Request-ID:\r\n".into(),
        "X-Request-ID: a b\r\n".into(),
        "X-Request-ID: é\r\n".into(),
        "X-Request-ID: a\r\nX-Request-ID: a\r\n".into(),
    ] {
        assert_eq!(id(lines.clone()).len(), 36, "{lines}");
    }
}

#[test]
fn each_limit_has_its_own_refusal_even_before_the_head_is_complete() {
    let limits = Limits { max_header_bytes: 200, max_uri_bytes: 50, ..LIMITS };
    let uri = Refusal::UriTooLong { limit: 50 };
    let target = format!("/{}", "a".repeat(49));
    accept_with(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), &limits);
    for head in [
        format!("GET {target}a HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET {target}a"),
        format!("GET {target}a HTTP/1.1\nHost: a\r\n\r\n"),
        format!("GET {target}a#é\u{1} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)),
    ] {
        assert_eq!(refuse_with(head.as_bytes(), &limits), uri, "{head}");
    }
    let headers = Refusal::HeadersTooLarge { limit: 200 };
    let exact = with(&format!("A: {}\r\n", "b".repeat(200 - with("A: \r\n").len())));
    accept_with(&exact, &limits);
    assert_eq!(refuse_with(exact.replace("A: ", "A: b").as_bytes(), &limits), headers);
    assert_eq!(refuse_with(format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(300)).as_bytes(), &limits), headers);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8192));
    assert_eq!(refuse_with(long.as_bytes(), &LIMITS), Refusal::UriTooLong { limit: 8192 });
    let many = with(&"A: b\r\n".repeat(100));
    assert_eq!(fault(&many), Malformed::TooManyHeaders);
}

#[test]
fn bytes_that_cannot_begin_a_request_are_not_waited_for() {
    assert_eq!(refuse_with(&[0x16, 3, 1], &LIMITS), Refusal::Malformed(Malformed::RequestLine));
    assert_eq!(fault("\r\n "), Malformed::RequestLine);
    assert_eq!(fault("PRI * HTTP/2.0\r\n\r\n"), Malformed::Version);
}

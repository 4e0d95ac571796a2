//! The client's address, through proxies that are trusted and others.

use super::tests::{LIMITS, PEER, accept, accept_with, refuse_with, with};
use super::*;

#[test]
fn the_client_is_the_last_address_that_is_not_trusted() {
    let trusted = ["192.0.2.0/24".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    let limits = Limits { trusted_proxies: &trusted, ..LIMITS };
    let client = |lines: &str| accept_with(&with(lines), &limits).client.to_string();
    assert_eq!(client(""), "192.0.2.9");
    assert_eq!(client("X-Forwarded-For: 1.1.1.1, 8.8.8.8, 10.0.0.1\r\n"), "8.8.8.8");
    assert_eq!(client("X-Forwarded-For: junk, 8.8.8.8:99\r\nX-Forwarded-For: 10.0.0.1\r\n"), "8.8.8.8");
    assert_eq!(client("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 8.8.8.8\r\n"), "8.8.8.8");
    assert_eq!(client("X-Forwarded-For: ::FFFF:8.8.8.8\r\n"), "8.8.8.8");
    assert_eq!(client("X-Forwarded-For: [2001:db8::1]:443\r\n"), "2001:db8::1");
    assert_eq!(client("X-Forwarded-For: ::ffff:10.0.0.1, ::ffff:10.0.0.2\r\n"), "10.0.0.1");
    assert_eq!(client("X-Forwarded-For: 8.8.8.8\r\nConnection: x-forwarded-for\r\n"), "8.8.8.8");
    for wrong in
        ["", "8.8.8.8,", "unknown", "8.8.8.8, _x", "08.8.8.8", "[::1", "8.8.8.8:99999", "fe80::1%eth0"]
    {
        let head = with(&format!("X-Forwarded-For: {wrong}\r\n"));
        assert_eq!(
            refuse_with(head.as_bytes(), &limits),
            Refusal::Malformed(Malformed::ForwardedFor),
            "{wrong}"
        );
    }
    assert_eq!(accept(&with("X-Forwarded-For: junk\r\nX-Forwarded-Proto: https\r\n")).client, PEER);
    let scheme = |value: &str| accept_with(&with(&format!("X-Forwarded-Proto: {value}\r\n")), &limits).scheme;
    assert_eq!(
        (scheme("HTTPS"), scheme("https, http"), scheme("ftp")),
        (Scheme::Https, Scheme::Http, Scheme::Http)
    );
}

#[test]
fn a_target_says_https_only_where_the_connection_is_secured() {
    let trusted = ["192.0.2.0/24".parse().unwrap()];
    let behind_proxy = Limits { trusted_proxies: &trusted, ..LIMITS };
    let secured = Limits { scheme: Scheme::Https, ..LIMITS };
    let head = |target: &str, told: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{told}\r\n");
    let told = "X-Forwarded-Proto: https\r\n";
    assert_eq!(accept_with(&head("https://a/b", told), &behind_proxy).path(), "/b");
    assert_eq!(accept_with(&head("https://a/b", ""), &secured).path(), "/b");
    assert_eq!(accept_with(&head("http://a/b", ""), &secured).path(), "/b");
    for (head, limits) in [(head("https://a/b", told), LIMITS), (head("https://a/b", ""), behind_proxy)] {
        let refusal = refuse_with(head.as_bytes(), &limits);
        assert_eq!(refusal, Refusal::Malformed(Malformed::SchemeDisagrees));
    }
}

#[test]
fn a_mapped_peer_is_one_client() {
    let mut request = Request::new(PEER);
    let peer = "::ffff:198.51.100.7".parse().unwrap();
    read(with("").as_bytes(), &mut 0, &LIMITS, peer, &mut request).unwrap();
    assert_eq!(
        (request.peer.to_string(), request.client.to_string()),
        ("198.51.100.7".into(), "198.51.100.7".into())
    );
}

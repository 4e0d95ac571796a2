//! Target and host: one spelling each, and no two readings.

use super::tests::{accept, fault};
use crate::refusal::Malformed;

/// Separated by `|`; the first is empty.
const WRONG_HOSTS: &str = "|.|a..b|a..|.a|a:|a:0|a:080|a:65536|a:8x|a:+1|a@b|a/b|a b|a,b|[::1|[1]|[::1]x|[fe80::1%25eth0]|::1|é|a%2eb|*.a";

#[test]
fn targets_of_every_form_are_told_apart() {
    let line = |line: &str, host: &str| format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(accept(&line("GET http://A:80/b?c", "a")).path(), "/b");
    assert_eq!(accept(&line("GET http://[::0001]:8?c", "[::1]:8")).query(), "c");
    for (target, host, expected) in [
        ("GET http://b/", "a", Malformed::HostDisagrees),
        ("GET http://a:81/", "a", Malformed::HostDisagrees),
        ("GET HTTPS://a.", "a:443", Malformed::SchemeDisagrees),
        ("GET http://a@b/", "b", Malformed::Host),
        ("GET http:///", "a", Malformed::Host),
        ("GET ftp://a/", "a", Malformed::Target),
        ("GET a/b", "a", Malformed::Target),
        ("OPTIONS *", "a", Malformed::Target),
        ("GET *", "a", Malformed::Target),
        ("CONNECT a:80", "a", Malformed::Method),
        ("TRACE /", "a", Malformed::Method),
        ("GET /a#b", "a", Malformed::Fragment),
        ("GET /a?b#c", "a", Malformed::Fragment),
        ("GET http://a#c", "a", Malformed::Fragment),
        ("GET /a?\u{e9}", "a", Malformed::Query),
        ("GET /admin? HTTP/1.1 x", "a", Malformed::RequestLine),
    ] {
        assert_eq!(fault(&line(target, host)), expected, "{target}");
    }
    assert_eq!(fault(&format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(33))), Malformed::Method);
}

#[test]
fn a_host_has_one_spelling() {
    let host = |host: &str| {
        let request = accept(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        format!("{} {}", request.host(), request.str(request.authority))
    };
    assert_eq!(host("EXAMPLE.com."), "example.com example.com");
    assert_eq!(host("example.com.:65535"), "example.com example.com:65535");
    assert_eq!(host("[2001:DB8::0:1]:80"), "[2001:db8::1] [2001:db8::1]:80");
    assert_eq!(host("xn--bcher-kva.example"), "xn--bcher-kva.example xn--bcher-kva.example");
    let too_long = ["a".repeat(64), "a.".repeat(128)];
    for wrong in WRONG_HOSTS.split('|').chain(too_long.iter().map(String::as_str)) {
        assert_eq!(fault(&format!("GET / HTTP/1.1\r\nHost: {wrong}\r\n\r\n")), Malformed::Host, "{wrong:?}");
    }
    assert_eq!(fault("GET / HTTP/1.1\r\n\r\n"), Malformed::MissingHost);
    assert_eq!(fault("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), Malformed::RepeatedHost);
    assert_eq!(accept("GET / HTTP/1.0\r\n\r\n").host(), "");
    assert_eq!(accept("GET http://A:1/ HTTP/1.0\r\n\r\n").host(), "a");
}

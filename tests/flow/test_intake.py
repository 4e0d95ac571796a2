"""Intake: one canonical request from the bytes of a client, or a refusal."""

import re

import pytest

from gateway import Client, Node, Origin, Refused, encode, get, listener, one_route, raw

HOST = b"Host: a.test\r\n"

MALFORMED = {
    b"GET /\r\n" + HOST: "the request line is not `METHOD target HTTP/1.1`",
    b"GET  / HTTP/1.1\r\n" + HOST: "the request line is not `METHOD target HTTP/1.1`",
    b"TRACE / HTTP/1.1\r\n" + HOST: "the method is not a token, or not one that is proxied",
    b"CONNECT a.test:443 HTTP/1.1\r\n" + HOST: "the method is not a token, or not one that is proxied",
    b"GET admin HTTP/1.1\r\n" + HOST: "the target is neither a path nor an absolute `http(s)` URI",
    b"GET /a#b HTTP/1.1\r\n" + HOST: "the target has a fragment",
    b"GET /%zz HTTP/1.1\r\n" + HOST: (
        "the path has a `%` without two hexadecimal digits, or a doubly escaped separator"
    ),
    b"GET /%252fadmin HTTP/1.1\r\n" + HOST: (
        "the path has a `%` without two hexadecimal digits, or a doubly escaped separator"
    ),
    b"GET /a%2fb HTTP/1.1\r\n" + HOST: "the path has an encoded slash or a backslash",
    b"GET /a\\b HTTP/1.1\r\n" + HOST: "the path has an encoded slash or a backslash",
    b"GET /a;b HTTP/1.1\r\n" + HOST: "the path has parameters (`;`)",
    b"GET /a%00b HTTP/1.1\r\n" + HOST: "the path has a control character or a byte outside ASCII",
    b"GET /\xc3\xbc HTTP/1.1\r\n" + HOST: "the path has a control character or a byte outside ASCII",
    b"GET /?\xc3\xbc HTTP/1.1\r\n" + HOST: "the query has a control character or a byte outside ASCII",
    b"GET / HTTP/1.2\r\n" + HOST: "the version is neither HTTP/1.0 nor HTTP/1.1",
    b"GET / HTTP/1.1\n" + HOST: "a line does not end with CR LF",
    b"GET / HTTP/1.1\r\nHost: a\n": "a line does not end with CR LF",
    b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c\r\n": "a header line begins with white space",
    b"GET / HTTP/1.1\r\n" + HOST + b"X-A : b\r\n": (
        "a header name is not a token, or a space stands before its colon"
    ),
    b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\x00b\r\n": "a header value has a control character",
    b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n" * 100: "there are more than 100 headers",
    b"GET / HTTP/1.1\r\nX-A: b\r\n": "the Host header is missing",
    b"GET / HTTP/1.1\r\n" + HOST + HOST: "the Host header is repeated",
    b"GET / HTTP/1.1\r\nHost: a/b\r\n": "the Host header is not `host` or `host:port`",
    b"GET https://a.test/ HTTP/1.1\r\n" + HOST: (
        "the target is an `https` URI, and the connection is not secured"
    ),
    b"GET http://b.test/ HTTP/1.1\r\n" + HOST: "the target and the Host header name different hosts",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n": (
        "both Content-Length and Transfer-Encoding are present"
    ),
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n" * 2: "the Content-Length header is repeated",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n": "the Content-Length is not a number",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: \r\n": "the Content-Length is not a number",
    b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n": (
        "the Transfer-Encoding is not exactly `chunked`"
    ),
    b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n": "a Transfer-Encoding in HTTP/1.0",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nExpect: 200-ok\r\n": (
        "the Expect header is not `100-continue`"
    ),
}


@pytest.mark.parametrize(("head", "reason"), MALFORMED.items(), ids=lambda value: str(value)[:40])
def test_a_malformed_head_is_refused_and_the_connection_closed(
    origin: Origin, head: bytes, reason: str
) -> None:
    with Node(one_route(origin)) as node:
        exchange = raw(node.address, head + b"\r\n" + encode("/smuggled"), ["GET", "GET"])
        refused = Refused(400, "bad_request", "intake", inputs={"reason": reason}, closes=True)
        record = refused.check(node, exchange.only)
        assert exchange.is_closed
        assert exchange.only.json()["message"]
        assert record["route_id"] is None
        assert origin.connections == 0
        assert node.metric("gateway_malformed_total") == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"x\r\nab\r\n0\r\n\r\n", "a chunk is malformed"),
        (b"2\r\nabc\r\n0\r\n\r\n", "a chunk is malformed"),
        (b"2\nab\r\n0\r\n\r\n", "a chunk is malformed"),
        (b"2;" + b"x" * 20_000 + b"\r\nab\r\n0\r\n\r\n", "a chunk line or the trailers are too long"),
        (b"0\r\nX A: b\r\n\r\n", "a trailer is malformed"),
    ],
)
def test_a_malformed_body_is_refused(origin: Origin, body: bytes, reason: str) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    with Node(one_route(origin)) as node:
        origin.script(lambda connection, received: connection.body(received))
        exchange = raw(node.address, head + body, ["POST"])
        refused = Refused(400, "bad_request", "intake", inputs={"reason": reason}, closes=True)
        refused.check(node, exchange.only)
        assert exchange.is_closed


PATHS = {
    "/a/../b": "/b",
    "/a/./b": "/a/b",
    "//a///b": "/a/b",
    "/%61%7e": "/a~",
    "/%c3%bc": "/%C3%BC",
    "/a/%2e%2e/b": "/b",
    "http://gateway.test/x?y": "/x?y",
    "/a?b=../c&d=%2f": "/a?b=../c&d=%2f",
}


def test_one_path_is_matched_recorded_and_forwarded(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        for sent, seen in PATHS.items():
            assert get(node.address, sent).status == 200
            assert origin.next_request().target == seen
            assert node.record()["path"] == seen.partition("?")[0]


def test_a_hidden_path_is_authorised_as_what_it_is(origin: Origin) -> None:
    text = one_route(origin, "", path="/public/*")
    with Node(text) as node:
        for target in ("/public/../admin", "/public/%2e%2e/admin", "/public/.//..//admin"):
            assert get(node.address, target).status == 404
        # Above the root there is nothing that two components could agree on.
        for target in ("/..", "/public/../../admin", "/%2e%2e/public"):
            assert raw(node.address, encode(target)).only.status == 400
        assert origin.connections == 0


def test_path_parameters_are_kept_where_the_listener_says_so(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("path_parameters: keep"))) as node:
        assert get(node.address, "/a;v=1/b").status == 200
        assert origin.next_request().target == "/a;v=1/b"
        assert get(node.address, "/a/..;/b").status == 400


def test_a_sane_request_id_is_kept_and_any_other_replaced(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        for sent in ("abc", "x" * 128, "!~"):
            response = get(node.address, "/", ("X-Request-ID", sent))
            assert response.get("x-request-id") == sent
            assert origin.next_request().get("x-request-id") == sent
            assert node.record()["request_id"] == sent
        made = set()
        for headers in ([], [("X-Request-ID", "x" * 129)], [("X-Request-ID", "a b")], [("X-Request-ID", "")]):
            response = get(node.address, "/", *headers)
            made.add(response.get("x-request-id") or "")
            assert origin.next_request().get("x-request-id") == response.get("x-request-id")
        twice = get(node.address, "/", ("X-Request-ID", "a"), ("X-Request-ID", "b"))
        made.add(twice.get("x-request-id") or "")
        assert len(made) == 5
        assert all(re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", name) for name in made)


def test_the_address_of_a_client_is_the_peers_unless_a_trusted_proxy_tells(origin: Origin) -> None:
    forged = ("X-Forwarded-For", "203.0.113.9")
    with Node(one_route(origin)) as node:
        get(node.address, "/", forged, ("X-Forwarded-Proto", "https"), ("X-Real-IP", "203.0.113.9"))
        assert node.record()["client_ip"] == "127.0.0.1"
        received = origin.next_request()
        assert received.get("x-forwarded-for") == "127.0.0.1"
        assert received.get("x-forwarded-proto") == "http"
        assert received.get("x-forwarded-host") == "gateway.test"
        assert received.get("x-real-ip") is None
    trust = listener("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]")
    with Node(one_route(origin, "", trust)) as node:
        chain = ("X-Forwarded-For", "198.51.100.7, 203.0.113.9, 10.0.0.1")
        get(node.address, "/", chain, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "out.test"))
        record = node.record()
        assert (record["client_ip"], record["scheme"]) == ("203.0.113.9", "https")
        received = origin.next_request()
        assert received.get("x-forwarded-for") == "198.51.100.7, 203.0.113.9, 10.0.0.1, 127.0.0.1"
        assert received.get("x-forwarded-proto") == "https"
        assert received.get("x-forwarded-host") == "out.test"
        get(node.address, "/", ("X-Forwarded-For", "::ffff:203.0.113.9"))
        assert node.record()["client_ip"] == "203.0.113.9"
        reason = "X-Forwarded-For from a trusted proxy is not a list of addresses"
        wrong = raw(node.address, encode("/", [("X-Forwarded-For", "nobody")])).only
        Refused(400, "bad_request", "intake", inputs={"reason": reason}, closes=True).check(node, wrong)


def test_one_empty_line_before_a_request_is_skipped_and_no_more(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        assert raw(node.address, b"\r\n" + encode("/")).only.status == 200
        assert raw(node.address, b"\r\n\r\n" + encode("/")).only.status == 400


def test_a_head_may_come_byte_by_byte(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Client(node.address) as client:
        for byte in encode("/slow", [("X-A", "b")]):
            client.send(bytes([byte]))
        assert client.response().status == 200
        assert origin.next_request().get("x-a") == "b"


def test_an_upgrade_is_not_passed_on(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "x")]
        assert raw(node.address, encode("/", headers)).only.status == 200
        received = origin.next_request()
        assert received.all("upgrade") == []
        assert received.all("http2-settings") == []

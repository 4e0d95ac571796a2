"""Proxy: the request goes to the service and its response comes back, as they were."""

import hashlib
import re
import socket
import threading

import pytest

from gateway import (
    CLOSE,
    RESET,
    Client,
    Connection,
    Node,
    Origin,
    Received,
    Refused,
    encode,
    get,
    one_route,
    plain,
    raw,
    request,
    steps,
)

POST_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20


def bad_gateway(fault: str) -> Refused:
    return Refused(
        502,
        "bad_gateway",
        "proxy",
        ("services", 0),
        {"fault": fault},
        error_type=fault,
        body={"backend": "users"},
    )


def test_a_request_reaches_the_service_and_its_answer_the_client(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        headers = [("Accept", "a/b"), ("Cookie", "c=d"), ("User-Agent", "test"), ("Idempotency-Key", "k 1")]
        response = request(node.address, "/users/1?x=y", headers, "PUT", b"body")
        assert (response.status, response.body) == (200, b"ok")
        received = origin.next_request()
        assert received.line == "PUT /users/1?x=y HTTP/1.1"
        assert received.body == b"body"
        assert {name.lower(): value for name, value in headers}.items() <= dict(received.headers).items()
        record = node.record()
        assert record["request_id"] == response.get("x-request-id") == received.get("x-request-id")
        assert record["backend_service"] == "users"
        assert record["backend_instance"] == origin.address
        assert steps(record) == [("route", "matched"), ("balance", "picked")]
        assert (record["attempts"], record["error_type"]) == (1, None)
        assert record["upstream_latency_ms"] is not None


def test_two_equal_posts_both_reach_the_service(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        for _ in range(2):
            request(node.address, "/", [("Idempotency-Key", "same")], "POST", b"x")
        assert [received.get("idempotency-key") for received in origin.requests] == ["same", "same"]


def test_hop_by_hop_headers_end_at_the_gateway_both_ways(origin: Origin) -> None:
    origin.script(
        b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Upgrade: h2c\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n"
    )
    with Node(one_route(origin)) as node:
        sent = [("Connection", "X-Hop, Keep-Alive"), ("X-Hop", "1"), ("Keep-Alive", "x"), ("TE", "gzip")]
        sent += [
            ("Proxy-Connection", "x"),
            ("Proxy-Authorization", "x"),
            ("Forwarded", "for=1"),
            ("X-End", "2"),
        ]
        response = get(node.address, "/", *sent)
        received = origin.next_request()
        gone = (
            "connection",
            "x-hop",
            "keep-alive",
            "te",
            "proxy-connection",
            "proxy-authorization",
            "forwarded",
        )
        assert [name for name in gone if received.all(name)] == []
        assert received.get("x-end") == "2"
        gone = ("connection", "x-hop", "keep-alive", "upgrade")
        assert [name for name in gone if response.all(name)] == []
        assert response.get("x-end") == "2"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_response_without_a_body_stays_without_one(origin: Origin, status: str) -> None:
    origin.script(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())
    with Node(one_route(origin)) as node, Client(node.address) as client:
        client.send(encode("/") * 2)
        first = client.response()
        assert (first.status, first.get("etag")) == (int(status[:3]), "x")
        assert first.get("transfer-encoding") is None
        assert client.response().body == b"ok"


def test_chunks_and_trailers_pass_both_ways(origin: Origin) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    origin.script(answer + b"3;x=y\r\nabc\r\n0001\r\nd\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n")
    with Node(one_route(origin)) as node:
        head = POST_CHUNKED[:-2] + b"TE: trailers\r\nConnection: TE\r\n\r\n"
        body = b"2;ext=1\r\nab\r\n3\r\ncde\r\n0\r\nX-Up: 2\r\nHost: evil\r\n\r\n"
        response = raw(node.address, head + body, ["POST"]).only
        assert response.body == b"abcd"
        assert response.trailers == [("x-sum", "1")]
        received = origin.next_request()
        assert (received.body, received.trailers) == (b"abcde", [("x-up", "2")])
        assert received.get("te") == "trailers"


def test_trailers_are_not_sent_to_a_client_that_did_not_ask(origin: Origin) -> None:
    origin.script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n")
    with Node(one_route(origin)) as node:
        response = get(node.address, "/")
        assert (response.body, response.trailers) == (b"", [])


def test_a_response_that_ends_with_its_connection_is_chunked_for_the_client(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        origin.script(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", CLOSE)
        response = get(node.address, "/")
        assert (response.body, response.get("transfer-encoding")) == (b"until the end", "chunked")
        origin.script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        old = raw(node.address, b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").only
        assert (old.body, old.get("transfer-encoding"), old.closes) == (b"abc", None, True)


def test_twenty_mebibytes_pass_both_ways_unchanged(origin: Origin) -> None:
    sent, answer = b"0123456789abcde\n" * (20 * MIB // 16), b"fedcba9876543210" * (20 * MIB // 16)
    with Node(one_route(origin, "max_body: 20MiB")) as node:
        origin.script(plain(answer))
        response = request(node.address, "/", [], "PUT", sent)
        assert digest(response.body) == digest(answer)
        assert digest(origin.next_request().body) == digest(sent)
        record = node.record()
        assert record["request_bytes"] > len(sent)
        assert record["response_bytes"] > len(answer)
        chunks = b"".join(b"%x\r\n%s\r\n" % (MIB, sent[i : i + MIB]) for i in range(0, 20 * MIB, MIB))
        assert raw(node.address, POST_CHUNKED + chunks + b"0\r\n\r\n", ["POST"]).only.status == 200
        assert digest(origin.next_request().body) == digest(sent)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_body_goes_on_before_it_is_complete(origin: Origin) -> None:
    arrived = threading.Event()

    def read_half(connection: Connection, received: Received) -> None:
        assert connection.read(65 * 1024 // 2)
        arrived.set()
        connection.read(65 * 1024 // 2)
        connection.send(plain())

    origin.script(read_half)
    with Node(one_route(origin)) as node, Client(node.address) as client:
        client.send(encode("/", [("Content-Length", str(65 * 1024))], "POST") + b"x" * (65 * 1024 // 2))
        assert arrived.wait(30)
        client.send(b"x" * (65 * 1024 // 2))
        assert client.response().status == 200


def test_a_body_over_the_routes_size_is_refused(origin: Origin) -> None:
    limit = 10 * MIB
    told = Refused(413, "body_too_large", "intake", ("routes", 0), {"limit": limit}, closes=True)
    with Node(one_route(origin)) as node:
        head = encode("/", [("Content-Length", str(11 * MIB))], "POST")
        told.check(node, raw(node.address, head, ["POST"]).only)
        assert origin.connections == 0
    with Node(one_route(origin, "max_body: 10B")) as node:
        body = b"8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n"
        # The whole body is there already, so nothing can be mistaken for the next request.
        told = Refused(413, "body_too_large", "intake", ("routes", 0), {"limit": 10})
        told.check(node, raw(node.address, POST_CHUNKED + body, ["POST"]).only)
        assert request(node.address, "/", [], "POST", b"x" * 10).status == 200


def test_an_expected_continue_is_sent_when_the_body_is_wanted(origin: Origin) -> None:
    expect = [("Expect", "100-continue"), ("Content-Length", "4")]
    with Node(one_route(origin)) as node, Client(node.address) as client:
        client.send(encode("/", expect, "POST"))
        assert client.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert client.response().status == 200
        received = origin.next_request()
        assert (received.body, received.get("expect")) == (b"body", None)


def test_an_expected_continue_is_not_sent_when_the_request_is_refused(origin: Origin) -> None:
    expect = [("Expect", "100-continue"), ("Content-Length", "11")]
    with Node(one_route(origin, "max_body: 10B", path="/a")) as node:
        for target, status in {"/a": 413, "/b": 404}.items():
            response = raw(node.address, encode(target, expect, "POST"), ["POST"]).only
            assert (response.status, response.interim, response.closes) == (status, [], True)
        assert origin.connections == 0


def test_an_early_answer_arrives_while_the_body_is_still_coming(origin: Origin) -> None:
    origin.script(lambda connection, received: connection.send(plain(b"early", "413 Too Large")), CLOSE)
    with Node(one_route(origin)) as node, Client(node.address) as client:
        client.send(encode("/", [("Content-Length", str(MIB))], "POST") + b"x" * 1000)
        response = client.response()
        assert (response.status, response.body, response.closes) == (413, b"early", True)
        client.wait_closed()
        assert node.record()["status"] == 413


def test_interim_answers_of_the_service_pass_but_for_its_continue(origin: Origin) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with Node(one_route(origin)) as node:
        origin.script(interim + plain())
        assert get(node.address, "/").interim == [103]
        origin.script(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + plain())
        node.record()
        bad_gateway("invalid_response").check(node, get(node.address, "/"))


def test_a_refused_connection_is_a_502_and_not_tried_again(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        origin.stop()
        record = bad_gateway("connection_refused").check(node, get(node.address, "/"))
        assert record["attempts"] == 1
        failures = node.metric("gateway_upstream_failures_total", service="users")
        assert failures == 1


def test_a_connection_that_does_not_open_in_time_is_a_502(origin: Origin) -> None:
    with socket.socket() as full:
        # A listener with a full backlog answers no further SYN, as a host that is gone does not.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        address = f"127.0.0.1:{full.getsockname()[1]}"
        text = one_route(origin, service="pool: {connect_timeout: 300ms}").replace(origin.address, address)
        with Node(text) as node:
            bad_gateway("connection_timeout").check(node, get(node.address, "/"))
        for one in waiting:
            one.close()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ((CLOSE,), "connection_reset"),
        ((RESET,), "connection_reset"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE), "connection_reset"),
        ((b"HTTP/2 200\r\n\r\n",), "invalid_response"),
        ((b"nonsense\r\n\r\n",), "invalid_response"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",), "invalid_response"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",), "upstream_headers_too_large"),
    ],
)
def test_a_service_that_gives_no_response_is_a_502(
    origin: Origin, answer: tuple[bytes | str, ...], fault: str
) -> None:
    origin.script(*answer)
    with Node(one_route(origin)) as node:
        bad_gateway(fault).check(node, request(node.address, "/", method="POST", body=b"x"))
        assert len(origin.requests) == 1


@pytest.mark.parametrize("limit", [1024, 16 * 1024, 300_000])
def test_the_head_of_an_answer_may_be_as_long_as_its_service_says(origin: Origin, limit: int) -> None:
    def answer(length: int) -> bytes:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: %s\r\n\r\n"
        return head % (b"x" * (length - len(head % b""))) + b"ok"

    with Node(one_route(origin, service=f"max_header_bytes: {limit}B")) as node:
        for length in (limit, limit // 2):
            origin.script(answer(length))
            response = get(node.address, "/")
            assert (response.status, response.body) == (200, b"ok")
            node.record()
        origin.script(answer(limit + 1))
        bad_gateway("upstream_headers_too_large").check(node, get(node.address, "/"))


def test_a_service_that_hangs_is_a_504_at_the_routes_timeout_and_sent_once(origin: Origin) -> None:
    never = threading.Event()
    origin.script(never)
    with Node(one_route(origin, "timeout: 200ms")) as node:
        response = request(node.address, "/", method="POST", body=b"x")
        refused = Refused(
            504,
            "upstream_timeout",
            "proxy",
            ("routes", 0),
            {"fault": "upstream_timeout"},
            body={"backend": "users"},
        )
        record = refused.check(node, response)
        assert record["total_latency_ms"] >= 200
        origin.next_request()
        assert len(origin.requests) == 1
    never.set()


def test_the_default_timeout_is_used_where_a_route_has_none(origin: Origin) -> None:
    never = threading.Event()
    origin.script(never)
    defaults = "defaults: {timeout: 200ms, rate_limit: none, unauthenticated_tier: none}"
    with Node(one_route(origin, "", defaults)) as node:
        assert get(node.address, "/").status == 504
    never.set()


@pytest.mark.parametrize(
    "head", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc"]
)
def test_a_response_that_breaks_off_breaks_off_for_the_client_too(origin: Origin, head: bytes) -> None:
    origin.script(b"HTTP/1.1 200 OK\r\n" + head, CLOSE)
    with Node(one_route(origin)) as node, Client(node.address) as client:
        client.send(encode("/"))
        with pytest.raises(ConnectionError):
            client.response()
        record = node.record()
        assert (record["status"], record["error_type"]) == (200, "connection_reset")
        assert record["decisions"][-1]["verdict"] == "broken"


def test_the_host_header_is_the_clients_or_the_instances(origin: Origin) -> None:
    for option, host in {"preserve": "gateway.test:8080", "instance": origin.address}.items():
        with Node(one_route(origin, f"host_header: {option}")) as node:
            get(node.address, "/", ("Host", "gateway.test:8080"))
            received = origin.next_request()
            assert received.get("host") == host
            assert received.get("x-forwarded-host") == "gateway.test:8080"


def test_headers_are_removed_set_and_added_for_the_service(origin: Origin) -> None:
    changes = "request_headers: {remove: [X-Gone], set: {X-Set: new}, add: {X-Add: more}}"
    with Node(one_route(origin, changes)) as node:
        get(node.address, "/", ("x-gone", "1"), ("X-SET", "old"), ("X-Add", "first"))
        received = origin.next_request()
        assert received.all("x-gone") == []
        assert received.all("x-set") == ["new"]
        assert received.all("x-add") == ["first", "more"]


def test_a_trace_goes_on_with_a_span_of_the_gateway(origin: Origin) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with Node(one_route(origin)) as node:
        get(node.address, "/", ("traceparent", f"00-{trace}-{parent}-01"), ("tracestate", "a=b"))
        received = origin.next_request()
        found = re.fullmatch(rf"00-{trace}-([0-9a-f]{{16}})-01", received.get("traceparent") or "")
        assert found is not None
        assert found[1] != parent
        assert received.get("tracestate") == "a=b"
        assert node.record()["trace_id"] == trace
        get(node.address, "/", ("traceparent", "00-nonsense"), ("tracestate", "a=b"))
        received = origin.next_request()
        made = re.fullmatch(r"00-([0-9a-f]{32})-[0-9a-f]{16}-01", received.get("traceparent") or "")
        assert made is not None
        assert received.get("tracestate") is None
        assert node.record()["trace_id"] == made[1]

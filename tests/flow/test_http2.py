"""HTTP/2 at the listener: one request of many on a connection is served as one of HTTP/1.1 would be."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import (
    Client,
    Connection,
    Http2,
    Node,
    Origin,
    Received,
    Reset,
    encode,
    get,
    listener,
    one_route,
    plain,
    routes,
    steps,
)
from gateway.http2 import GOAWAY, NO_ERROR, PREFACE, PROTOCOL_ERROR, pseudo, reset


def test_a_request_goes_through_every_stage(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        answer = client.request("/a/../b?c=d", [("x-mine", "1"), ("x-mine", "2")])
        received, record = origin.next_request(), node.record()
    assert (answer.status, answer.body) == (200, b"ok")
    assert received.line == "GET /b?c=d HTTP/1.1"
    assert received.all("x-mine") == ["1", "2"]
    assert received.get("host") == received.get("x-forwarded-host") == "gateway.test"
    assert answer.get("x-request-id") == received.get("x-request-id") == record["request_id"]
    assert (record["protocol"], record["path"], record["host"]) == ("HTTP/2", "/b", "gateway.test")
    assert steps(record) == [("route", "matched"), ("balance", "picked")]
    assert answer.get("connection") is None


def test_a_connection_speaks_what_it_begins_with(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        with Client(node.address) as client:
            for byte in encode("/"):
                client.send(bytes([byte]))
            assert client.response().status == 200
        with Http2(node.address, begins=False) as client:
            for byte in PREFACE:
                client.send(bytes([byte]))
            client.send(b"\0\0\0\4\0\0\0\0\0")
            assert client.request().status == 200
        assert [record["protocol"] for record in node.records(2)] == ["HTTP/1.1", "HTTP/2"]


def test_a_listener_speaks_only_what_it_is_told_to(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("protocols: http1"))) as node:
        with Client(node.address) as client:
            client.send(PREFACE)
            assert client.response().status == 400
        assert get(node.address).status == 200
        node.apply(one_route(origin, "", listener("protocols: http2")))
        with Client(node.address) as client:
            client.send(encode("/"))
            assert b"HTTP/1.1" not in client.rest()
        with Http2(node.address) as client:
            assert client.request().status == 200


def test_an_upgrade_to_h2c_is_ignored(origin: Origin) -> None:
    told = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")]
    with Node(one_route(origin)) as node:
        assert get(node.address, "/", *told).status == 200
        received = origin.next_request()
        assert (received.get("upgrade"), received.get("http2-settings")) == (None, None)


def test_many_requests_of_one_connection_run_at_once(origin: Origin) -> None:
    go = threading.Event()
    with (
        Node(one_route(origin, service="pool: {max_connections: 60}")) as node,
        Http2(node.address) as client,
    ):
        for number in range(50):
            origin.script(go, plain(b"%d" % number))
        streams = [client.begin(f"/{number}") for number in range(50)]
        asked = {origin.next_request().target for _ in streams}
        assert asked == {f"/{number}" for number in range(50)}
        go.set()
        assert len({client.response(stream).body for stream in streams}) == 50
        assert len(node.records(50)) == 50


def test_bodies_stream_both_ways_with_trailers(origin: Origin) -> None:
    def echo(connection: Connection, received: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.body(received)
        size = len(received.body)
        connection.send(b"%x\r\n%b\r\n0\r\nX-Sum: 7\r\n\r\n" % (size, received.body))

    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(echo)
        stream = client.begin("/up", [("te", "trailers")], "POST", ends=False)
        while not client.streams[stream].heads:
            client.next_frame()
        client.data(stream, b"abc")
        client.data(stream, b"def")
        client.send(client.headers(stream, [("x-check", "1")]))
        answer, received = client.response(stream), origin.next_request()
    assert (answer.body, answer.trailers) == (b"abcdef", [("x-sum", "7")])
    assert (received.get("te"), received.get("transfer-encoding")) == ("trailers", "chunked")
    assert (received.body, received.trailers) == (b"abcdef", [("x-check", "1")])


def test_a_body_of_known_length_is_forwarded_with_it(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        assert client.request("/", [("content-length", "3")], "POST", b"abc").status == 200
        received = origin.next_request()
        assert (received.get("content-length"), received.body) == ("3", b"abc")


def test_answers_without_a_body_end_with_their_head(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(plain(b"", "204 No Content"), b"")
        origin.script(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")
        origin.script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        assert client.request("/none").status == 204
        assert client.request("/same").status == 304
        answer = client.request("/head", method="HEAD")
        assert (answer.status, answer.get("content-length"), answer.body) == (200, "9", b"")


def test_interim_answers_go_on(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + plain())
        stream = client.begin()
        answer = client.response(stream)
        assert (answer.status, answer.interim) == (200, [103])
        assert ("link", "</a>") in client.streams[stream].heads[0]


def test_continue_is_said_when_the_body_is_wanted(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        told = [("expect", "100-continue"), ("content-length", "3")]
        stream = client.begin("/", told, "POST", ends=False)
        while not client.streams[stream].heads:
            client.next_frame()
        client.data(stream, b"abc", ends=True)
        assert client.response(stream).interim == [100]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([(":method", "CONNECT"), (":authority", "a:1")], "method"),
        ([*pseudo("/", "TRACE")], "method"),
        ([*pseudo("*", "OPTIONS")], "target"),
        ([*pseudo("/a%zz")], "path_escape"),
        ([*pseudo("/a%2fb")], "path_separator"),
        ([*pseudo("/a;b")], "path_parameters"),
        ([*pseudo("/a%00")], "path_control"),
        ([*pseudo("/", authority="a"), ("host", "b")], "host_disagrees"),
        ([*pseudo("/", authority="user@a")], "host"),
        ([*pseudo("/", authority="a"), ("host", "a"), ("host", "a")], "repeated_host"),
        ([(":method", "GET"), (":scheme", "http"), (":path", "/")], "missing_host"),
        ([(":method", "GET"), (":scheme", "ftp"), (":authority", "a"), (":path", "/")], "target"),
        ([*pseudo("/"), ("content-length", "0"), ("content-length", "0")], "repeated_length"),
        ([*pseudo("/"), ("expect", "more")], "expectation"),
        ([*pseudo("/"), ("x", " padded")], "header_value"),
        ([*pseudo("/"), *((f"x-{number}", "1") for number in range(101))], "too_many_headers"),
    ],
)
def test_what_intake_refuses_is_answered_and_recorded(
    origin: Origin, fields: list[tuple[str, str]], reason: str
) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        stream = client.open_stream()
        client.send(client.headers(stream, fields))
        answer, record = client.response(stream), node.record()
        assert (answer.status, answer.json()["error"]) == (400, "bad_request")
        assert answer.json()["request_id"] == answer.get("x-request-id") == record["request_id"]
        assert (record["status"], record["protocol"]) == (400, "HTTP/2")
        assert node.metric("gateway_malformed_total", reason=reason) == 1
        # The connection is not to blame.
        assert client.request().status == 200
        assert len(origin.requests) == 1


def test_sizes_are_those_of_http1(origin: Origin) -> None:
    bounds = listener("max_header_bytes: 1KiB, max_uri_bytes: 100B")
    with Node(one_route(origin, "", bounds)) as node, Http2(node.address) as client:
        assert client.request("/" + "a" * 99).status == 200
        assert client.request("/" + "a" * 100).status == 414
        assert client.request("/", [("x", "y" * 900)]).status == 200
        # Indexed fields are a byte each on the wire; what they expand to is what counts.
        assert client.request("/", [("x", "y" * 900), ("x", "y" * 900)]).status == 431
        assert [record["status"] for record in node.records(4)] == [200, 414, 200, 431]


def test_the_host_may_stand_in_either_place(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        both = [*pseudo("/", authority="a.test"), ("host", "A.test:80")]
        alone = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "b.test:81")]
        for fields, host in ((both, "a.test:80"), (alone, "b.test:81")):
            stream = client.open_stream()
            client.send(client.headers(stream, fields))
            assert client.response(stream).status == 200
            assert origin.next_request().get("host") == host


def test_crumbs_of_a_cookie_are_one_header(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]
        assert client.request("/", crumbs).status == 200
        received = origin.next_request()
        assert (received.all("cookie"), received.all("x")) == (["a=1; b=2; c=3"], ["y"])


def test_identity_of_a_client_never_reaches_a_service(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        forged = ["x-user-id", "x_user_id", "x-user-scopes", "x.partner.id", "x_tenant-id", "proxy"]
        assert client.request("/", [(name, "root") for name in forged]).status == 200
        assert "root" not in [value for _, value in origin.next_request().headers]


def test_a_refusal_before_the_body_was_read_ends_the_stream_alone(origin: Origin) -> None:
    with Node(one_route(origin, "max_body: 1KiB")) as node, Http2(node.address) as client:
        stream = client.begin("/", [("content-length", "2000")], "POST", ends=False)
        assert client.response(stream).status == 413
        assert client.wait_reset(stream) == NO_ERROR
        assert client.request().status == 200


def test_a_body_that_grows_too_long_is_refused(origin: Origin) -> None:
    with Node(one_route(origin, "max_body: 1KiB")) as node, Http2(node.address) as client:
        origin.script(lambda connection, _: connection.send(connection.socket.recv(1 << 16)[:0]))
        stream = client.begin("/", [], "POST", ends=False)
        client.data(stream, b"x" * 2000)
        assert client.response(stream).status == 413


@pytest.mark.parametrize(("length", "body"), [("3", b"abcd"), ("5", b"abcd")])
def test_a_body_unlike_its_length_resets_the_stream(origin: Origin, length: str, body: bytes) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        stream = client.begin("/", [("content-length", length)], "POST", ends=False)
        client.data(stream, body[:2])
        client.data(stream, body[2:], ends=True)
        with pytest.raises(Reset) as raised:
            client.response(stream)
        assert raised.value.code == PROTOCOL_ERROR
        record = node.record()
        assert record["error_type"] == "bad_request"
        assert record["decisions"][-1]["inputs"] == {
            "reason": "the body is longer or shorter than its Content-Length"
        }
        assert node.metric("gateway_malformed_total", reason="body_length") == 1


def test_a_body_unlike_its_length_is_told_as_that_wherever_its_request_waits(origin: Origin) -> None:
    go = threading.Event()
    origin.script(go, plain())
    service = "pool: {max_connections: 1, max_pending: 1}"
    with Node(one_route(origin, service=service)) as node, Http2(node.address) as client:
        first = client.begin("/first")
        origin.next_request()
        second = client.begin("/second", [("content-length", "3")], "POST", ends=False)
        node.wait_for_metric(1, "gateway_upstream_pending_requests")
        client.data(second, b"abcd", ends=True)
        assert client.wait_reset(second) == PROTOCOL_ERROR
        go.set()
        assert client.response(first).status == 200
        told = {record["path"]: record["error_type"] for record in node.records(2)}
        assert told == {"/first": None, "/second": "bad_request"}
        assert node.metric("gateway_malformed_total", reason="body_length") == 1


def test_a_request_without_a_path_resets_the_stream(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        for fields in ([(":method", "GET"), (":scheme", "http"), ("host", "a")], [*pseudo("")]):
            stream = client.open_stream()
            client.send(client.headers(stream, fields))
            assert client.wait_reset(stream) == PROTOCOL_ERROR
        assert client.request().status == 200


def test_a_client_that_resets_its_stream_has_left(origin: Origin) -> None:
    hold = threading.Event()
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(hold)
        stream = client.begin("/slow")
        origin.next_request()
        client.send(reset(stream))
        record = node.record()
        hold.set()
        assert (record["status"], record["error_type"]) == (499, "client_closed")
        assert client.request().status == 200
        assert node.metric("gateway_client_aborts_total") == 1


def test_a_client_that_hangs_up_has_left_all_its_requests(origin: Origin) -> None:
    hold = threading.Event()
    with Node(one_route(origin)) as node:
        with Http2(node.address) as client:
            for number in range(3):
                origin.script(hold)
                client.begin(f"/{number}")
                origin.next_request()
        records = node.records(3)
        hold.set()
        assert {(record["status"], record["error_type"]) for record in records} == {(499, "client_closed")}


def test_a_service_that_breaks_resets_the_stream_and_no_other(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "close")
        stream = client.begin("/broken")
        with pytest.raises(Reset):
            client.response(stream)
        assert node.record()["error_type"] == "connection_reset"
        assert client.request().status == 200


def test_an_answer_larger_than_every_window_arrives_whole(origin: Origin) -> None:
    body = bytes(range(256)) * (1 << 14)
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(plain(body))
        assert client.request("/large").body == body
        assert node.record()["response_bytes"] > len(body)


def test_streams_of_connections_do_not_mix(origin: Origin) -> None:
    origin.answer = lambda connection, received: connection.send(plain(received.target.encode()))
    service = "pool: {max_connections: 64}"

    def ask(caller: int) -> bool:
        with Http2(node.address) as client:
            streams = {client.begin(f"/{caller}/{number}"): number for number in range(40)}
            answers = {number: client.response(stream).body for stream, number in streams.items()}
            return answers == {number: f"/{caller}/{number}".encode() for number in range(40)}

    with Node(one_route(origin, service=service), workers=2) as node, ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))


def test_a_connection_that_idles_is_told_and_closed(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("idle_timeout: 500ms"))) as node, Http2(node.address) as client:
        assert client.request().status == 200
        assert client.wait_closed() == NO_ERROR
        node.wait_for_metric(1, "gateway_timeouts_total", kind="idle")


def test_a_drain_says_so_twice_and_serves_what_is_under_way(origin: Origin) -> None:
    go = threading.Event()
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(go, plain(b"late"))
        stream = client.begin("/late")
        origin.next_request()
        drained = threading.Thread(target=node.engine.drain, args=(10.0,))
        drained.start()
        first, last = client.wait_for(GOAWAY), client.wait_for(GOAWAY)
        assert (first.last_stream, last.last_stream) == (2**31 - 1, stream)
        assert (first.code, last.code) == (NO_ERROR, NO_ERROR)
        go.set()
        assert client.response(stream).body == b"late"
        assert client.wait_closed() == NO_ERROR
        drained.join()


def test_a_listener_that_goes_away_says_so(origin: Origin) -> None:
    both = "listeners: [{name: public, address: '127.0.0.1:1'}, {name: other, address: '127.0.0.1:2'}]"
    with Node(one_route(origin, "", both)) as node, Http2(node.address_of("other")) as client:
        assert client.request().status == 200
        node.apply(one_route(origin))
        assert client.wait_for(GOAWAY).code == NO_ERROR
        assert client.wait_closed() == NO_ERROR


def test_fixed_answers_and_preflights_are_given(origin: Origin) -> None:
    text = routes(
        origin, "name: fixed, match: /*, respond: {status: 200, body: hello}, cors: {allow_origins: '*'}"
    )
    with Node(text) as node, Http2(node.address) as client:
        assert client.request().body == b"hello"
        asks = [("origin", "https://a.example"), ("access-control-request-method", "GET")]
        answer = client.request("/", asks, "OPTIONS")
        assert (answer.status, answer.get("access-control-allow-origin")) == (204, "*")

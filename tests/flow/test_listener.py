"""Listener: connections, their limits and deadlines, and requests one after the other."""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway import (
    Client,
    Http2Origin,
    Node,
    Origin,
    Refused,
    encode,
    get,
    listener,
    one_route,
    plain,
    raw,
    routes,
)
from gateway.http2_origin import http2


def test_pipelined_requests_are_answered_in_order(origin: Origin) -> None:
    go = threading.Event()
    with Node(one_route(origin)) as node:
        origin.script(go, plain(b"first"))
        origin.script(plain(b"second"))
        with Client(node.address) as client:
            client.send(encode("/1") + encode("/2") + encode("/3"))
            assert origin.next_request().target == "/1"
            go.set()
            assert [client.response().body for _ in range(3)] == [b"first", b"second", b"ok"]
        assert [record["path"] for record in node.records(3)] == ["/1", "/2", "/3"]


def test_a_connection_is_kept_and_closed_as_the_client_asks(origin: Origin) -> None:
    cases = [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", "close"),
    ]
    with Node(one_route(origin)) as node:
        for request, expected in cases:
            stays_open(node, request, expected)
            received = origin.next_request()
            assert (received.line, received.get("connection")) == ("GET / HTTP/1.1", None)
            if expected != "close":
                origin.next_request()


def stays_open(node: Node, request: bytes, connection: str | None) -> None:
    """Compares the `Connection` of the answer, and whether another request can follow."""
    with Client(node.address) as client:
        client.send(request)
        response = client.response()
        assert (response.status, response.get("connection")) == (200, connection), request
        if connection == "close":
            return client.wait_closed()
        client.send(request)
        assert client.response().status == 200
        return None


def test_a_request_after_connection_close_is_not_answered(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        both = encode("/1", [("Connection", "close")]) + encode("/2")
        exchange = raw(node.address, both, ["GET", "GET"])
        assert len(exchange.responses) == 1
        assert exchange.is_closed
        assert [received.target for received in origin.requests] == ["/1"]


def test_a_head_that_comes_too_slowly_is_refused_and_others_are_served(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("header_timeout: 1s"))) as node:
        with Client(node.address) as slow:
            slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n")
            assert get(node.address, "/other").status == 200
            refused = Refused(408, "request_timeout", "intake", inputs={"part": "head"}, closes=True)
            response = slow.response()
            slow.wait_closed()
            # In this order, unless the machine did something else for a second.
            _, record = sorted(node.records(2), key=lambda one: one["status"])
            refused.check(node, response, record)
        assert record["total_latency_ms"] >= 900
        node.wait_for_metric(1, "gateway_timeouts_total", kind="head")


def test_a_connection_that_never_sends_is_closed_and_counted(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("header_timeout: 200ms"))) as node:
        with Client(node.address) as client:
            client.wait_closed()
        node.wait_for_metric(1, "gateway_timeouts_total", kind="head")


def test_an_idle_connection_is_closed_without_a_word(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("idle_timeout: 200ms"))) as node:
        with Client(node.address) as client:
            client.send(encode("/"))
            assert client.response().status == 200
            client.wait_closed()
        node.wait_for_metric(1, "gateway_timeouts_total", kind="idle")


def test_a_body_that_stops_coming_is_refused(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("body_timeout: 300ms"))) as node:
        origin.script(lambda connection, received: connection.body(received))
        with Client(node.address) as client:
            client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            refused = Refused(408, "request_timeout", "intake", inputs={"part": "body"}, closes=True)
            record = refused.check(node, client.response())
            client.wait_closed()
        assert record["route_id"] == "users"
        node.wait_for_metric(1, "gateway_timeouts_total", kind="body")


@pytest.fixture(params=["http1", "http2"])
def upload(request: pytest.FixtureRequest, origin: Origin) -> Iterator[str]:
    """One route to a service that reads bodies to their end, in either protocol."""
    if request.param == "http1":
        yield one_route(origin)
        return
    with Http2Origin() as http2_origin:
        yield http2(http2_origin)


def test_a_body_that_drips_is_refused(upload: str) -> None:
    with Node(upload + listener("body_timeout: 300ms, min_body_rate: 1KiB")) as node:
        with Client(node.address) as client:
            client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
            while not select.select([client.socket], [], [], 0.05)[0]:
                client.send(b"x")
            refused = Refused(408, "request_timeout", "intake", inputs={"part": "body"}, closes=True)
            refused.check(node, client.response())
        node.wait_for_metric(1, "gateway_timeouts_total", kind="body")


@pytest.mark.parametrize("rate", ["1KiB", "0B"])
def test_a_body_that_comes_steadily_may_take_longer_than_its_timeout(upload: str, rate: str) -> None:
    with (
        Node(upload + listener(f"body_timeout: 2s, min_body_rate: {rate}")) as node,
        Client(node.address) as client,
    ):
        client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n")
        for _ in range(40):
            assert threading.Event().wait(0.055) is False
            client.send(b"x" * 500)
        assert client.response().status == 200


def test_a_client_that_takes_nothing_of_its_response_is_cut_off(origin: Origin) -> None:
    big = plain(b"x" * (32 << 20))
    with Node(one_route(origin, "", listener("write_timeout: 300ms"))) as node:
        origin.script(big)
        with Client(node.address) as client:
            client.send(encode("/"))
            record = node.record()
            assert record["error_type"] == "client_stalled"
            assert len(client.rest()) < len(big)
        node.wait_for_metric(1, "gateway_timeouts_total", kind="write")


def test_a_head_over_its_size_is_refused(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("max_header_bytes: 1KiB, max_uri_bytes: 100B"))) as node:
        large = raw(node.address, encode("/a", [("X-Large", "x" * 1100)])).only
        refused = Refused(431, "headers_too_large", "intake", inputs={"limit": 1024}, closes=True)
        record = refused.check(node, large)
        assert (record["method"], record["path"]) == ("GET", "/a")
        long = raw(node.address, encode("/" + "a" * 100)).only
        Refused(414, "uri_too_long", "intake", inputs={"limit": 100}, closes=True).check(node, long)
        assert get(node.address, "/" + "a" * 99).status == 200
        head = len(encode("/a", [("X-Large", "")]))
        assert get(node.address, "/a", ("X-Large", "x" * (1024 - head))).status == 200
        assert raw(node.address, encode("/a", [("X-Large", "x" * (1025 - head))])).only.status == 431


def test_the_defaults_are_eight_kibibytes(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        assert get(node.address, "/", ("X-Large", "x" * 7900)).status == 200
        assert raw(node.address, encode("/", [("X-Large", "x" * 8200)])).only.status == 431
        assert raw(node.address, encode("/" + "x" * 8200)).only.status == 414


def test_a_connection_over_the_maximum_is_refused_until_another_ends(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("max_connections: 1"))) as node:
        with Client(node.address) as first:
            first.send(encode("/"))
            assert first.response().status == 200
            with Client(node.address) as second:
                response = second.response()
                assert (response.status, response.get("retry-after")) == (503, "1")
                assert response.json()["error"] == "overloaded"
                assert response.json()["request_id"] == response.get("x-request-id") != ""
                assert response.closes
                second.wait_closed()
        node.wait_for(lambda state: state["connections"] == 0)
        assert get(node.address, "/").status == 200
        node.wait_for_metric(1, "gateway_connections_refused_total", listener="public")
        node.wait_for_metric(3, "gateway_connections_total", listener="public")


def test_a_client_over_its_maximum_is_refused_and_others_are_not(origin: Origin) -> None:
    options = "max_connections: 10, max_connections_per_client: 2"
    with Node(one_route(origin, "", listener(options))) as node, ExitStack() as clients:
        held = [clients.enter_context(Client(node.address)) for _ in range(2)]
        for client in held:
            client.send(encode("/"))
            assert client.response().status == 200
        with Client(node.address) as third:
            response = third.response()
            assert (response.status, response.json()["error"]) == (503, "overloaded")
            assert "this client" in response.json()["message"]
            third.wait_closed()
        other = clients.enter_context(Client(node.address, source=("127.0.0.2", 0)))
        other.send(encode("/"))
        assert other.response().status == 200
        assert node.metric("gateway_connections_per_client_refused_total", listener="public") == 1
        held[0].socket.close()
        node.wait_for(lambda state: state["connections"] == 2)
        assert get(node.address, "/").status == 200


def test_long_connections_are_evened_out_over_the_workers(origin: Origin) -> None:
    with Node(one_route(origin), workers=8) as node, ExitStack() as clients:
        held = [clients.enter_context(Client(node.address)) for _ in range(240)]
        for client in held:
            client.send(encode("/"))
            assert client.response().status == 200
        counts = node.state()["worker_connections"]
        assert sum(counts) == 240
        assert max(counts) <= 30 + 5, counts
        handed_over = node.metric("gateway_connections_handed_over_total")
        assert handed_over > 0
        assert node.metric("gateway_worker_connections") == 240
        # Nobody is handed over where nobody has too many.
        for client in held:
            client.socket.close()
        node.wait_for(lambda state: state["connections"] == 0)
        assert [get(node.address, "/").status for _ in range(20)] == [200] * 20
        assert node.metric("gateway_connections_handed_over_total") == handed_over


def test_requests_over_the_maximum_in_flight_are_shed(origin: Origin) -> None:
    go = threading.Event()
    with Node(one_route(origin, "", "node: {max_in_flight: 1}")) as node:
        origin.script(go, plain(b"waited"))
        with Client(node.address) as first:
            first.send(encode("/"))
            origin.next_request()
            inputs = {"reason": "in_flight", "value": 1, "threshold": 1}
            refused = Refused(503, "overloaded", "shed", ("routes", 0), inputs, retry_after=-1)
            refused.check(node, get(node.address, "/"))
            go.set()
            assert first.response().body == b"waited"
        node.wait_for(lambda state: state["in_flight"] == 0)
        assert get(node.address, "/").status == 200


def test_a_route_that_matters_less_is_shed_earlier(origin: Origin) -> None:
    go, names = threading.Event(), ("p0", "p1", "p2", "p3")
    options = "service: users, rate_limit: none"
    each = [f"name: {name}, match: '/{name}', priority: {name.upper()}, {options}" for name in names]
    with Node(routes(origin, *each) + "node: {max_in_flight: 10}\n") as node, ExitStack() as clients:
        for more, served in ((6, 3), (2, 2), (1, 1)):
            for _ in range(more):
                origin.script(go, plain(b"waited"))
                clients.enter_context(Client(node.address)).send(encode("/p0"))
                origin.next_request()
            statuses = [get(node.address, f"/{name}").status for name in names]
            assert statuses == [200] * served + [503] * (4 - served)
            for _ in range(served):
                origin.next_request()
        go.set()


def test_each_listener_has_its_own_settings_and_name(origin: Origin) -> None:
    listeners = (
        "listeners: [{name: public, address: '127.0.0.1:1'}, "
        "{name: inner, address: '127.0.0.1:2', max_uri_bytes: 64B}]"
    )
    with Node(one_route(origin, "", listeners)) as node:
        assert get(node.address, "/" + "a" * 90).status == 200
        assert get(node.address_of("inner"), "/" + "a" * 90).status == 414
        assert [record["listener"] for record in node.records(2)] == ["public", "inner"]


def test_a_listener_that_is_removed_takes_no_more_connections(origin: Origin) -> None:
    two = "listeners: [{name: public, address: '127.0.0.1:1'}, {name: old, address: '127.0.0.1:2'}]"
    with Node(one_route(origin, "", two)) as node:
        old = node.address_of("old")
        assert get(old, "/").status == 200
        node.apply(one_route(origin))
        end = time.monotonic() + 60
        while can_connect(old):
            assert time.monotonic() < end
        assert get(node.address, "/").status == 200


def can_connect(address: tuple[str, int]) -> bool:
    try:
        Client(address).socket.close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        # It came between the last accept and the close; the next one is refused.
        return True
    return True


def test_draining_closes_idle_connections_and_lets_requests_finish(origin: Origin) -> None:
    go = threading.Event()
    with Node(one_route(origin)) as node, Client(node.address) as busy, Client(node.address) as idle:
        idle.send(encode("/"))
        idle.response()
        origin.next_request()
        origin.script(go, plain(b"waited"))
        busy.send(encode("/"))
        origin.next_request()
        ended: list[bool] = []
        drain = threading.Thread(target=lambda: ended.append(node.engine.drain(10.0)))
        drain.start()
        idle.wait_closed()
        go.set()
        response = busy.response()
        assert (response.body, response.closes) == (b"waited", True)
        busy.wait_closed()
        drain.join(30)
        assert ended == [True]


def test_a_drain_that_is_too_short_says_so(origin: Origin) -> None:
    go = threading.Event()
    with Node(one_route(origin)) as node, Client(node.address) as busy:
        origin.script(go, plain(b"waited"))
        busy.send(encode("/"))
        origin.next_request()
        assert node.engine.drain(0.05) is False
        go.set()

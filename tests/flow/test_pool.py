"""Proxy: connections to a service, used again within their bounds."""

import threading

from gateway import CLOSE, Client, Node, Origin, Refused, encode, get, one_route, plain


def test_connections_to_the_service_are_used_again(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        for _ in range(5):
            assert get(node.address, "/").status == 200
        assert origin.connections == 1
        origin.script(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", CLOSE)
        for _ in range(2):
            assert get(node.address, "/").status == 200
        assert origin.connections == 2


def test_a_stale_connection_of_a_restarted_service_costs_no_request(origin: Origin) -> None:
    closed = threading.Event()
    with Node(one_route(origin)) as node:
        origin.script(plain(), lambda connection, received: closed.set(), CLOSE)
        assert get(node.address, "/").status == 200
        assert closed.wait(10)
        response = get(node.address, "/again")
        assert response.status == 200
        assert [received.target for received in origin.requests] == ["/", "/again"]


def test_a_connection_is_not_used_beyond_its_lifetime_or_idle_time(origin: Origin) -> None:
    for option in ("idle_timeout: 100ms", "max_lifetime: 1s"):
        with Node(one_route(origin, service=f"pool: {{{option}}}")) as node:
            before = origin.connections
            get(node.address, "/")
            assert threading.Event().wait(1.1) is False
            get(node.address, "/")
            assert origin.connections == before + 2, option


def test_the_pools_bounds_make_requests_wait_and_then_refuse(origin: Origin) -> None:
    go = threading.Event()
    text = one_route(origin, "timeout: 5s", service="pool: {max_connections: 1, max_pending: 1}")
    with Node(text) as node, Client(node.address) as first, Client(node.address) as second:
        origin.script(go, plain(b"first"))
        first.send(encode("/1"))
        origin.next_request()
        second.send(encode("/2"))
        node.wait_for(lambda state: state["in_flight"] == 2)
        refused = Refused(
            503, "service_unavailable", "balance", ("services", 0), {"cause": "pool_exhausted"}, retry_after=1
        )
        refused.check(node, get(node.address, "/3"))
        go.set()
        assert first.response().body == b"first"
        assert second.response().body == b"ok"
        assert origin.connections == 1

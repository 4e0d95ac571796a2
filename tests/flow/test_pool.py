"""Proxy: connections to a service, used again within their bounds."""

import contextlib
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
        assert closed.wait(30)
        response = get(node.address, "/again")
        assert response.status == 200
        assert [received.target for received in origin.requests] == ["/", "/again"]


def test_a_connection_is_not_used_beyond_its_lifetime_or_idle_time(origin: Origin) -> None:
    for option, seconds in (("idle_timeout: 100ms", 0.2), ("max_lifetime: 1s", 1.1)):
        with Node(one_route(origin, service=f"pool: {{{option}}}")) as node:
            before = origin.connections
            get(node.address, "/")
            # Once there is a record, the connection is back.
            node.record()
            assert threading.Event().wait(seconds) is False
            get(node.address, "/")
            assert origin.connections == before + 2, option


def test_connections_are_open_before_anybody_asks_and_again_when_they_were_closed(origin: Origin) -> None:
    with Node(one_route(origin, service="pool: {min_connections: 2, idle_timeout: 1s}")) as node:

        def idle() -> float:
            return node.metric("gateway_backend_connections", service="users", state="idle")

        node.wait_for(lambda _: idle() == 2)
        assert origin.requests == []
        assert get(node.address, "/").status == 200
        assert node.record()["attempts"] == 1
        before = origin.connections
        node.wait_for(lambda _: origin.connections >= before + 2 and idle() == 2)


FULL = Refused(
    503, "service_unavailable", "balance", ("services", 0), {"cause": "too_many_pending"}, retry_after=1
)


def test_the_pools_bounds_make_requests_wait_and_then_refuse(origin: Origin) -> None:
    go = threading.Event()
    text = one_route(origin, "timeout: 5s", service="pool: {max_connections: 1, max_pending: 1}")
    with Node(text) as node, Client(node.address) as first, Client(node.address) as second:
        origin.script(go, plain(b"first"))
        first.send(encode("/1"))
        origin.next_request()
        second.send(encode("/2"))
        node.wait_for(lambda _: node.metric("gateway_upstream_pending_requests", service="users") == 1)
        FULL.check(node, get(node.address, "/3"))
        go.set()
        assert first.response().body == b"first"
        assert second.response().body == b"ok"
        assert origin.connections == 1
        assert node.metric("gateway_upstream_pending_requests", service="users") == 0
        causes = {"service": "users", "cause": "too_many_pending"}
        assert node.metric("gateway_service_unavailable_total", **causes) == 1


def test_the_queue_of_a_service_is_one_for_all_its_instances(origin: Origin) -> None:
    go = threading.Event()
    with Origin() as other:
        text = one_route(origin, "timeout: 5s", service="pool: {max_connections: 1, max_pending: 1}")
        text = text.replace(f'"{origin.address}"', f'"{origin.address}", "{other.address}"')
        with Node(text) as node, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(node.address)) for _ in range(3)]
            for number, (client, one) in enumerate(zip(clients, (origin, other), strict=False)):
                one.script(go, plain(b"held"))
                client.send(encode(f"/{number}"))
                node.wait_for(lambda state, number=number: state["in_flight"] == number + 1)
            assert {origin.next_request().target, other.next_request().target} == {"/0", "/1"}
            clients[2].send(encode("/2"))
            node.wait_for(lambda _: node.metric("gateway_upstream_pending_requests", service="users") == 1)
            FULL.check(node, get(node.address, "/3"))
            go.set()
            assert [client.response().status for client in clients] == [200] * 3


def test_a_request_that_waits_too_long_for_a_connection_is_refused(origin: Origin) -> None:
    go = threading.Event()
    text = (
        f'services: [{{name: users, instances: "{origin.address}", pool: {{max_connections: 1}}}}]\n'
        "routes:\n"
        "  - {name: slow, match: /1, service: users, timeout: 5s}\n"
        "  - {name: quick, match: /quick, service: users, timeout: 100ms}\n"
    )
    with Node(text) as node, Client(node.address) as first:
        origin.script(go, plain(b"first"))
        first.send(encode("/1"))
        origin.next_request()
        refused = Refused(
            503, "service_unavailable", "balance", ("services", 0), {"cause": "pool_exhausted"}, retry_after=1
        )
        refused.check(node, get(node.address, "/quick"))
        go.set()
        assert first.response().body == b"first"

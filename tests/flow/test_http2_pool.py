"""Proxy: HTTP/2 connections to a service, shared by many requests within their bounds."""

import threading

from h2.settings import SettingCodes

from gateway import Client, Http2Origin, Node, Refused, encode, get, request
from gateway.http2_origin import Stream, http2, wait


def test_requests_share_one_connection_until_it_is_full() -> None:
    with Http2Origin(wait) as origin, Node(http2(origin, "http2: {max_streams: 2}")) as node:
        clients = [Client(node.address) for _ in range(5)]
        for client in clients:
            client.send(encode("/"))
        streams = [origin.next_request() for _ in clients]
        # One after the other they are used again, so the busiest has two and never more.
        per_connection = [sum(stream.connection is one for stream in streams) for one in origin.connections]
        assert sorted(per_connection) == [1, 2, 2]
        metrics = {"service": "users"}
        node.wait_for(lambda _: node.metric("gateway_upstream_streams", **metrics) == 5)
        assert node.metric("gateway_backend_connections", state="active", **metrics) == 3
        for stream in streams:
            stream.answer()
        assert [client.response().status for client in clients] == [200] * 5
        for client in clients:
            client.socket.close()


def test_a_service_that_allows_one_stream_gets_one_and_the_rest_waits() -> None:
    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    pool = "pool: {max_connections: 1, max_pending: 1}"
    with (
        Http2Origin(wait, settings=settings) as origin,
        Node(http2(origin, pool)) as node,
        Client(node.address) as first,
        Client(node.address) as second,
    ):
        first.send(encode("/1"))
        stream = origin.next_request()
        second.send(encode("/2"))
        node.wait_for(lambda state: state["in_flight"] == 2)
        refused = Refused(
            503,
            "service_unavailable",
            "balance",
            ("services", 0),
            {"cause": "too_many_pending"},
            retry_after=1,
        )
        refused.check(node, get(node.address, "/3"))
        assert origin.begun.get().get(":path") == "/1"
        assert origin.begun.empty()
        origin.on_end = Stream.answer
        stream.answer()
        assert first.response().status == second.response().status == 200
        assert len(origin.connections) == 1


def test_an_idle_connection_that_the_service_closed_costs_no_request() -> None:
    with Http2Origin() as origin, Node(http2(origin)) as node:
        for number in range(3):
            assert get(node.address, "/").status == 200
            assert len(origin.connections) == number + 1
            origin.connections[-1].close()
            node.wait_for(lambda _: node.metric("gateway_backend_connections", service="users") == 0)


def test_a_connection_whose_peer_does_not_answer_a_ping_is_closed() -> None:
    def freeze(stream: Stream) -> None:
        stream.connection.socket.settimeout(None)
        threading.Event().wait(5)

    with (
        Http2Origin(freeze) as origin,
        Node(http2(origin, "http2: {ping_interval: 1s, ping_timeout: 100ms}")) as node,
    ):
        assert request(node.address, "/", method="POST", body=b"x").status == 502
        assert node.record()["error_type"] == "connection_reset"


def test_a_connection_is_not_used_beyond_its_lifetime_or_idle_time() -> None:
    for option in ("idle_timeout: 100ms", "max_lifetime: 1s"):
        with Http2Origin() as origin, Node(http2(origin, f"pool: {{{option}}}")) as node:
            get(node.address, "/")
            assert origin.connections[0].has_ended.wait(30)
            assert get(node.address, "/").status == 200
            assert len(origin.connections) == 2, option


def test_a_changed_setting_is_live_and_streams_under_way_end_well() -> None:
    with Http2Origin(wait) as origin, Node(http2(origin)) as node, Client(node.address) as client:
        client.send(encode("/"))
        stream = origin.next_request()
        node.apply(http2(origin, "http2: {max_streams: 1}"))
        origin.on_end = Stream.answer
        assert get(node.address, "/").status == 200
        stream.answer(b"old")
        assert client.response().body == b"old"
        assert len(origin.connections) == 2

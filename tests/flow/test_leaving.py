"""Clients that leave while a request waits for somebody other than its service: it ends there, and nobody
else notices.
"""

import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from gateway import Client, Http2, Node, Origin, RedisServer, encode, get, one_route, plain, steps
from gateway.asked import (
    STATUS,
    Asked,
    introspection,
    key_set,
    key_store,
    password,
    question,
    with_older_keys,
)
from gateway.browser import Browser
from gateway.http2 import PING, frame, reset
from gateway.oidc import LoginNode, Provider

Header = tuple[str, str]

BUSY = plain(b"busy", "503 Service Unavailable")


def lower(header: Header) -> Header:
    """As HTTP/2 has it."""
    return header[0].lower(), header[1]


class Leaver:
    """Asks once, and leaves on demand."""

    def __init__(self, node: Node, header: Header = ("x-none", "-"), target: str = "/left") -> None:
        self.node, self.header, self.target = node, header, target

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        raise NotImplementedError


class Plain(Leaver):
    """Closes its connection."""

    def __enter__(self) -> Self:
        self.client = Client(self.node.address)
        self.client.send(self.request())
        return self

    def request(self) -> bytes:
        return encode(self.target, [self.header])

    def leave(self) -> None:
        self.client.socket.close()


class Posting(Plain):
    """Has a body under way, of which half has come."""

    def request(self) -> bytes:
        return encode(self.target, [self.header], "POST", b"12345678")[:-4]


class Ahead(Plain):
    """Has sent its next request already."""

    def request(self) -> bytes:
        return super().request() + encode("/ahead", [self.header])


class Stream(Leaver):
    """Resets its stream, and goes on with others of the connection."""

    def __enter__(self) -> Self:
        self.client = Http2(self.node.address)
        self.stream = self.client.begin(self.target, [lower(self.header)])
        return self

    def leave(self) -> None:
        self.client.send(reset(self.stream) + frame(PING, 0, 0, bytes(8)))
        self.client.wait_for(PING)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.socket.close()


LEAVERS = [Plain, Posting, Ahead, Stream]


@dataclass
class Silent:
    """A service as configurations name it."""

    address: str


def waited_for(record: dict[str, Any]) -> list[str]:
    return [step["waited_for"] for step in record["decisions"] if "waited_ms" in step]


def has_left(node: Node, cause: str, others: int = 0) -> None:
    """The next record is that of a request whose client left while it waited to be known; so many others
    still do.
    """
    record = node.record()
    assert (record["status"], record["error_type"], record["path"]) == (499, "client_closed", "/left")
    assert steps(record) == [("route", "matched"), ("authenticate", "waited"), ("proxy", "broken")]
    assert waited_for(record) == [cause]
    assert (record["backend_instance"], record["upstream_latency_ms"]) == (None, None)
    node.wait_for_metric(others, "gateway_in_flight_requests")
    assert node.metric("gateway_client_aborts_total") == 1


@pytest.mark.parametrize("case", [key_store, password, introspection, key_set])
@pytest.mark.parametrize("way", LEAVERS)
def test_who_leaves_while_python_is_asked_has_left_and_the_answer_is_there_for_the_next(
    origin: Origin, way: type[Leaver], case: Callable[[Origin], Asked]
) -> None:
    text, header, answer = case(origin)
    with Node(text, identity_timeout_ms=10_000) as node:
        with_older_keys(node)
        with way(node, header) as client:
            one = question(node)
            client.leave()
            # Nobody has answered yet.
            has_left(node, case.__name__)
            node.engine.answer(one["id"], answer)
            if case is key_set:
                # What is known of it holds for a second only.
                return
            assert get(node.address, "/", header).status == STATUS[case]
        assert node.engine.next_questions(0.0) is None
        assert waited_for(node.record()) == []


@pytest.mark.parametrize("case", [key_store, password, introspection, key_set])
@pytest.mark.parametrize("way", [Plain, Stream])
def test_others_who_wait_for_the_same_answer_get_it_although_who_asked_first_has_left(
    origin: Origin, way: type[Leaver], case: Callable[[Origin], Asked]
) -> None:
    text, header, answer = case(origin)
    with Node(text, identity_timeout_ms=10_000) as node, Http2(node.address) as neighbour:
        with_older_keys(node)
        with way(node, header) as client, ThreadPoolExecutor(1) as pool:
            one = question(node)
            stream = neighbour.begin("/", [lower(header)])
            # One comes while the first still waits, one after it has left.
            neighbour.send(frame(PING, 0, 0, bytes(8)))
            neighbour.wait_for(PING)
            client.leave()
            has_left(node, case.__name__, others=1)
            late = pool.submit(get, node.address, "/late", header)
            node.wait_for_metric(2, "gateway_in_flight_requests")
            node.engine.answer(one["id"], answer)
            assert neighbour.response(stream).status == late.result(30).status == STATUS[case]
        assert node.engine.next_questions(0.0) is None


@pytest.mark.parametrize("length", [8, 100_000])
def test_what_comes_of_a_client_that_stays_is_kept_for_who_wants_it(origin: Origin, length: int) -> None:
    text, header, answer = password(origin)
    body = bytes(range(1, 9)) * (length // 8)
    whole = encode("/", [header], "POST", body)
    with Node(text) as node, Client(node.address) as client:
        client.send(whole[: -length // 2])
        one = question(node)
        # More than the gateway has room for before somebody wants it, and the next request behind it.
        client.send(whole[-length // 2 :] + encode("/next", [header]))
        assert get(node.address).status == 401
        node.engine.answer(one["id"], answer)
        assert [client.response().status for _ in range(2)] == [200, 200]
    assert [(received.target, received.body) for received in origin.requests] == [("/", body), ("/next", b"")]


def test_a_stream_that_is_reset_leaves_those_beside_it_alone(origin: Origin) -> None:
    text, header, answer = password(origin)
    with Node(text) as node, Http2(node.address) as client:
        left, stays = (client.begin(path, [lower(header)]) for path in ("/left", "/stays"))
        one = question(node)
        client.send(reset(left))
        has_left(node, "password", others=1)
        node.engine.answer(one["id"], answer)
        assert client.response(stays).status == 200
        assert client.streams[left].heads == []


def test_who_leaves_before_anybody_knows_its_credential_is_charged_nothing(origin: Origin) -> None:
    text, header, answer = key_store(origin)
    text += "tiers: [{name: guesses, limit: 1, window: 1h, per: client_ip}]\n"
    text += "defaults: {rate_limit: none, unauthenticated_tier: guesses}\n"
    with Node(text) as node:
        for _ in range(3):
            with Plain(node, header) as client:
                client.leave()
                assert node.record()["status"] == 499
        node.engine.answer(question(node)["id"], answer)
        assert [get(node.address, "/", header).status for _ in range(2)] == [401, 429]


@pytest.mark.parametrize("way", LEAVERS)
def test_who_leaves_in_a_leaky_bucket_waits_no_more_whatever_it_was_sending(
    origin: Origin, way: type[Leaver]
) -> None:
    tier = "tiers: [{name: t, limit: 2, window: 1m, algorithm: leaky_bucket, max_delay: 1m}]"
    with Node(one_route(origin, "rate_limit: t", tier)) as node:
        assert get(node.address).status == 200
        node.record()
        with way(node) as client:
            node.wait_for_metric(1, "gateway_limit_waiting")
            client.leave()
            record = node.record()
            assert (record["status"], record["error_type"]) == (499, "client_closed")
            assert steps(record) == [("route", "matched"), ("limit", "admitted"), ("proxy", "broken")]
        assert node.metric("gateway_limit_waiting") == 0
        assert origin.connections == 1


@pytest.mark.needs("redis-server")
@pytest.mark.parametrize("way", LEAVERS)
def test_who_leaves_while_redis_counts_has_paid_and_never_comes_to_the_service(
    origin: Origin, server: RedisServer, way: type[Leaver]
) -> None:
    sections = (
        "tiers: [{name: t, limit: 9, window: 1h, share: exact}]",
        f'redis: {{url: "{server.url}"}}',
        "shared_limits: {deadline: 10s}",
    )
    with Node(one_route(origin, "rate_limit: {tier: t, on_failure: closed}", *sections)) as node:
        node.wait_for(lambda state: state["limit_store"]["connected_workers"] == 1)
        server.signal(signal.SIGSTOP)
        with way(node) as client:
            client.leave()
            server.signal(signal.SIGCONT)
            record = node.record()
            assert (record["status"], record["error_type"]) == (499, "client_closed")
            assert steps(record) == [("route", "matched"), ("limit", "admitted"), ("proxy", "broken")]
            assert waited_for(record) == ["redis"]
        assert origin.connections == 0
        assert get(node.address).get("x-ratelimit-remaining") == "7"


@pytest.mark.parametrize("way", [Plain, Stream])
def test_a_browser_that_leaves_while_its_code_is_exchanged_has_left(
    origin: Origin, tmp_path: Path, way: type[Leaver]
) -> None:
    with Provider() as provider:
        text = one_route(origin, "auth: {accept: [web]}", f"identities: [{provider.identity()}]")
        with LoginNode(text, tmp_path) as web:
            browser, (host, port) = Browser(), web.node.address
            away = browser.goes(f"http://{host}:{port}/").get("location")
            assert away is not None
            back = browser.goes(away).get("location")
            assert back is not None
            [(name, cookie)] = browser.cookies(back).items()
            web.node.record()
            provider.held.clear()
            with way(web.node, ("cookie", f"{name}={cookie.value}"), back.partition(str(port))[2]) as client:
                assert provider.asked.acquire(timeout=30)
                client.leave()
                record = web.node.record()
                provider.held.set()
            assert (record["status"], record["error_type"]) == (499, "client_closed")
            assert waited_for(record) == ["provider"]
            assert web.node.metric("gateway_logins_total", event="completed") == 0


def test_what_comes_of_a_body_while_another_attempt_is_waited_for_belongs_to_it(origin: Origin) -> None:
    origin.script(lambda connection, _: connection.send(BUSY))
    whole = encode("/", method="PUT", body=b"12345678")
    with (
        Node(one_route(origin, "retry: {backoff: {base: 1s, max: 1s}}")) as node,
        Client(node.address) as client,
    ):
        client.send(whole[:-4])
        origin.next_request()
        node.wait_for_metric(1, "gateway_retries_total")
        client.send(whole[-4:] + encode("/next"))
        assert [client.response().status for _ in range(2)] == [200, 200]
    assert [received.body for received in origin.requests[1:]] == [b"12345678", b""]


@pytest.mark.parametrize("under_way", [0, 4])
def test_a_client_that_leaves_ends_the_wait_for_another_attempt(origin: Origin, under_way: int) -> None:
    # Answered as soon as the head is in, whatever of the body is still to come.
    origin.script(lambda connection, _: connection.send(BUSY))
    settings = "retry: {backoff: {base: 10s, max: 10s}}, timeout: 1h"
    with Node(one_route(origin, settings)) as node:
        with Client(node.address) as client:
            client.send(encode("/", method="PUT", body=b"12345678")[: -under_way or None])
            origin.next_request()
            node.wait_for(lambda _: node.metric("gateway_retries_total") == 1)
        record = node.record()
        assert (record["status"], record["error_type"]) == (499, "client_closed")
        assert [step["verdict"] for step in record["decisions"] if step.get("waited_for") == "backoff"]
        assert record["attempts"] == 1
        assert node.state()["services"][0]["instances"][0]["in_flight"] == 0
    assert len(origin.requests) == 1


@pytest.mark.parametrize("way", LEAVERS)
def test_who_leaves_the_queue_of_a_service_makes_room_and_never_comes_to_it(
    origin: Origin, way: type[Leaver]
) -> None:
    go = threading.Event()
    origin.script(go, plain())
    service = "pool: {max_connections: 1, max_pending: 1}"
    with Node(one_route(origin, "timeout: 1m", service=service)) as node, Client(node.address) as first:
        first.send(encode("/first"))
        origin.next_request()
        with way(node) as client:
            node.wait_for_metric(1, "gateway_upstream_pending_requests")
            client.leave()
            record = node.record()
            assert (record["status"], record["error_type"], record["path"]) == (499, "client_closed", "/left")
            assert record["queue_latency_ms"] > 0
        assert node.metric("gateway_upstream_pending_requests") == 0
        go.set()
        assert first.response().status == 200
    assert [received.target for received in origin.requests] == ["/first"]


@pytest.mark.parametrize("way", LEAVERS)
@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_who_leaves_while_a_connection_is_opened_has_left(way: type[Leaver], protocol: str) -> None:
    """To a service that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = Silent(f"127.0.0.1:{server.getsockname()[1]}")
        service = f"protocol: {protocol}, tls: {{verify: false}}, pool: {{connect_timeout: 1m}}"
        with Node(one_route(silent, "timeout: 1m", service=service)) as node, way(node) as client:
            accepted, _ = server.accept()
            client.leave()
            record = node.record()
            assert (record["status"], record["error_type"], record["path"]) == (499, "client_closed", "/left")
            assert record["connect_latency_ms"] > 0
            # The connection is given up as well.
            accepted.settimeout(30)
            while accepted.recv(1 << 16):
                pass
            accepted.close()

"""What a request waited for outside of it: which step of its record tells so, and for how long it was."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway import (
    Client,
    Lagging,
    Node,
    Origin,
    RedisServer,
    encode,
    get,
    one_route,
)
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
from gateway.oidc import LoginNode, Provider

LEAKY = "limit: 2, window: 1m, algorithm: leaky_bucket, max_delay: 1m"


def waits(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Stage, verdict and cause of every step that waited, each within the request."""
    told = [step for step in record["decisions"] if "waited_ms" in step]
    for step in told:
        assert step["waited_at_ms"] >= 0
        assert round(step["waited_at_ms"] + step["waited_ms"], 3) <= record["total_latency_ms"]
    return [(step["stage"], step["verdict"], step["waited_for"]) for step in told]


@pytest.mark.parametrize(
    ("case", "verdict"),
    [(key_store, "refused"), (password, "user"), (introspection, "user"), (key_set, "refused")],
)
def test_who_has_to_be_asked_about_a_credential_is_waited_for(
    origin: Origin, case: Callable[[Origin], Asked], verdict: str
) -> None:
    text, header, answer = case(origin)
    with Node(text) as node, ThreadPoolExecutor(1) as clients:
        with_older_keys(node)
        response = clients.submit(get, node.address, "/", header)
        one = question(node)
        asked = time.monotonic()
        # The one worker answers this when it has nothing to do for the other.
        assert get(node.address, "/").status == 401
        at_least = time.monotonic() - asked
        node.engine.answer(one["id"], answer)
        assert response.result(10).status == STATUS[case]
        other, record = node.records(2)
        assert waits(other) == []
        assert waits(record) == [("authenticate", verdict, case.__name__)]
        [took] = [step["waited_ms"] for step in record["decisions"] if "waited_ms" in step]
        assert took >= at_least * 1_000
        assert node.metric("gateway_wait_duration_seconds_count", cause=case.__name__) == 1


def test_who_is_known_waits_for_nobody(origin: Origin) -> None:
    with Node(one_route(origin, "rate_limit: t", "tiers: [{name: t, limit: 9, window: 1h}]")) as node:
        assert get(node.address).status == 200
        assert waits(node.record()) == []
        assert node.metric("gateway_wait_duration_seconds_count") == 0


def exact(origin: Origin, url: str, tier: str = "limit: 9, window: 1h", shared: str = "deadline: 10s") -> str:
    sections = (
        f"tiers: [{{name: t, {tier}, per: client_ip, share: exact}}]",
        f'redis: {{url: "{url}"}}',
        f"shared_limits: {{{shared}}}",
    )
    return one_route(origin, "rate_limit: {tier: t, on_failure: open}", *sections)


def connected(node: Node) -> None:
    node.wait_for(lambda state: state["limit_store"]["connected_workers"] == 1)


@pytest.mark.needs("redis-server")
def test_a_slow_redis_is_told_by_the_tier_that_it_counts(origin: Origin, server: RedisServer) -> None:
    with Lagging(server.port) as way, Node(exact(origin, way.url)) as node:
        connected(node)
        way.delay = 0.02
        assert get(node.address).status == 200
        record = node.record()
        assert waits(record) == [("limit", "admitted", "redis")]
        [took] = [step["waited_ms"] for step in record["decisions"] if "waited_ms" in step]
        assert took >= 15
        assert node.metric("gateway_limit_store_duration_seconds_count") == 1


@pytest.mark.needs("redis-server")
def test_a_redis_that_does_not_answer_is_told_although_nothing_was_decided_by_it(
    origin: Origin, server: RedisServer
) -> None:
    with Node(exact(origin, server.url, shared="deadline: 500ms")) as node:
        connected(node)
        server.signal(signal.SIGSTOP)
        assert get(node.address).status == 200
        server.signal(signal.SIGCONT)
        record = node.record()
        assert waits(record) == [("limit", "waited", "redis")]
        [took] = [step["waited_ms"] for step in record["decisions"] if "waited_ms" in step]
        assert took >= 50


def left_while_waiting(node: Node) -> dict[str, Any]:
    """The record of a request whose client leaves while it waits for its turn."""
    with Client(node.address) as client:
        client.send(encode("/"))
        node.wait_for(lambda _: node.metric("gateway_limit_waiting") == 1)
    return node.record()


@pytest.mark.needs("redis-server")
def test_a_request_that_waits_twice_for_one_tier_tells_both(origin: Origin, server: RedisServer) -> None:
    with Node(exact(origin, server.url, LEAKY)) as node:
        connected(node)
        assert get(node.address).status == 200
        node.records(1)
        record = left_while_waiting(node)
        # Whoever leaves in the middle has waited all the same.
        assert record["status"] == 499
        assert waits(record) == [("limit", "admitted", "redis"), ("limit", "waited", "queue")]
        assert {step["rule"] for step in record["decisions"] if step["stage"] == "limit"} == {"t"}


def test_a_turn_in_a_leaky_bucket_is_told_by_its_own_tier(origin: Origin) -> None:
    tiers = (
        "{name: roomy, limit: 99, window: 1h}",
        f"{{name: slow, {LEAKY}}}",
        "{name: roomier, limit: 999, window: 1h}",
    )
    route = "rate_limit: {tier: [roomy, slow, roomier]}"
    with Node(one_route(origin, route, f"tiers: [{', '.join(tiers)}]")) as node:
        assert get(node.address).status == 200
        node.records(1)
        record = left_while_waiting(node)
        assert waits(record) == [("limit", "admitted", "queue")]
        assert [step["rule"] for step in record["decisions"] if "waited_ms" in step] == ["slow"]


def test_a_file_is_waited_for_where_the_disk_takes_its_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("b")
    with Node(f'routes: [{{name: files, match: "/*", static: {{root: "{tmp_path}"}}}}]\n') as node:
        for _ in range(20):
            assert get(node.address, "/a").status == 200
        # What is there before anybody looks was not waited for.
        told = {wait for record in node.records(20) for wait in waits(record)}
        assert told == {("respond", "file", "disk")}


def test_a_login_waits_for_its_provider(origin: Origin, tmp_path: Path) -> None:
    with Provider() as provider:
        text = one_route(origin, "auth: {accept: [web]}", f"identities: [{provider.identity()}]")
        with LoginNode(text, tmp_path) as web:
            host, port = web.node.address
            assert Browser().visits(f"http://{host}:{port}/").status == 200
            told = [waits(record) for record in web.node.records(3)]
            assert told == [[], [("authenticate", "logged_in", "provider")], []]

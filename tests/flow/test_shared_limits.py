"""Limit: several nodes and one Redis, which count together."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from gateway import (
    ApiKey,
    Client,
    Issuer,
    Node,
    Origin,
    RedisServer,
    Refused,
    encode,
    get,
    one_route,
    steps,
)
from gatewright._engine import decide
from gatewright.control.limit_store import LimitStore, LimitStoreSettings

pytestmark = pytest.mark.needs("redis-server")

PATIENT = "shared_limits: {deadline: 10s, max_waiting: 100000}"
"""A busy machine may be slow; what a slow Redis does has tests of its own."""


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def tiers(*each: str) -> str:
    return "tiers: [" + ", ".join(f"{{{one}}}" for one in each) + "]"


def shared(server: RedisServer, *each: str, settings: str = PATIENT) -> tuple[str, ...]:
    """The sections of a node that counts these tiers in Redis."""
    return tiers(*each), f'redis: {{url: "{server.url}"}}', settings


def connected(node: Node) -> Node:
    workers = node.state()["workers"]
    node.wait_for(lambda state: state["limit_store"]["connected_workers"] == workers)
    return node


def ask_many(node: Node, requests: int) -> int:
    """How many of so many requests on one connection pass."""
    with Client(node.address, 60) as client:
        client.send(encode("/") * requests)
        return sum(client.response().status == 200 for _ in range(requests))


def flood(nodes: list[Node], requests: int) -> int:
    """How many of so many parallel requests to all nodes pass."""
    connections = 4 * len(nodes)
    with ThreadPoolExecutor(connections) as pool:
        each = [requests // connections + (place < requests % connections) for place in range(connections)]
        asked = [
            pool.submit(ask_many, nodes[place % len(nodes)], each[place]) for place in range(connections)
        ]
        return sum(one.result(120) for one in asked)


def answering(tier: str, sections: tuple[str, ...]) -> str:
    """A route that answers by itself."""
    route = f"routes: [{{name: all, match: /, service: self, rate_limit: {tier}}}]"
    return "\n".join([route, "records: {sinks: []}", *sections]) + "\n"


def three(opened: ExitStack, text: str) -> list[Node]:
    return [connected(opened.enter_context(Node(text, workers=2))) for _ in range(3)]


@pytest.mark.parametrize(
    "tier",
    [
        "limit: 1234, window: 1d",
        "limit: 1234, window: 1d, algorithm: fixed_window",
        "limit: 1, window: 1d, burst: 1234",
        "limit: 1234, calendar: month",
    ],
    ids=["sliding_window", "fixed_window", "token_bucket", "calendar"],
)
def test_of_ten_thousand_parallel_requests_to_three_nodes_exactly_the_limit_passes(
    server: RedisServer, opened: ExitStack, tier: str
) -> None:
    sections = shared(server, f"name: t, per: client_ip, share: exact, {tier}")
    nodes = three(opened, answering("t", sections))
    assert flood(nodes, 10_000) == 1234
    assert sum(node.metric("gateway_limit_store_duration_seconds_count") for node in nodes) >= 10_000
    assert sum(node.metric("gateway_limit_fallbacks_total") for node in nodes) == 0


@pytest.mark.parametrize(
    "tier",
    [
        "limit: 2000, window: 1d",
        "limit: 2000, window: 1d, algorithm: fixed_window",
        "limit: 1, window: 1d, burst: 2000",
    ],
    ids=["sliding_window", "fixed_window", "token_bucket"],
)
def test_with_leases_the_limit_passes_within_a_block_of_each_node_and_few_ask(
    server: RedisServer, opened: ExitStack, tier: str
) -> None:
    sections = shared(server, f"name: t, per: client_ip, share: leased, block: 50, {tier}")
    nodes = three(opened, answering("t", sections))
    passed = flood(nodes, 10_000)
    assert 2000 - 3 * 50 <= passed <= 2000
    asked = sum(node.metric("gateway_limit_store_duration_seconds_count") for node in nodes)
    # While nobody has anything, each request asks; else one in dozens does.
    assert asked < 2_000


def test_on_the_last_token_exactly_one_of_many_passes(server: RedisServer, opened: ExitStack) -> None:
    sections = shared(server, "name: t, per: client_ip, share: exact, limit: 1, window: 1d")
    assert flood(three(opened, answering("t", sections)), 300) == 1


def test_what_one_node_counts_the_other_knows_and_tells(
    origin: Origin, server: RedisServer, opened: ExitStack
) -> None:
    text = one_route(
        origin,
        "rate_limit: t",
        *shared(server, "name: t, per: client_ip, share: exact, limit: 3, window: 1h"),
    )
    one, other = (connected(opened.enter_context(Node(text))) for _ in range(2))
    left = [get(node.address, "/").get("x-ratelimit-remaining") for node in (one, other, one)]
    assert left == ["2", "1", "0"]
    [admitted] = [step for step in one.record()["decisions"] if step["stage"] == "limit"]
    assert (admitted["verdict"], admitted["inputs"]["counted_by"]) == ("admitted", "redis")
    other.record()
    response = get(other.address, "/")
    inputs = {"limit": 3, "key": "client_ip", "counted_by": "redis"}
    body = {"tier": "t", "key": "client_ip", "limit": 3}
    Refused(429, "rate_limit_exceeded", "limit", ("tiers", 0), inputs, retry_after=-1, body=body).check(
        other, response
    )
    one.wait_for(lambda state: state["limit_store"]["nodes"] == 2)


def test_all_tiers_have_to_admit_and_none_is_charged_for_a_refusal(
    origin: Origin, server: RedisServer
) -> None:
    """Two in Redis and one of this node alone."""
    sections = shared(
        server,
        "name: wide, limit: 5, window: 1h, per: global, share: exact",
        "name: narrow, limit: 2, window: 1h, per: user, share: exact",
        "name: here, limit: 5, window: 1h, per: global",
    )
    issuer = Issuer()
    route = "rate_limit: [wide, narrow, here], auth: {accept: [mobile]}"
    with Node(one_route(origin, route, *sections, f"identities: [{issuer.identity}]")) as node:
        connected(node)
        ann, bob, cat = (issuer.bearer(sub=name) for name in ("ann", "bob", "cat"))
        assert [get(node.address, "/", ann).status for _ in range(4)] == [200, 200, 429, 429]
        assert [get(node.address, "/", bob).status for _ in range(2)] == [200, 200]
        # The refusals took none: one is left in both wide tiers.
        assert get(node.address, "/", cat).status == 200
        assert get(node.address, "/", issuer.bearer(sub="dan")).json()["tier"] in ("wide", "here")


async def test_a_caller_is_told_by_name_a_key_never_and_each_can_be_forgotten(
    origin: Origin, server: RedisServer
) -> None:
    key = ApiKey("k-partner")
    issuer = Issuer()
    tier = "name: t, limit: 9, window: 1h, share: exact, per: [api_key, client_ip]"
    sections = (*shared(server, tier), f"identities: [{issuer.identity}, {key.identity}]")
    route = "rate_limit: t, auth: {accept: [mobile, partners], optional: true}"
    with Node(one_route(origin, route, *sections)) as node:
        connected(node)
        for header in ([issuer.bearer(sub="ann")], [key.header], []):
            await asyncio.to_thread(get, node.address, "/", *header)
        redis = server.ask()
        names = sorted(redis.scan_iter("rate:*"))
        assert len(names) == 3
        assert [name for name in names if "apikey:" in name]
        assert "rate:{user:ann+ip:127.0.0.1}:t" in names
        assert not [name for name in names if str(key.entry["id"]) in name or key.secret in name]
        assert all(3_600_000 < redis.pttl(name) <= 7_200_000 for name in names)
        store = LimitStore(node.engine)
        await store.use(LimitStoreSettings(server.url, 5.0, {"t": 64}))
        assert await store.reset(None, f"api_key:{key.entry['id']}+ip:127.0.0.1") == 1
        assert await store.reset("other", None) == 0
        assert await store.reset("t", "user:ann+ip:127.0.0.1") == 1
        assert await store.reset(None, None) == 1
        await store.use(None)
        assert list(redis.scan_iter("rate:*")) == []


def test_a_change_of_the_policy_keeps_what_was_counted(origin: Origin, server: RedisServer) -> None:
    def text(tier: str) -> str:
        return one_route(
            origin, "rate_limit: t", *shared(server, f"name: t, per: client_ip, share: exact, {tier}")
        )

    with Node(text("limit: 2, window: 1h")) as node:
        connected(node)
        assert [get(node.address, "/").status for _ in range(3)] == [200, 200, 429]
        for tier, left in (
            ("limit: 5, window: 1h", "2"),
            ("limit: 5, window: 2h, algorithm: fixed_window", "1"),
            ("limit: 6, window: 1d, algorithm: token_bucket", "1"),
        ):
            node.apply(text(tier))
            assert get(node.address, "/").get("x-ratelimit-remaining") == left


def test_a_leaky_bucket_in_redis_lets_requests_wait_for_their_turn(
    origin: Origin, server: RedisServer
) -> None:
    tier = "name: t, per: client_ip, share: exact, algorithm: leaky_bucket, limit: 6000, window: 1m"
    with Node(one_route(origin, "rate_limit: t", *shared(server, f"{tier}, max_delay: 30ms"))) as node:
        connected(node)
        with Client(node.address) as client:
            client.send(encode("/") * 3)
            assert [client.response().status for _ in range(3)] == [200] * 3
        [told] = server.ask().scan_iter("rate:*")
        assert server.ask().get(told).startswith("b:60000:")


def test_what_a_response_costs_is_charged_in_redis(origin: Origin, server: RedisServer) -> None:
    tier = "name: t, per: client_ip, share: exact, limit: 10, window: 1h, counts: 'response_header:X-Cost'"
    with Node(one_route(origin, "rate_limit: t", *shared(server, tier))) as node:
        connected(node)
        origin.script(b"HTTP/1.1 200 OK\r\nX-Cost: 7\r\nContent-Length: 0\r\n\r\n")
        assert get(node.address, "/").get("x-ratelimit-remaining") == "10"
        node.record()
        redis = server.ask()
        # It is charged when the answer has been given.
        node.wait_for(lambda _: [redis.get(one)[-2:] for one in redis.scan_iter("rate:*")] == [":7"])
        assert get(node.address, "/").get("x-ratelimit-remaining") == "3"


def test_a_tier_on_trial_and_a_ban_go_with_redis(origin: Origin, server: RedisServer) -> None:
    sections = shared(
        server,
        "name: trial, limit: 1, window: 1h, per: client_ip, share: exact, dry_run: true",
        "name: t, limit: 2, window: 1h, per: client_ip, share: exact, ban: {after: 2}",
    )
    with Node(one_route(origin, "rate_limit: [trial, t]", *sections)) as node:
        connected(node)
        answers = [get(node.address, "/") for _ in range(5)]
        assert [one.status for one in answers] == [200, 200, 429, 429, 429]
        assert [one.json()["error"] for one in answers[2:]] == ["rate_limit_exceeded", "banned", "banned"]
        assert ("limit", "would_refuse") in steps(node.records(5)[1])
        # A banned caller costs Redis nothing.
        assert node.metric("gateway_limit_store_duration_seconds_count") == 4


def test_explain_counts_for_itself(origin: Origin, server: RedisServer) -> None:
    sections = shared(server, "name: t, limit: 1, window: 1h, per: client_ip, share: exact")
    with Node(one_route(origin, "rate_limit: t", *sections)) as node:
        connected(node)
        asked = {"method": "GET", "target": "/", "host": "gateway.test", "headers": [], "peer": "192.0.2.1"}
        request = {**asked, "now_ms": 1_800_000_000_000}
        verdicts = json.loads(decide(node.snapshot, b"{}", json.dumps([request, request]).encode()))
        assert [verdict["error"] for verdict in verdicts] == [None, "rate_limit_exceeded"]
        assert list(server.ask().scan_iter("rate:*")) == []

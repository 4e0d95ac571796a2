"""Two nodes, one store, one Redis: keys are looked up once for both, and what ends, ends everywhere."""

import asyncio
import hashlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway import KeyedNode, Origin, RedisServer, until, with_store
from gatewright.keystore.keys import Found
from gatewright.keystore.keys import Refused as RefusedKey

pytestmark = pytest.mark.needs("redis-server")

Pair = tuple[KeyedNode, KeyedNode]


def shared(origin: Origin, server: RedisServer, watch: str = "5s", timeout: str = "10s") -> str:
    # Looks at the database are rare, so that what is seen at once was told by Redis.
    text = with_store(origin, "share: redis").replace("watch_interval: 50ms", f"watch_interval: {watch}")
    return text + f"redis: {{url: '{server.url}', timeout: {timeout}}}\n"


@pytest.fixture
async def pair(origin: Origin, server: RedisServer, tmp_path: Path) -> AsyncIterator[Pair]:
    text = shared(origin, server)
    async with KeyedNode(text, tmp_path) as one, KeyedNode(text, tmp_path) as other:
        await until(lambda: server.ask().pubsub_numsub("apikey-changes")[0][1] == 2)
        yield one, other


def count_look_ups(node: KeyedNode) -> list[str]:
    """The prefixes that a node asks its database for, from now on."""
    asked: list[str] = []
    find = node.keys.store.find

    async def counted(prefix: str, digest: str) -> Found | RefusedKey:
        asked.append(prefix)
        return await find(prefix, digest)

    node.keys.store.find = counted
    return asked


def name_of(text: str) -> str:
    return "apikey:" + hashlib.sha256(text.encode()).hexdigest()


async def settled(one: KeyedNode, other: KeyedNode) -> None:
    """Both nodes have begun, so that the generation stays."""
    for node in (one, other):
        await node.status((await node.create("somebody"))[1])


async def test_what_one_node_has_looked_up_the_other_need_not(pair: Pair, server: RedisServer) -> None:
    one, other = pair
    await settled(one, other)
    key, text = await one.create(scopes=("a",), tier="premium", networks=("127.0.0.0/8",))
    assert await one.status(text) == 200
    asked = count_look_ups(other)
    assert await other.status(text) == 200
    assert asked == []
    assert other.keys.sharing.hits == 1
    stored = json.loads(server.ask().get(name_of(text)))
    assert (stored["id"], stored["partner_id"], stored["tier"]) == (key.id, "acme", "premium")
    assert (stored["scopes"], stored["networks"]) == (["a"], ["127.0.0.0/8"])
    assert 290_000 < server.ask().pttl(name_of(text)) <= 300_000
    everything = [server.ask().get(name) for name in server.ask().keys("*")] + server.ask().keys("*")
    assert text[20:52] not in str(everything)


async def test_a_revoked_key_is_refused_on_the_other_node_at_once(pair: Pair) -> None:
    one, other = pair
    key, text = await one.create()
    assert await one.status(text) == await other.status(text) == 200

    async def nothing(after: int) -> tuple[int, list[str]]:
        return after, []

    # It finds no change in the database, so that what it knows was told.
    other.keys.store.changes = nothing
    await one.keys.store.revoke(key.id)
    await one.keys.tell([key.id])
    assert await one.status(text) == 401

    async def is_refused() -> bool:
        return await other.status(text) == 401

    await until(is_refused)


async def test_an_entry_of_another_hand_is_not_believed(pair: Pair, server: RedisServer) -> None:
    one, other = pair
    await settled(one, other)
    _, text = await one.create(scopes=("a",))
    _, victim = await one.create("admin", scopes=("admin",))
    assert await one.status(text) == await one.status(victim) == 200
    redis = server.ask()
    mine, theirs = redis.get(name_of(text)), redis.get(name_of(victim))
    raised = json.loads(mine) | {"scopes": ["admin"]}
    forgeries: list[Any] = [theirs, json.dumps(raised), "[]", "{}", '{"code": 1}', "nonsense", b"\xff\xfe"]
    for forged in forgeries:
        redis.set(name_of(text), forged)
        await other.keys.forget(None)
        asked = count_look_ups(other)
        assert (await other.get(text)).status == 200
        assert len(asked) == 1, forged
        record = other.node.records(1)[-1]
        assert "admin" not in str(record["decisions"])


async def test_an_entry_that_is_written_while_its_key_is_revoked_is_void(pair: Pair) -> None:
    one, other = pair
    await settled(one, other)
    key, text = await one.create()
    find = one.keys.store.find

    async def overtaken(prefix: str, digest: str) -> Found | RefusedKey:
        found = await find(prefix, digest)
        one.keys.store.find = find
        await other.keys.store.revoke(key.id)
        await other.keys.tell([key.id])
        return found

    one.keys.store.find = overtaken
    await one.status(text)
    await other.keys.forget(None)
    assert await other.status(text) == 401


@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_without_redis_nodes_go_on_and_nothing_that_ended_comes_back(
    origin: Origin, server: RedisServer, tmp_path: Path, fault: str
) -> None:
    text = shared(origin, server, watch="50ms", timeout="200ms")
    async with KeyedNode(text, tmp_path) as one, KeyedNode(text, tmp_path) as other:
        await settled(one, other)
        key, secret = await one.create()
        _, later = await one.create()
        assert await one.status(secret) == await other.status(secret) == 200
        if fault == "killed":
            server.kill()
        else:
            server.signal(signal.SIGSTOP)
        # The other node sees it in the database.
        await one.keys.store.revoke(key.id)

        async def is_refused(node: KeyedNode) -> bool:
            return await node.status(secret) == 401

        for node in (one, other):
            await until(lambda node=node: is_refused(node))
            assert await node.status(later) == 200
            assert not node.keys.sharing.connected
        if fault == "killed":
            await asyncio.to_thread(server.start)
        else:
            server.signal(signal.SIGCONT)

        async def is_shared_again(node: KeyedNode) -> bool:
            await node.keys.forget(None)
            await node.status(later)
            return node.keys.sharing.connected

        for node in (one, other):
            await until(lambda node=node: is_shared_again(node))
        # What Redis still has of the key is of a generation that is over.
        for node in (one, other):
            await node.keys.forget(None)
            assert await node.status(secret) == 401

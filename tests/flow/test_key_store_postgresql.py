"""Two nodes and one PostgreSQL: what one node revokes, the other refuses, and no failure lets anybody in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway import KeyedNode, Origin, Postgres, until, with_store

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def server(free_port: Callable[[], int]) -> Iterator[Postgres]:
    running = Postgres(free_port())
    yield running
    running.close()


@pytest.fixture
async def pair(
    origin: Origin, server: Postgres, tmp_path: Path
) -> AsyncIterator[tuple[KeyedNode, KeyedNode]]:
    text = with_store(origin, f"url: '{server.url}'")
    async with KeyedNode(text, tmp_path) as one, KeyedNode(text, tmp_path) as other:
        yield one, other


async def test_a_key_of_one_node_is_known_and_revoked_on_the_other(pair: tuple[KeyedNode, KeyedNode]) -> None:
    one, other = pair
    key, text = await one.create()
    assert await one.status(text) == await other.status(text) == 200
    await other.keys.store.revoke(key.id)
    await other.keys.tell([key.id])

    async def is_refused() -> bool:
        return await one.status(text) == 401

    assert await other.status(text) == 401
    await until(is_refused)


async def test_uses_of_all_nodes_are_added_up(pair: tuple[KeyedNode, KeyedNode]) -> None:
    one, other = pair
    key, text = await one.create()
    for node, times in ((one, 2), (other, 3)):
        for _ in range(times):
            assert await node.status(text) == 200

    async def counted() -> bool:
        return sum(requests for _, requests in await one.keys.store.usage(key.id, 0)) == 5

    await until(counted)


@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_without_the_server_known_keys_go_on_and_it_comes_back_by_itself(
    pair: tuple[KeyedNode, KeyedNode], origin: Origin, server: Postgres, tmp_path: Path, fault: str
) -> None:
    patient, _ = pair
    _, known = await patient.create()
    _, other = await patient.create()
    text = with_store(origin, f"url: '{server.url}', timeout: 1s")
    async with KeyedNode(text, tmp_path / "third") as one:
        await until(partial(serves, one, known))
        if fault == "killed":
            await asyncio.to_thread(server.stop)
        else:
            server.freeze(True)
        statuses = [await one.status(key) for key in (other, known, other)]
        assert statuses == [503, 200, 503]
        # The data plane may give up before the store does.
        await until(lambda: not one.keys.health.connected)
        assert one.keys.health.error
        assert "gatewright@" not in one.keys.health.error
        if fault == "killed":
            await asyncio.to_thread(server.start)
        else:
            server.freeze(False)
        await until(partial(serves, one, other))
        await until(lambda: one.keys.health.connected)


async def serves(node: KeyedNode, key: str) -> bool:
    return await node.status(key) == 200


async def test_a_node_that_starts_without_the_server_refuses_until_it_is_there(
    origin: Origin, server: Postgres, tmp_path: Path
) -> None:
    text = with_store(origin, f"url: '{server.url}'")
    async with KeyedNode(text, tmp_path) as first:
        _, key = await first.create()
    await asyncio.to_thread(server.stop)
    async with KeyedNode(text, tmp_path) as later:
        assert await later.status(key) == 503
        await asyncio.to_thread(server.start)
        await until(partial(serves, later, key))

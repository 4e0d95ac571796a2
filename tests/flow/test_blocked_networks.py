"""Networks blocked by hand on several nodes that share a Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from gateway import Node, Origin, RedisServer, get, one_route, until
from gatewright.control.block_sharing import NAME, BlockSharing
from gatewright.control.blocks import Blocks
from gatewright.control.configuration import block_sharing_settings

pytestmark = pytest.mark.needs("redis-server")


class BlockingNode:
    """A data plane with what blocks networks in a whole node."""

    def __init__(self, origin: Origin, url: str, directory: Path) -> None:
        sections = [
            f"redis: {{url: '{url}', timeout: 500ms, share_blocks: true}}",
            "screening: {max_blocks: 100}",
        ]
        self.node = Node(one_route(origin, "", *sections))
        self.blocks = Blocks(self.node.engine, directory / "blocks")
        self.sharing = BlockSharing(self.blocks)

    async def __aenter__(self) -> Self:
        assert self.node.loaded is not None
        gateway = self.node.loaded.gateway
        await self.blocks.use(gateway.screening.max_blocks)
        await self.sharing.use(block_sharing_settings(gateway))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.sharing.use(None)
        await asyncio.to_thread(self.node.stop)

    async def answers(self, status: int) -> bool:
        response = await asyncio.to_thread(get, self.node.address)
        return response.status == status


Pair = tuple[BlockingNode, BlockingNode]


@pytest.fixture
async def pair(origin: Origin, server: RedisServer, tmp_path: Path) -> AsyncIterator[Pair]:
    async with (
        BlockingNode(origin, server.url, tmp_path / "one") as one,
        BlockingNode(origin, server.url, tmp_path / "other") as other,
    ):
        await until(lambda: server.ask().pubsub_numsub(NAME)[0][1] == 2)
        yield one, other


async def test_what_one_node_blocks_and_unblocks_the_other_does(pair: Pair) -> None:
    one, other = pair
    assert await other.answers(200)
    await one.blocks.block("127.0.0.0/8", 60)
    assert await one.answers(403)
    await until(lambda: other.answers(403))
    await other.blocks.unblock("127.0.0.0/8")
    assert await other.answers(200)
    await until(lambda: one.answers(200))


async def test_a_redis_that_forgets_everything_unblocks_nobody(pair: Pair, server: RedisServer) -> None:
    one, other = pair
    await one.blocks.block("127.0.0.0/8", None)
    await until(lambda: other.answers(403))
    server.ask().flushall()
    server.ask().publish(NAME, "")
    await until(lambda: server.ask().hlen(NAME) == 1)
    assert await one.answers(403)
    assert await other.answers(403)


async def test_nodes_agree_when_redis_is_back(pair: Pair, server: RedisServer) -> None:
    one, other = pair
    server.kill()
    await until(lambda: not one.sharing.health.connected and not other.sharing.health.connected)
    await one.blocks.block("127.0.0.0/8", None)
    assert await one.answers(403), "a node alone blocks all the same"
    assert await other.answers(200)
    server.start()
    await until(lambda: other.answers(403))


async def test_what_no_node_wrote_is_removed(pair: Pair, server: RedisServer) -> None:
    one, _ = pair
    for entry in ("x", "[]", '{"network": "127.0.0.0/8", "since": 1}', '{"network": "::1", "since": "x"}'):
        server.ask().hset(NAME, "192.0.2.0/24", entry)
        server.ask().publish(NAME, "")
        await until(lambda: server.ask().hlen(NAME) == 0)
    assert await one.answers(200)
    assert one.blocks.active() == []

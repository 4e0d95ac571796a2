"""Blocked networks that nodes share by Redis: the hash `address-blocks` holds what was last decided of each
network, and the channel of the same name says that something was.

A node tells and reads at once when something was decided here or there, and every few seconds besides, so
that nothing is lost that was said while it could not listen. What Redis has not is told to it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from gatewright.control.blocks import Block, Blocks, is_news, read_block
from gatewright.reachability import Reachability
from gatewright.redis_clients import Place, bounded, connect, failures
from gatewright.tasks import end

log = logging.getLogger("gatewright.control")

NAME = "address-blocks"
AGREE_SECONDS = 5.0
REST_SECONDS = 1.0
MOST = 2_000_000
"""Entries of the hash that are read: what holds and what was lifted, on the largest bound."""


@dataclass(frozen=True, slots=True)
class BlockSharingSettings:
    """Which Redis. Seconds."""

    url: Place
    timeout: float


class BlockSharing:
    """One node's side. Belongs to one event loop."""

    def __init__(self, blocks: Blocks, clock: Callable[[], float] = time.time) -> None:
        self._blocks = blocks
        self._clock = clock
        self._settings: BlockSharingSettings | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self.health = Reachability()
        blocks.changed = self._wanted.set

    async def use(self, settings: BlockSharingSettings | None) -> None:
        """Share by these settings from now on; `None` for no more."""
        if settings == self._settings:
            return
        if self._task is not None:
            await end(self._task)
        self._settings, self._task, self.health = settings, None, Reachability()
        if settings is not None:
            self._task = asyncio.create_task(self._run(settings), name="block sharing")

    @property
    def is_used(self) -> bool:
        """Whether there is anybody to share with."""
        return self._settings is not None

    async def _run(self, settings: BlockSharingSettings) -> None:
        while True:
            try:
                async with connected(settings) as client:
                    await self._converse(client, settings)
            except failures() as error:
                self._failed(error)
            await asyncio.sleep(REST_SECONDS)

    async def _converse(self, client: Any, settings: BlockSharingSettings) -> None:
        async with client.pubsub(ignore_subscribe_messages=True) as subscription:
            async with asyncio.timeout(settings.timeout):
                await subscription.subscribe(NAME)
            listening = asyncio.create_task(self._listen(subscription))
            try:
                await self._agree_while(listening, client, settings)
            finally:
                await end(listening)

    async def _agree_while(
        self, listening: asyncio.Task[None], client: Any, settings: BlockSharingSettings
    ) -> None:
        while not listening.done():
            self._wanted.clear()
            async with asyncio.timeout(3 * settings.timeout):
                await self.agree(client)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGREE_SECONDS):
                    await self._wanted.wait()
        # It listens for ever unless the connection fails, and then says how.
        await listening

    async def _listen(self, subscription: Any) -> None:
        try:
            while True:
                if await subscription.get_message(timeout=AGREE_SECONDS) is not None:
                    self._wanted.set()
        finally:
            self._wanted.set()

    async def agree(self, client: Any) -> None:
        """Take what others decided later, and tell what they do not know. Raises errors of the client."""
        now = self._clock()
        count = await client.hlen(NAME)
        if count > MOST:
            message = f"`{NAME}` has {count} entries, which is too many to be what nodes wrote"
            raise ValueError(message)
        told = {name: sound(name, text) for name, text in (await client.hgetall(NAME)).items()}
        await self._blocks.learn(block for block in told.values() if block is not None)
        known = self._blocks.known()
        news = {name: block.text() for name, block in known.items() if is_news(block, told.get(name))}
        gone = [name for name, block in told.items() if block is None or not block.matters(now)]
        gone = [name for name in gone if name not in known]
        if news or gone:
            pipeline = client.pipeline(transaction=True)
            if gone:
                pipeline.hdel(NAME, *gone)
            if news:
                pipeline.hset(NAME, mapping=news)
                pipeline.publish(NAME, "")
            await pipeline.execute()
        self.health.answered(log, "blocked networks are shared")

    def _failed(self, error: Exception) -> None:
        message = "blocked networks are not shared: Redis cannot be asked; each node goes on with its own"
        self.health.failed(error, log, message)


def sound(name: str, text: str) -> Block | None:
    """The block of an entry, if it is one of this network. Others may write what they like there."""
    try:
        block = read_block(text)
    except (ValueError, TypeError):
        return None
    return block if block.network == name else None


@contextlib.asynccontextmanager
async def connected(settings: BlockSharingSettings) -> AsyncIterator[Any]:
    """A client of its own, whose connections go with it."""
    client = connect(settings.url, **bounded(settings.timeout, connections=2))
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(REST_SECONDS):
                await client.aclose(close_connection_pool=True)

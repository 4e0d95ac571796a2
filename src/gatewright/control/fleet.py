"""Which configurations the nodes that share a Redis have: the hash `config-digests` holds what each node says
of its own, with a count that goes up each time.

A node is there for as long as its count goes up, by the clock of whoever looks: clocks need not agree. An
entry that has stood still for an hour is taken away by whoever sees that, and has looked all the while: after
an outage of Redis, when no count could go up, everybody has an hour to come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gatewright.control.shared_store import StoreError
from gatewright.reachability import Reachability
from gatewright.redis_clients import RedisSettings, SingleConnection
from gatewright.tasks import end

log = logging.getLogger("gatewright.control")

NAME = "config-digests"
TELL_SECONDS = 5.0
# Some turns may be late before a node counts as gone.
ALIVE_SECONDS = 30.0
KEPT_SECONDS = 3600.0
LEAVE_SECONDS = 1.0
MOST = 10_000
"""Entries that are read; more are not what nodes wrote."""
ENTRY = re.compile(r"([0-9a-f]{8}) [0-9]{1,18}")


class FleetStore(SingleConnection):
    """The hash in Redis."""

    error = StoreError

    async def exchange(self, name: str, text: str | None) -> Mapping[str, str]:
        """Say this of oneself, if anything, and give what all say. Raises `StoreError`."""
        count = await self._within(self._client.hlen(NAME))
        if count > MOST:
            raise StoreError(f"`{NAME}` has {count} entries, which is too many to be what nodes wrote")
        if text is not None:
            await self._within(self._client.hset(NAME, name, text))
        return await self._within(self._client.hgetall(NAME))

    async def forget(self, names: list[str]) -> None:
        """Raises `StoreError`."""
        await self._within(self._client.hdel(NAME, *names))


@dataclass(slots=True)
class Seen:
    """What an entry said last, since when, and whether it ever said anything else."""

    text: str
    since: float
    moves: bool = False


class Fleet:
    """One node's side. Belongs to one event loop. `digest` is of the live configuration; none is not told."""

    def __init__(self, digest: Callable[[], str | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._digest = digest
        self._clock = clock
        # Not the name of the node: two processes may have the same for a while.
        self._name = secrets.token_hex(8)
        self._beat = 0
        self._seen: dict[str, Seen] = {}
        self._looked = self._looking_since = float("-inf")
        self._settings: RedisSettings | None = None
        self._task: asyncio.Task[None] | None = None
        self.health = Reachability()

    @property
    def digests(self) -> int:
        """How many configurations are live in the fleet; 0 where that is not known."""
        return len(set(self._alive())) if self.health.connected else 0

    @property
    def nodes(self) -> int:
        """How many nodes there are; 0 where that is not known."""
        return len(self._alive()) if self.health.connected else 0

    async def use(self, settings: RedisSettings | None) -> None:
        """Meet others there from now on; `None` for nowhere."""
        if settings == self._settings:
            return
        if self._task is not None:
            await end(self._task)
        self._settings, self._task, self.health, self._seen = settings, None, Reachability(), {}
        if settings is not None:
            self._task = asyncio.create_task(self._run(settings), name="fleet")

    def learn(self, told: Mapping[str, str]) -> list[str]:
        """Take what all say; give the names of entries that nobody needs any more."""
        now = self._clock()
        if now - self._looked > ALIVE_SECONDS:
            self._looking_since = now
        self._looked = now
        for name, text in told.items():
            seen = self._seen.get(name)
            if seen is None:
                self._seen[name] = Seen(text, now)
            elif seen.text != text:
                self._seen[name] = Seen(text, now, moves=True)
        self._seen = {name: seen for name, seen in self._seen.items() if name in told}
        if now - self._looking_since <= KEPT_SECONDS:
            return []
        return [name for name, seen in self._seen.items() if now - seen.since > KEPT_SECONDS]

    def _alive(self) -> list[str]:
        """The digest of every node that is there."""
        now = self._clock()
        fresh = [one for one in self._seen.values() if one.moves and now - one.since <= ALIVE_SECONDS]
        return [found[1] for one in fresh if (found := ENTRY.fullmatch(one.text)) is not None]

    async def _run(self, settings: RedisSettings) -> None:
        while True:
            try:
                await self._meet(settings)
            except Exception as error:
                # Whatever it is, the next attempt may go well, and nobody waits for this task to be told.
                self.health.failed(error, log, "nodes cannot compare their configurations")
            await asyncio.sleep(TELL_SECONDS)

    async def _meet(self, settings: RedisSettings) -> None:
        """Tell and look for as long as that goes well."""
        store = FleetStore(settings.target, settings.timeout)
        try:
            while True:
                await self._turn(store)
                await asyncio.sleep(TELL_SECONDS)
        except asyncio.CancelledError:
            await self._leave(store)
            raise
        finally:
            await store.close()

    async def _leave(self, store: FleetStore) -> None:
        """Let others know at once that this node is gone, if that is possible."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LEAVE_SECONDS):
                await store.forget([self._name])

    async def _turn(self, store: FleetStore) -> None:
        digest, self._beat = self._digest(), self._beat + 1
        text = None if digest is None else f"{digest} {self._beat}"
        gone = self.learn(await store.exchange(self._name, text))
        if gone:
            await store.forget(gone)
        self.health.answered(log, "nodes compare their configurations")

"""Redis as the place where nodes tell each other what was revoked: at once, and nothing is lost.

The hash `{revocations}:entries` holds every revocation by its id, `{revocations}:ends` when each is over,
`{revocations}:changes` counts changes, and the channel `{revocations}` tells each change with its number. Who
misses a number, or finds another one when it looks, reads the hash again. Entries of one id replace each
other by age, here as on each node, so that it does not matter who tells whom first. What a node has and Redis
has lost, it puts back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gatewright.reachability import Reachability
from gatewright.redis_clients import Place, bounded, connect_waiting, disconnect, failures
from gatewright.revocation.entries import Revocation, of_fields, of_text
from gatewright.tasks import end

log = logging.getLogger("gatewright.identity")

ENTRIES = "{revocations}:entries"
ENDS = "{revocations}:ends"
CHANGES = "{revocations}:changes"
CHANNEL = "{revocations}"
AT_ONCE = 500
REST_SECONDS = 1.0

_STORE = """
local news = {}
for place = 3, #ARGV, 3 do
  local id, ends, text = ARGV[place], ARGV[place + 1], ARGV[place + 2]
  local there = redis.call('HGET', KEYS[1], id)
  local is_news = true
  if there then
    local is_read, before = pcall(cjson.decode, there)
    if is_read and type(before) == 'table' and tonumber(before.changed_ms) then
      local after = cjson.decode(text)
      is_news = after.changed_ms > before.changed_ms
        or (after.changed_ms == before.changed_ms and before.restored == true and not after.restored)
    end
  end
  if is_news then
    redis.call('HSET', KEYS[1], id, text)
    redis.call('ZADD', KEYS[2], ends, id)
    news[#news + 1] = text
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[2], 'LIMIT', 0, 1000)) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
if #news > 0 then
  local number = redis.call('INCR', KEYS[3])
  redis.call('PUBLISH', ARGV[1], '{"number":' .. number .. ',"entries":[' .. table.concat(news, ',') .. ']}')
end
return #news
"""


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """Which Redis, and how often a node looks whether it has missed something. Times in seconds."""

    url: Place = field(repr=False)
    timeout: float = 0.5
    interval: float = 2.0


@dataclass(slots=True)
class SharingHealth(Reachability):
    """Whether Redis can be asked, and what went through it."""

    told: int = 0
    taken: int = 0


class Ledger(Protocol):
    """The revocations of this node."""

    def current(self) -> Mapping[str, Revocation]:
        """What is known, by id."""
        ...

    async def take(self, entries: Sequence[Revocation]) -> int:
        """Learn what another node has said; give how many were news."""
        ...


class SharedRevocations:
    """One node's side. No call fails; what could not be told is, when Redis is there again."""

    def __init__(
        self, settings: SharingSettings, ledger: Ledger, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._seen = -1
        # Something could not be told, though others may be heard.
        self._owes = False
        self.health = SharingHealth()
        self.first = asyncio.Event()
        """Everything that others had revoked is known, or Redis could not be asked."""
        self._client: Any = connect_waiting(
            settings.url, timeout=settings.timeout, **bounded(settings.timeout, connections=4)
        )
        self._listener = asyncio.create_task(self._run(), name="revocation sharing")

    async def tell(self, entries: Sequence[Revocation]) -> bool:
        """Tell every node at once; give whether Redis has taken them."""
        try:
            await self._store(entries)
        except failures() as error:
            self._owes = True
            self._failed(error)
            return False
        return True

    async def close(self) -> None:
        await end(self._listener)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(REST_SECONDS):
                await disconnect(self._client)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except Exception as error:
                # Whatever a server says, it ends this connection and not the sharing.
                self._failed(error)
            self.first.set()
            await asyncio.sleep(REST_SECONDS)

    async def _follow(self) -> None:
        """Hear what other nodes say, until the connection breaks."""
        async with self._client.pubsub(ignore_subscribe_messages=True) as subscription:
            await self._within(subscription.subscribe(CHANNEL))
            # Only now, so that nothing falls between the two.
            await self._exchange()
            looked = time.monotonic()
            while True:
                left = looked + self._settings.interval - time.monotonic()
                message = await subscription.get_message(timeout=min(max(left, 0.001), REST_SECONDS))
                if message is not None:
                    await self._hear(str(message["data"]))
                if self._owes or time.monotonic() >= looked + self._settings.interval:
                    await self._look()
                    looked = time.monotonic()

    async def _hear(self, text: str) -> None:
        try:
            told = json.loads(text)
            number, entries = int(told["number"]), [of_fields(one) for one in told["entries"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            # Others may say what they like under our names; a look finds what they hide.
            return
        await self._take(entry for entry in entries if entry is not None)
        if number == self._seen + 1:
            self._seen = number
        elif number > self._seen:
            await self._exchange()

    async def _look(self) -> None:
        """Has anything changed that was not heard? It also shows a connection that is silently gone."""
        number = await self._within(self._client.get(CHANGES))
        if self._owes or int(number or 0) != self._seen:
            await self._exchange()

    async def _exchange(self) -> None:
        """Read everything, and put there what is missing."""
        number = int(await self._within(self._client.get(CHANGES)) or 0)
        there: dict[str, tuple[int, bool]] = {}
        cursor: Any = 0
        while True:
            cursor, page = await self._within(self._client.hscan(ENTRIES, cursor, count=AT_ONCE))
            entries = [entry for entry in map(of_text, page.values()) if entry is not None]
            there.update((entry.id, (entry.changed_ms, not entry.restored)) for entry in entries)
            await self._take(entries)
            if int(cursor) == 0:
                break
        self._owes = False
        ours = self._ledger.current().values()
        missing = [one for one in ours if (one.changed_ms, not one.restored) > there.get(one.id, (-1, False))]
        # What is put there is heard in turn.
        self._seen = number
        for start in range(0, len(missing), AT_ONCE):
            await self._store(missing[start : start + AT_ONCE])
        self.health.answered(log, "revocations of tokens are shared")
        self.first.set()

    async def _take(self, entries: Iterable[Revocation]) -> None:
        self.health.taken += await self._ledger.take(list(entries))

    async def _store(self, entries: Sequence[Revocation]) -> None:
        for start in range(0, len(entries), AT_ONCE):
            told: list[object] = [CHANNEL, int(self._clock() * 1000)]
            for entry in entries[start : start + AT_ONCE]:
                told += (entry.id, entry.until_ms, entry.text())
            stored = await self._within(self._client.eval(_STORE, 3, ENTRIES, ENDS, CHANGES, *told))
            self.health.told += int(stored)

    async def _within(self, command: Awaitable[Any]) -> Any:
        # A server that drips bytes keeps each of the client's own waits short; this is for all of them.
        async with asyncio.timeout(3 * self._settings.timeout):
            return await command

    def _failed(self, error: Exception) -> None:
        message = "revocations of tokens are not shared: Redis cannot be asked; they are told when it can"
        self.health.failed(error, log, message)

"""Redis as a memory that nodes share: whose keys were looked up, and, told at once, which were changed.

`apikey:SHA256` of a key holds what the data plane needs of it, for as long as `cache_ttl` says, never the
key and never its keyed hash. Every entry carries the generation in which it was looked up, and a code under
the store's secret: whoever can write to Redis can neither invent an entry nor move one to another key. A
change of any key begins a new generation, which makes all entries void, also those that are just being
written.

Nothing is believed because Redis is silent: a node that has seen a change and could not begin a new
generation reads nothing there until it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatewright.keystore.keys import Found
from gatewright.reachability import Reachability
from gatewright.redis_clients import Place, bounded, connect_waiting, disconnect
from gatewright.tasks import end

log = logging.getLogger("gatewright.identity")

PREFIX = "apikey:"
GENERATION = "apikey-generation"
CHANNEL = "apikey-changes"
CONNECTIONS = 16
MOST_IDS = 1000
REST_SECONDS = 1.0
LISTEN_SECONDS = 1.0

Forget = Callable[[Sequence[str] | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """Which Redis, for how long. Times in seconds."""

    url: Place = field(repr=False)
    timeout: float = 0.5
    ttl: float = 300.0


@dataclass(slots=True)
class SharingHealth(Reachability):
    """Whether Redis can be asked, and what was found there."""

    hits: int = 0


class SharedKeys:
    """One node's side. No call fails: without Redis there is nothing there."""

    def __init__(
        self,
        settings: SharingSettings,
        secret: str,
        forget: Forget,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._secret = secret.encode()
        self._forget = forget
        self._clock = clock
        # What was changed before this node began may be there still.
        self._owes_generation = True
        self._rests_until = 0.0
        self.health = SharingHealth()
        self._client: Any = connect_waiting(
            settings.url, timeout=settings.timeout, **bounded(settings.timeout, connections=CONNECTIONS)
        )
        self._listener = asyncio.create_task(self._listen(), name="key sharing")

    async def find(self, digest: str) -> tuple[Found | None, str | None]:
        """What another node has looked up, and the generation to keep a look-up of one's own in."""
        if not await self._may_read():
            return None, None
        answer = await self._ask(lambda: self._client.mget(PREFIX + digest, GENERATION))
        if not is_pair(answer):
            return None, None
        entry, generation = answer
        if generation is None:
            # Redis has forgotten everything, or has never known anything.
            generation = await self._begin()
        if entry is None or generation is None:
            return None, generation
        found = self._read(digest, entry, generation)
        self.health.hits += found is not None
        return found, generation

    async def keep(self, digest: str, found: Found, generation: str) -> None:
        """Tell others what was looked up; it began in this generation."""
        until = int((self._clock() + self._settings.ttl) * 1000)
        document: dict[str, Any] = {
            "id": found.id,
            "partner_id": found.entry["partner"],
            "tier": found.entry["tier"],
            "scopes": found.entry["scopes"],
            "expires_at": found.entry["expires_at_ms"],
            "networks": found.entry["networks"],
            "until": until,
            "generation": generation,
        }
        document["code"] = self._code(digest, document)
        lifetime = max(1, int(self._settings.ttl * 1000))
        await self._ask(lambda: self._client.set(PREFIX + digest, json.dumps(document), px=lifetime))

    def owe_generation(self) -> None:
        """Something was changed: nothing is read any more before a new generation has begun."""
        self._owes_generation = True

    async def changed(self, ids: Sequence[str] | None, tell: bool) -> None:
        """Keys were changed: what is there of them is void from now on, and `tell` lets other nodes know."""
        self.owe_generation()
        if await self._begin() is not None and tell:
            await self._ask(lambda: self._client.publish(CHANNEL, json.dumps(ids and list(ids))))

    async def close(self) -> None:
        await end(self._listener)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(REST_SECONDS):
                await disconnect(self._client)

    async def _may_read(self) -> bool:
        if time.monotonic() < self._rests_until:
            return False
        return not self._owes_generation or await self._begin() is not None

    async def _begin(self) -> str | None:
        """A new generation; `None` where Redis cannot be asked."""
        generation = secrets.token_hex(8)
        if await self._ask(lambda: self._client.set(GENERATION, generation)) is None:
            return None
        self._owes_generation = False
        return generation

    def _read(self, digest: str, text: str, generation: str) -> Found | None:
        """The entry, where it is ours, of this generation, and not too old."""
        try:
            document = json.loads(text)
            code = str(document.pop("code"))
            if not hmac.compare_digest(code.encode(), self._code(digest, document).encode()):
                return None
            left = document["until"] / 1000 - self._clock()
            if document["generation"] != generation or left <= 0:
                return None
            entry: Mapping[str, Any] = {
                "id": document["id"],
                "partner": document["partner_id"],
                "tier": document["tier"],
                "scopes": document["scopes"],
                "expires_at_ms": document["expires_at"],
                "networks": document["networks"],
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            # Others may write what they like under our names.
            return None
        return Found(str(entry["id"]), entry, ttl_ms=int(min(left, self._settings.ttl) * 1000))

    def _code(self, digest: str, document: Mapping[str, Any]) -> str:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hmac.new(self._secret, f"shared\0{digest}\0{text}".encode(), hashlib.sha256).hexdigest()

    async def _ask(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """The answer; `None` where there is none in time, and then nobody asks for a second."""
        try:
            answer = await command()
        except Exception as error:
            # The client raises whatever it meets in an answer that it cannot read.
            self._failed(error)
            return None
        self.health.answered(log, "keys are shared")
        return answer

    def _failed(self, error: Exception) -> None:
        message = "keys are not shared: Redis cannot be asked; each node goes on by itself"
        self.health.failed(error, log, message)
        self._rests_until = time.monotonic() + REST_SECONDS

    async def _listen(self) -> None:
        """Hear for ever what other nodes tell."""
        while True:
            with contextlib.suppress(Exception):
                # What is missed meanwhile is seen in the database, a little later.
                await self._hear()
            await asyncio.sleep(REST_SECONDS)

    async def _hear(self) -> None:
        async with self._client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(CHANNEL)
            while True:
                message = await subscription.get_message(timeout=LISTEN_SECONDS)
                if message is not None:
                    await self._forget(ids_of(message["data"]))


def is_pair(answer: object) -> bool:
    """Are these two texts or nothing, as a Redis answers?"""
    is_list = isinstance(answer, list) and len(answer) == 2
    return is_list and all(one is None or isinstance(one, str) for one in answer)


def ids_of(text: object) -> Sequence[str] | None:
    """The ids that were told; `None`, for all, where that is not understood."""
    try:
        ids = json.loads(str(text))
    except ValueError:
        return None
    is_sound = isinstance(ids, list) and len(ids) <= MOST_IDS and all(isinstance(one, str) for one in ids)
    return ids if is_sound else None

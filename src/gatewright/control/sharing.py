"""Breakers that several nodes share: what one node's breaker did, the others' do within a second (BH-18).

Each node goes on with its own breakers whatever becomes of the store: it is told and asked once in an
interval, never by a request. The hash `circuit:SERVICE` holds `state`, `failure_count`, `last_failure_at`
and `opened_at` (Unix seconds) of whoever changed last.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gatewright.control.shared_store import RedisStore, StoreError
from gatewright.reachability import Reachability
from gatewright.redis_clients import Place
from gatewright.tasks import end

log = logging.getLogger("gatewright.control")

STATES = frozenset({"closed", "open", "half_open"})
NOT_OURS = frozenset({"shared", "opened_by_hand", "closed_by_hand"})
"""Reasons of changes that are told to nobody: others know them, or they hold on this node alone."""

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """With whom, how often, and which breakers with how long they stay open. Times in seconds."""

    url: Place
    timeout: float
    interval: float
    open_for: Mapping[str, float]


class Store(Protocol):
    """Where nodes meet. Both calls raise `StoreError`, and within their deadline."""

    async def read(self, services: Sequence[str]) -> dict[str, Fields]:
        """What is known of each; services of which nothing usable is known are left out."""
        ...

    async def write(self, service: str, fields: Fields) -> None: ...

    async def close(self) -> None: ...


class Breakers(Protocol):
    """What sharing needs of the data plane."""

    def state(self) -> bytes: ...
    def set_breaker(self, name: str | None, change: bytes) -> int: ...


@dataclass(slots=True)
class Seen:
    """What was last known of one breaker, here and there."""

    transitions: int | None = None
    remote: Fields | None = None


@dataclass(slots=True)
class Health(Reachability):
    """Whether the store can be asked, when it was last, and what went through it."""

    last: float | None = None
    pushed: int = 0
    taken: int = 0
    seen: dict[str, Seen] = field(default_factory=dict)


class BreakerSharing:
    """Tells the store what this node's breakers do, and the breakers what the store says."""

    def __init__(
        self,
        engine: Breakers,
        connect: Callable[[SharingSettings], Store] = lambda settings: RedisStore(
            settings.url, settings.timeout
        ),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._connect = connect
        self._clock = clock
        self._settings: SharingSettings | None = None
        self._task: asyncio.Task[None] | None = None
        self.health = Health()

    async def use(self, settings: SharingSettings | None) -> None:
        """Share by these settings from now on; `None` for no more."""
        if settings == self._settings:
            return
        if self._task is not None:
            await end(self._task)
        self._settings, self._task, self.health = settings, None, Health()
        if settings is not None:
            self._task = asyncio.create_task(self._run(settings), name="breaker sharing")

    def state(self) -> dict[str, Any] | None:
        """For the admin API; `None` where nothing is shared."""
        if self._settings is None:
            return None
        health = self.health
        age = None if health.last is None else round(self._clock() - health.last, 3)
        return {"store": "redis", "age_seconds": age, **health.state()}

    async def _run(self, settings: SharingSettings) -> None:
        store: Store | None = None
        try:
            while True:
                try:
                    store = store or self._connect(settings)
                    await self.exchange(store, settings)
                    self.health.answered(log, "breakers are shared")
                    self.health.last = self._clock()
                except StoreError as error:
                    self._failed(error)
                    # A connection on which an answer is still due would shift all later ones.
                    store = await closed(store)
                await asyncio.sleep(settings.interval)
        finally:
            await closed(store)

    def _failed(self, error: StoreError) -> None:
        message = "breakers are not shared: the store cannot be asked; each node goes on with its own"
        self.health.failed(error, log, message)
        for seen in self.health.seen.values():
            # What was changed meanwhile is unknown: the next look is a first one.
            seen.remote = None

    async def exchange(self, store: Store, settings: SharingSettings) -> None:
        """Look once at both sides and tell each what is news to it. Raises `StoreError`."""
        state = json.loads(await asyncio.to_thread(self._engine.state))
        remote = await store.read(list(settings.open_for))
        for local in own_breakers(state):
            name = str(local["name"])
            if name not in settings.open_for:
                continue
            seen = self.health.seen.setdefault(name, Seen())
            found = remote.get(name, {})
            if is_news(local, seen, found):
                told = fields_of(local)
                await store.write(name, told)
                self.health.pushed += 1
                seen.remote = told
            else:
                change = news(found, seen.remote, settings.open_for[name], self._clock())
                if change is not None:
                    document = json.dumps(change).encode()
                    self.health.taken += await asyncio.to_thread(self._engine.set_breaker, name, document)
                seen.remote = found
            seen.transitions = int(local["transitions"])


async def closed(store: Store | None) -> None:
    """Close what was opened."""
    if store is not None:
        await store.close()


def own_breakers(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The breakers of whole services."""
    listed = [one for service in state.get("services", []) for one in service.get("breakers", [])]
    return [
        one
        for one in listed
        if one["route"] is None and one["instance"] is None and one.get("tenant") is None
    ]


def is_news(local: Mapping[str, Any], seen: Seen, remote: Fields) -> bool:
    """Has this node's breaker changed by itself since the last look, or does nobody know that it is open?"""
    if local["held"] is not None or not local["recent"] or local["recent"][-1]["reason"] in NOT_OURS:
        return False
    is_first = seen.transitions is None
    unknown = local["state"] != "closed" and (is_first or not remote)
    return unknown or (not is_first and local["transitions"] != seen.transitions)


def fields_of(local: Mapping[str, Any]) -> dict[str, str]:
    """What the hash holds of a breaker."""
    opening = next((one for one in reversed(local["recent"]) if one["to"] == "open"), None)
    failed = local["failed_ms"]
    return {
        "state": str(local["state"]),
        "failure_count": str(opening["counted"]["failures"] if opening else 0),
        "last_failure_at": f"{failed / 1000:.3f}" if failed else "0",
        "opened_at": f"{opening['at_ms'] / 1000:.3f}" if opening else "0",
    }


def news(found: Fields, before: Fields | None, open_for: float, now: float) -> dict[str, Any] | None:
    """What another node's change means to this one. A first look takes an opening that still lasts, nothing
    else: who closed what before it, nobody knows.
    """
    if not found or dict(found) == before or found["state"] not in STATES:
        return None
    if found["state"] == "open":
        # Clocks differ: never longer than an opening of our own.
        left = min(float(found["opened_at"]) + open_for - now, open_for)
        return {"action": "shared_open", "for_ms": int(left * 1000)} if left > 0 else None
    if found["state"] == "closed" and before is not None:
        return {"action": "shared_closed"}
    return None

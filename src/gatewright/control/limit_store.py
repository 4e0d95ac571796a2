"""Limits that nodes count together in Redis, as people see them: an alert while Redis is not asked, and
counters forgotten there. Requests are the data plane's matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import json
import logging
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from gatewright.control.shared_store import StoreError
from gatewright.redis_clients import Place, connect, disconnect, failures
from gatewright.tasks import end

log = logging.getLogger("gatewright.alerts")

LOOK_SECONDS = 1.0
RESET_SECONDS = 30.0
BATCH = 500

_PLAIN = re.compile(r"[A-Za-z0-9\-_.:@/]*")
_LONGEST = 96


class Limiter(Protocol):
    """What this needs of the data plane."""

    def limit_store(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LimitStoreSettings:
    """Which Redis, and the shared tiers with the length of their prefixes of IPv6. Times in seconds."""

    url: Place = field(repr=False)
    timeout: float
    tiers: Mapping[str, int]


class LimitStore:
    """Watches how the data plane stands with Redis, once a second."""

    def __init__(self, engine: Limiter) -> None:
        self._engine = engine
        self._settings: LimitStoreSettings | None = None
        self._task: asyncio.Task[None] | None = None
        self.alerts = 0
        self.is_well = True

    async def use(self, settings: LimitStoreSettings | None) -> None:
        """Watch this one from now on; `None` for no more."""
        if settings == self._settings:
            return
        if self._task is not None:
            await end(self._task)
        self._settings, self._task, self.is_well = settings, None, True
        if settings is not None:
            self._task = asyncio.create_task(self._run(), name="limit store")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look(json.loads(await asyncio.to_thread(self._engine.limit_store)))

    def look(self, state: Mapping[str, Any] | None) -> None:
        """Say in the log when Redis ceases to be asked, and when it is asked again."""
        if state is None:
            return
        is_well = not state["open_workers"] and (
            state["connected_workers"] == state["workers"] or state["error"] is None
        )
        if is_well == self.is_well:
            return
        self.is_well = is_well
        if is_well:
            log.info("shared limits are counted in Redis again")
            return
        self.alerts += 1
        log.error(
            "shared limits are not counted in Redis; each route's `on_failure` decides",
            extra={"alert": "limit_store_unavailable", "error": state["error"], "nodes": state["nodes"]},
        )

    async def reset(self, tier: str | None, caller: str | None) -> int:
        """Forget counters in Redis: of one tier, one caller, both, or all; give how many.

        Raises `StoreError`.
        """
        settings = self._settings
        if settings is None or (tier is not None and tier not in settings.tiers):
            return 0
        tiers = settings.tiers if tier is None else {tier: settings.tiers[tier]}
        try:
            async with asyncio.timeout(RESET_SECONDS):
                return await _forget(settings, tiers, caller)
        except TimeoutError as error:
            message = "Redis does not answer"
            raise StoreError(message) from error


async def _forget(settings: LimitStoreSettings, tiers: Mapping[str, int], caller: str | None) -> int:
    seconds = settings.timeout
    client: Any = None
    try:
        client = connect(
            settings.url, socket_timeout=seconds, socket_connect_timeout=seconds, decode_responses=True
        )
        return sum([await _forget_tier(client, tier, tiers[tier], caller) for tier in tiers])
    except failures() as error:
        raise StoreError(str(error) or type(error).__name__) from error
    finally:
        if client is not None:
            with contextlib.suppress(Exception):
                await disconnect(client)


async def _forget_tier(client: Any, tier: str, prefix: int, caller: str | None) -> int:
    wanted = None if caller is None else set(texts_of(caller, prefix))
    count = 0
    async for name in client.scan_iter(match=f"rate:{{*}}:{tier}", count=BATCH):
        if wanted is None or is_of(str(name), wanted):
            count += await client.unlink(name)
    return count


def texts_of(caller: str, prefix: int) -> Iterable[str]:
    """Under which names a caller, as `gatewright limits` shows it, may be counted: those that
    `limit/shared/line.rs` writes.
    """
    yield _part(caller, prefix)
    if "+" in caller:
        yield "+".join(_part(part, prefix) for part in caller.split("+"))


def is_of(name: str, wanted: Set[str]) -> bool:
    """Is it the name of a counter of one of these callers, or of whom one of them is a part?"""
    subject = name.removeprefix("rate:{").partition("}:")[0]
    return subject in wanted or not wanted.isdisjoint(subject.split("+"))


def _part(text: str, prefix: int) -> str:
    kind, _, value = text.partition(":")
    if kind == "api_key":
        return f"apikey:{_digest(value)}"
    if kind == "ip" and ":" in value and "/" not in value:
        with contextlib.suppress(ValueError):
            text = f"ip:{ipaddress.ip_network((value, prefix), strict=False)}"
    if len(text.encode()) > _LONGEST or _PLAIN.fullmatch(text) is None:
        return f"{kind}#{_digest(text)}"
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]

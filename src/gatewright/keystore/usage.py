"""What keys were used for: taken from the data plane and written in batches, off every request's path."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Protocol

from gatewright.keystore.leaks import LeakWatch
from gatewright.keystore.settings import LeakSettings
from gatewright.keystore.store import HOUR_MS, KeyStore, Use

log = logging.getLogger("gatewright.identity")

# Keys and hours that wait for a store that cannot be written; further ones are lost and counted.
MOST_PENDING = 100_000


class UseSource(Protocol):
    """Where uses come from: the data plane."""

    def key_uses(self) -> bytes: ...


class UsageWriter:
    """Collects uses until they can be written."""

    def __init__(self, engine: UseSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._pending: dict[tuple[str, int], Use] = {}
        # Whoever writes what is left would otherwise return while another one still writes what was before.
        self._one_at_a_time = asyncio.Lock()
        self.leaks = LeakWatch(None)
        self.written = 0
        self.lost = 0

    def use(self, leaks: LeakSettings | None) -> None:
        """Look for leaks by these settings from now on."""
        if leaks != self.leaks.settings:
            self.leaks = LeakWatch(leaks, self.leaks.alerts)

    async def write(self, store: KeyStore) -> None:
        """Take what is new and write all that waits; what cannot be written stays. Raises `KeyStoreError`.

        When this returns, all uses up to now are written, whoever took them.
        """
        async with self._one_at_a_time:
            await self._write(store)

    async def _write(self, store: KeyStore) -> None:
        for told in json.loads(await asyncio.to_thread(self._engine.key_uses)):
            self.leaks.look(told["id"], told["networks"], self._clock())
            self._add(
                Use(
                    told["id"], told["last_ms"] - told["last_ms"] % HOUR_MS, told["requests"], told["last_ms"]
                )
            )
        if not self._pending:
            return
        taken, self._pending = self._pending, {}
        try:
            await store.used(list(taken.values()))
        except BaseException:
            for use in taken.values():
                self._add(use)
            raise
        self.written += len(taken)

    def _add(self, use: Use) -> None:
        key = (use.id, use.hour_ms)
        before = self._pending.get(key)
        if before is None and len(self._pending) >= MOST_PENDING:
            self.lost += 1
            return
        requests, last = (before.requests, before.last_ms) if before else (0, 0)
        self._pending[key] = Use(use.id, use.hour_ms, requests + use.requests, max(last, use.last_ms))

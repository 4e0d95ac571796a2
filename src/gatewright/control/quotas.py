"""Quotas of days and months that outlive the process: what the data plane counts is added to a file every few
seconds, and counted on from there after a restart.

A node that is killed forgets what was counted since the last time, `node.quota_save_interval` at most.
What is
written are additions, so two processes (one that takes over from the other) may both write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gatewright.errors import EngineError

log = logging.getLogger("gatewright.control")

LINES = 10_000
"""Callers in one batch, up and down."""

BUSY_SECONDS = 2.0

_TABLE = """CREATE TABLE IF NOT EXISTS quotas (
    tier TEXT, caller TEXT, period INTEGER, ends_ms INTEGER, used INTEGER,
    PRIMARY KEY (tier, caller, period)
) WITHOUT ROWID"""
_ADD = """INSERT INTO quotas VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (tier, caller, period) DO UPDATE SET used = used + excluded.used"""


class Quotas(Protocol):
    """What this needs of the data plane."""

    def take_quotas(self, maximum: int) -> bytes | None: ...
    def restore_quotas(self, quotas: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """The tiers whose counts are kept, and how often; seconds."""

    tiers: tuple[str, ...]
    interval: float


class QuotaFile:
    """The SQLite file. Each call opens and closes it, since calls come from threads of a pool; all raise
    `sqlite3.Error`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, batch: bytes, now_ms: int) -> None:
        """Add a batch of the data plane, all of it or nothing, and forget periods that are over."""
        rows = [
            (one["tier"], json.dumps(one["caller"]), one["period"], one["ends_ms"], one["used"])
            for one in json.loads(batch)
        ]
        with contextlib.closing(self._open()) as connection, connection:
            connection.executemany(_ADD, rows)
            connection.execute("DELETE FROM quotas WHERE ends_ms <= ?", (now_ms,))

    def batches(self, tiers: Sequence[str], now_ms: int) -> Iterator[bytes]:
        """Give what is stored of these tiers, in batches that the data plane takes."""
        if not self._path.exists():
            return
        marks = ",".join("?" * len(tiers))
        query = (
            f"SELECT tier, caller, period, ends_ms, used FROM quotas WHERE ends_ms > ? AND tier IN ({marks})"  # noqa: S608 - marks alone.
        )
        with contextlib.closing(self._open()) as connection:
            cursor = connection.execute(query, (now_ms, *tiers))
            while rows := cursor.fetchmany(LINES):
                yield json.dumps([self._line(row) for row in rows]).encode()

    def _line(self, row: Sequence[Any]) -> dict[str, Any]:
        tier, caller, period, ends_ms, used = row
        return {
            "tier": tier,
            "caller": json.loads(caller),
            "period": period,
            "ends_ms": ends_ms,
            "used": used,
        }

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(_TABLE)
        return connection


class QuotaKeeper:
    """Keeps the quotas of one node. Belongs to one event loop."""

    def __init__(self, engine: Quotas, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._file = QuotaFile(path)
        self._clock = clock
        self._settings = QuotaSettings((), 1.0)
        self._restored: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        # Told rather than cancelled: a batch that is being written must not be written again.
        self._enough = asyncio.Event()
        # Taken from the data plane and not stored yet: kept until it is.
        self._batch: bytes | None = None
        self.saves = 0
        self.failures = 0

    async def use(self, settings: QuotaSettings) -> None:
        """Keep these tiers from now on. Call it when their configuration is live: what was stored is
        counted on
        from then.
        """
        await self._stop()
        self._settings = settings
        await self._restore()
        if settings.tiers or self._restored:
            self._task = asyncio.create_task(self._run(), name="quotas")

    async def close(self) -> None:
        """Store what is left. Call it when the data plane counts no more."""
        await self._stop()
        await self.save()

    async def save(self) -> bool:
        """Store everything that was counted since the last time; give whether that worked."""
        while self._batch is not None or await self._take():
            batch = self._batch or b"[]"
            try:
                await asyncio.to_thread(self._file.add, batch, self._now_ms())
            except (sqlite3.Error, OSError) as error:
                self.failures += 1
                log.error("quotas cannot be stored", extra={"error": str(error)})
                return False
            self._batch = None
            self.saves += 1
        return True

    async def _take(self) -> bool:
        self._batch = await asyncio.to_thread(self._engine.take_quotas, LINES)
        return self._batch is not None

    async def _restore(self) -> None:
        """Count on from what is stored, once for each tier: later its counts are in memory."""
        new = [tier for tier in self._settings.tiers if tier not in self._restored]
        if not new:
            return
        try:
            count = await asyncio.to_thread(self._give_back, new)
        except (sqlite3.Error, OSError, ValueError, EngineError) as error:
            self.failures += 1
            log.error("stored quotas cannot be read; they count from zero", extra={"error": str(error)})
            return
        self._restored.update(new)
        log.info("quotas restored", extra={"tiers": len(new), "callers": count})

    def _give_back(self, tiers: Sequence[str]) -> int:
        batches = self._file.batches(tiers, self._now_ms())
        return sum(self._engine.restore_quotas(batch) for batch in batches)

    async def _run(self) -> None:
        while not self._enough.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._settings.interval)
            await self.save()

    async def _stop(self) -> None:
        self._enough.set()
        if self._task is not None:
            await self._task
        self._task = None
        self._enough.clear()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

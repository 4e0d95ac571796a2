"""Bans that outlive the process and hold on every node.

What the data plane says of bans that began or were lifted is stored in a file, and, where nodes share a
Redis, told to the others by a stream there: every node tells and looks once in an interval, never by a
request. While Redis cannot be asked, each node goes on with its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gatewright.control.ban_stream import BanStream, StreamError
from gatewright.errors import EngineError
from gatewright.reachability import Reachability
from gatewright.redis_clients import Place

log = logging.getLogger("gatewright.control")

LINES = 1_000
"""Bans in one batch, up and down."""

MOST_UNTOLD = 10_000
"""Bans that wait for a Redis that cannot be asked; of more, the oldest are not told."""

BUSY_SECONDS = 2.0

_TABLE = """CREATE TABLE IF NOT EXISTS bans (
    tier TEXT, caller TEXT, until_ms INTEGER, bans INTEGER, ends_ms INTEGER, PRIMARY KEY (tier, caller)
) WITHOUT ROWID"""

Line = dict[str, Any]


class Bans(Protocol):
    """What this needs of the data plane."""

    def take_bans(self, maximum: int) -> bytes | None: ...
    def restore_bans(self, bans: bytes) -> int: ...
    def lift_bans(self, tier: str | None, caller: str | None) -> int: ...


class Stream(Protocol):
    """Where nodes meet. Every call raises `StreamError`, and within its deadline."""

    async def tell(self, entries: Sequence[str]) -> None: ...
    async def hear(self, after: str) -> tuple[str, list[str]]:
        """What came after a place in the stream, and the place to ask from next."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BanSettings:
    """The tiers that ban, how often bans are stored and told (seconds), and the Redis that is shared."""

    tiers: tuple[str, ...]
    interval: float
    url: Place | None = field(default=None, repr=False)
    timeout: float = 0.5


@dataclass(slots=True)
class SharingHealth(Reachability):
    """Whether other nodes can be told, and what was."""

    told: int = 0
    taken: int = 0


class BanFile:
    """The SQLite file. Each call opens and closes it, since calls come from threads of a pool; all raise
    `sqlite3.Error`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def store(self, lines: Sequence[Line], now_ms: int) -> None:
        """Take over what was told, all of it or nothing, and forget what is over."""
        with contextlib.closing(self._open()) as connection, connection:
            for line in lines:
                key = (line["tier"], json.dumps(line["caller"]))
                connection.execute("DELETE FROM bans WHERE tier = ? AND caller = ?", key)
                if line["until_ms"]:
                    values = (*key, line["until_ms"], line["bans"], line["ends_ms"])
                    connection.execute("INSERT INTO bans VALUES (?, ?, ?, ?, ?)", values)
            connection.execute("DELETE FROM bans WHERE ends_ms <= ?", (now_ms,))

    def lines(self, now_ms: int) -> list[Line]:
        """What is stored and not over."""
        if not self._path.exists():
            return []
        with contextlib.closing(self._open()) as connection:
            rows = connection.execute("SELECT * FROM bans WHERE ends_ms > ?", (now_ms,)).fetchall()
        names = ("tier", "caller", "until_ms", "bans", "ends_ms")
        return [dict(zip(names, row, strict=True)) | {"caller": json.loads(row[1])} for row in rows]

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(_TABLE)
        return connection


class BanKeeper:
    """Keeps and tells the bans of one node. Belongs to one event loop."""

    def __init__(
        self,
        engine: Bans,
        path: Path,
        connect: Callable[[Place, float], Stream] = BanStream,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._file = BanFile(path)
        self._connect = connect
        self._clock = clock
        # What this node told comes back to it, and is none of its business.
        self._name = secrets.token_hex(8)
        self._settings = BanSettings((), 1.0)
        self._stream: Stream | None = None
        self._heard = "0-0"
        self._unsaved: list[Line] = []
        self._untold: list[Line] = []
        self._task: asyncio.Task[None] | None = None
        self._enough = asyncio.Event()
        # One at a time: what was taken first is stored and told first.
        self._working = asyncio.Lock()
        self.failures = 0
        self.sharing = SharingHealth()

    async def use(self, settings: BanSettings) -> None:
        """Keep bans by these settings from now on. Call it when their configuration is live: what was stored
        or told before holds from then.
        """
        await self._stop()
        new = set(settings.tiers) - set(self._settings.tiers)
        moved = (settings.url, settings.timeout) != (self._settings.url, self._settings.timeout)
        self._settings = settings
        if new or moved:
            # Others may have told of tiers that this node did not know then.
            await self._leave()
        if moved:
            self.sharing = SharingHealth()
        if new:
            await self._restore()
        if settings.tiers:
            self._task = asyncio.create_task(self._run(), name="bans")

    async def close(self) -> None:
        """Store and tell what is left."""
        await self._stop()
        await self.exchange()
        await self._leave()

    def state(self) -> dict[str, Any] | None:
        """For the admin API; `None` where bans are not shared."""
        if self._settings.url is None or not self._settings.tiers:
            return None
        return self.sharing.state()

    async def lift(self, tier: str | None, caller: str | None) -> int:
        """End bans here and, as soon as they can be told, everywhere; give how many ended here."""
        count = await asyncio.to_thread(self._engine.lift_bans, tier, caller)
        await self.exchange()
        return count

    async def exchange(self) -> None:
        """Store and tell once what is new here, and take what is new elsewhere. Never fails."""
        async with self._working:
            await self._take()
            await self._save()
            if self._settings.url is not None and self._settings.tiers:
                await self._share(self._settings.url)

    async def _take(self) -> None:
        while batch := await asyncio.to_thread(self._engine.take_bans, LINES):
            lines = json.loads(batch)
            self._unsaved += lines
            if self._settings.url is not None:
                self._untold = [*self._untold, *lines][-MOST_UNTOLD:]

    async def _save(self) -> None:
        if not self._unsaved:
            return
        try:
            await asyncio.to_thread(self._file.store, self._unsaved, self._now_ms())
        except (sqlite3.Error, OSError) as error:
            self.failures += 1
            # The latest of each caller says it all.
            latest = {(line["tier"], json.dumps(line["caller"])): line for line in self._unsaved}
            self._unsaved = list(latest.values())[-MOST_UNTOLD:]
            log.error("bans cannot be stored", extra={"error": str(error)})
            return
        self._unsaved = []

    async def _share(self, url: Place) -> None:
        try:
            if self._stream is None:
                self._stream, self._heard = self._connect(url, self._settings.timeout), "0-0"
            if self._untold:
                entries = [json.dumps({"by": self._name, "ban": line}) for line in self._untold]
                await self._stream.tell(entries)
                self.sharing.told += len(entries)
                self._untold = []
            await self._hear(self._stream)
        except StreamError as error:
            self._failed(error)
            # A connection on which an answer is still due would shift all later ones.
            await self._leave()
            return
        self.sharing.answered(log, "bans are shared")

    async def _hear(self, stream: Stream) -> None:
        while True:
            place, entries = await stream.hear(self._heard)
            if place == self._heard:
                return
            lines = [line for entry in entries if (line := told_by_another(entry, self._name)) is not None]
            if lines:
                self.sharing.taken += await asyncio.to_thread(
                    self._engine.restore_bans, json.dumps(lines).encode()
                )
                # Stored as well: this node may start again while Redis is away.
                self._unsaved += [line for line in lines if is_sound(line)]
                await self._save()
            self._heard = place

    async def _restore(self) -> None:
        """Let hold what is stored. What holds already is not changed by it."""
        try:
            lines = await asyncio.to_thread(self._file.lines, self._now_ms())
            count = 0
            for start in range(0, len(lines), LINES):
                batch = json.dumps(lines[start : start + LINES]).encode()
                count += await asyncio.to_thread(self._engine.restore_bans, batch)
        except (sqlite3.Error, OSError, ValueError, EngineError) as error:
            self.failures += 1
            log.error("stored bans cannot be read", extra={"error": str(error)})
            return
        if count:
            log.info("bans restored", extra={"callers": count})

    def _failed(self, error: StreamError) -> None:
        message = "bans are not shared: Redis cannot be asked; each node goes on with its own"
        self.sharing.failed(error, log, message)

    async def _leave(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _run(self) -> None:
        while not self._enough.is_set():
            await self.exchange()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._settings.interval)

    async def _stop(self) -> None:
        self._enough.set()
        if self._task is not None:
            await self._task
        self._task = None
        self._enough.clear()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def told_by_another(entry: str, name: str) -> Line | None:
    """The ban that another node told; others may write what they like under our name."""
    try:
        document = json.loads(entry)
        return document["ban"] if document["by"] != name and isinstance(document["ban"], dict) else None
    except (ValueError, KeyError, TypeError):
        return None


def is_sound(line: Line) -> bool:
    """Can it be stored?"""
    numbers = [line.get(name) for name in ("until_ms", "bans", "ends_ms")]
    fits = all(isinstance(number, int) and 0 <= number < 1 << 63 for number in numbers)
    return fits and isinstance(line.get("tier"), str) and isinstance(line.get("caller"), list)

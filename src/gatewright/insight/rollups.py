"""Roll-ups of requests: counts and distributions of latencies by route, service, instance, status and tenant,
for each minute, hour and day.

What the data plane counted is added up in memory, and to the files every few seconds; what was not added yet
when a process is killed is lost, and nothing is ever counted twice. A request counts in the minute in which
it began, however late it ends.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gatewright.insight import rollup_files
from gatewright.insight.cells import Cell
from gatewright.insight.counts import Counted
from gatewright.insight.lost import LostTimes
from gatewright.insight.objectives import KEPT_SECONDS
from gatewright.insight.rollup_files import (
    LEVELS,
    MINUTES,
    Cells,
    RollupFile,
    file_of,
    kept_from,
    level_of,
)
from gatewright.insight.rollup_keys import Key, KeyBound

log = logging.getLogger("gatewright.insight")

OPEN_FILES = 4
MOST_CELLS = 50_000
"""Cells in memory at which the thread writes at once."""

MOST_UNWRITTEN = 200_000
"""Cells that are kept while files cannot be written; beyond it those of the oldest file are dropped and
counted, and it is kept of which time they were.
"""

MOST_WAITING = 200_000
"""Cells that wait for the thread; beyond it those of the oldest minute are dropped in the same way."""

BRIEF_SECONDS = 0.2
"""How long somebody who must go on waits for a lock."""

EXPIRY_SECONDS = 600.0
ROUNDS = 12
"""Each so many times hours and days are written, too: their histograms are long, and to add to one takes ten
times as long as to a minute's.
"""


@dataclass(frozen=True, slots=True)
class RollupSettings:
    """Where roll-ups are, how long and how large they may be, and how often they are written."""

    directory: Path
    retention: timedelta = timedelta(days=395)
    max_bytes: int = 4 << 30
    max_keys: int = 5000
    interval: float = 5.0


def now_in_utc() -> datetime:
    return datetime.now(UTC)


class RollupWriter:
    """Adds up what was counted, and writes it in a thread of its own, which has counts taken first (`take`).
    Whoever hands it counts waits for no file.

    `coarsened` and `dropped` say how often a bound was hit: cells that had to be told less apart, and cells
    that were given up.
    """

    def __init__(
        self,
        settings: RollupSettings,
        take: Callable[[], None],
        now: Callable[[], datetime] = now_in_utc,
    ) -> None:
        self.dropped = 0
        self.lost = LostTimes()
        self._settings = settings
        self._take = take
        self._now = now
        # By the start of the minute, in seconds.
        self._minutes: dict[int, dict[Key, Cell]] = {}
        self._cells = 0
        self._bound = KeyBound(settings.max_keys)
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._unwritten: dict[Path, Cells] = {}
        self._files: dict[Path, RollupFile] = {}
        self._expired_at: datetime | None = None
        self._ending = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollups", daemon=True)
        self._has_begun = False

    @property
    def coarsened(self) -> int:
        return self._bound.coarsened

    @property
    def directory(self) -> Path:
        return self._settings.directory

    def start(self) -> None:
        """Begin to write; a second time changes nothing."""
        if not self._has_begun:
            self._has_begun = True
            self._thread.start()

    def use(self, settings: RollupSettings) -> None:
        """Go on with other settings; the directory stays."""
        self._settings = settings
        self._bound.limit = settings.max_keys

    def add(self, cells: Sequence[Counted]) -> None:
        """Add up what was counted, to be written soon. Never raises and never waits for a file."""
        with self._counting:
            for counted in cells:
                self._cell(counted).add(counted)
            while self._cells > MOST_WAITING:
                self._drop_oldest_minute()
        if self._cells >= MOST_CELLS:
            self._wanted.set()

    def close(self) -> None:
        """Write what was added, end. Never raises."""
        self._ending.set()
        self._wanted.set()
        if self._has_begun:
            self._thread.join()
        self._flush_quietly(everything=True)
        with self._writing:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def flush(self, everything: bool = True) -> bool:
        """Write what was counted since the last time, of minutes alone or of `everything`; what cannot be
        written is tried again the next time. Gives whether files have all that was counted now.
        """
        with self._writing:
            for path, cells in self._taken():
                if everything or level_of(path) is MINUTES or len(cells) >= MOST_CELLS:
                    self._write(path)
            is_whole = not self._unwritten
            self._drop_beyond_bound()
            self._expire()
            self.lost.save(self.directory, int(self._now().timestamp()) - KEPT_SECONDS)
        return is_whole

    def flush_briefly(self) -> bool:
        """Write everything, and wait `BRIEF_SECONDS` at most for another who writes, and for a file that is
        locked. Gives whether files have all that was counted now.
        """
        if not self._writing.acquire(timeout=BRIEF_SECONDS):
            return False
        try:
            return all(self._write(path, BRIEF_SECONDS) for path, _ in self._taken())
        finally:
            self._writing.release()

    def _taken(self) -> list[tuple[Path, Cells]]:
        """What is to be written to which file, with all that was counted now."""
        with self._counting:
            taken, self._minutes, self._cells = self._minutes, {}, 0
        for path, cells in self._by_file(taken).items():
            self._keep(path, cells)
        return list(self._unwritten.items())

    def _run(self) -> None:
        rounds = 0
        while not self._ending.is_set():
            self._wanted.wait(self._settings.interval)
            self._wanted.clear()
            rounds += 1
            try:
                self._take()
            except Exception:
                log.exception("what was counted of requests cannot be taken")
            self._flush_quietly(everything=rounds % ROUNDS == 0)

    def _flush_quietly(self, everything: bool) -> None:
        try:
            self.flush(everything)
        except Exception:
            log.exception("roll-ups cannot be written")

    def _cell(self, counted: Counted) -> Cell:
        """Where to add this: the cell of its key, or of a coarser one."""
        cells = self._minutes.setdefault(counted.minute, {})
        key = Key(
            counted.route_id,
            counted.backend_service,
            counted.backend_instance,
            counted.status,
            counted.tenant_id,
        )
        cell = cells.get(key)
        if cell is None:
            key = self._bound.fit(key, cells, len(cells))
            cell = cells.get(key)
        if cell is None:
            cell = cells[key] = Cell()
            self._cells += 1
        return cell

    def _by_file(self, minutes: Mapping[int, Mapping[Key, Cell]]) -> dict[Path, Cells]:
        """What is to be added to which file: minutes as they are, hours and days summed up."""
        directory = self._settings.directory
        earliest = {level: int(kept_from(directory, level).timestamp()) for level in LEVELS}
        found: dict[Path, Cells] = {}
        # A file that would be deleted at once is not made.
        oldest = (self._now() - self._settings.retention).timestamp()
        for start, cells in minutes.items():
            if start <= oldest:
                continue
            for level in LEVELS:
                period = start - start % level.seconds
                if period < earliest[level]:
                    continue
                target = found.setdefault(file_of(directory, level, period), {})
                for key, cell in cells.items():
                    add_to(target, (level, period, key), cell)
        return found

    def _keep(self, path: Path, cells: Cells) -> None:
        known = self._unwritten.setdefault(path, {})
        for place, cell in cells.items():
            add_to(known, place, cell)

    def _write(self, path: Path, busy_seconds: float | None = None) -> bool:
        """Give whether it has been written."""
        try:
            self._file(path, busy_seconds).add(self._unwritten[path], busy_seconds)
        except (sqlite3.Error, OSError) as error:
            self._forget(path)
            log.warning("roll-ups cannot be written", extra={"file": path.name, "error": str(error)})
            return False
        del self._unwritten[path]
        return True

    def _file(self, path: Path, busy_seconds: float | None) -> RollupFile:
        file = self._files.get(path)
        if file is None:
            while len(self._files) >= OPEN_FILES:
                self._forget(next(iter(self._files)))
            file = self._files[path] = RollupFile(path, self._bound, busy_seconds)
        return file

    def _forget(self, path: Path) -> None:
        file = self._files.pop(path, None)
        if file is not None:
            file.close()

    def _drop_beyond_bound(self) -> None:
        while sum(map(len, self._unwritten.values())) > MOST_UNWRITTEN:
            oldest = min(self._unwritten)
            gone = self._unwritten.pop(oldest)
            self.dropped += len(gone)
            periods = [period for _, period, _ in gone]
            level = level_of(oldest)
            self.lost.add(level, min(periods), max(periods) + level.seconds)
            log.error("roll-ups dropped", extra={"file": oldest.name, "cells": len(gone)})

    def _drop_oldest_minute(self) -> None:
        oldest = min(self._minutes)
        gone = self._minutes.pop(oldest)
        self._cells -= len(gone)
        self.dropped += len(gone)
        for level in LEVELS:
            period = oldest - oldest % level.seconds
            self.lost.add(level, period, period + level.seconds)
        log.error("roll-ups dropped", extra={"minute": oldest, "cells": len(gone)})

    def _expire(self) -> None:
        now = self._now()
        if self._expired_at is not None and (now - self._expired_at).total_seconds() < EXPIRY_SECONDS:
            return
        self._expired_at = now
        settings = self._settings
        gone = rollup_files.expire(settings.directory, now, settings.retention, settings.max_bytes)
        for path in gone:
            self._forget(path)
        if gone:
            log.info("roll-ups expired", extra={"files": len(gone)})


def add_to(cells: Cells, place: tuple[rollup_files.Level, int, Key], cell: Cell) -> None:
    """Add a cell to what is at its place; one that is there is changed, so that it must be ours alone."""
    known = cells.get(place)
    if known is None:
        known = cells[place] = Cell()
    known.merge(cell)

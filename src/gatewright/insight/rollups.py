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
"""Cells in memory at which they are written at once, such as when they cannot be taken for long."""

MOST_UNWRITTEN = 200_000
"""Cells that are kept while files cannot be written; beyond it those of the oldest file are dropped and
counted.
"""

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
        """Add up what was counted. Never raises: what cannot be written is kept and written later."""
        with self._counting:
            for counted in cells:
                self._cell(counted).add(counted)
        if self._cells >= MOST_CELLS:
            self._flush_quietly(everything=False)

    def close(self) -> None:
        """Write what was added, end. Never raises."""
        self._ending.set()
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
            with self._counting:
                taken, self._minutes, self._cells = self._minutes, {}, 0
            for path, cells in self._by_file(taken).items():
                self._keep(path, cells)
            for path, cells in list(self._unwritten.items()):
                if everything or level_of(path) is MINUTES or len(cells) >= MOST_CELLS:
                    self._write(path)
            is_whole = not self._unwritten
            self._drop_beyond_bound()
            self._expire()
        return is_whole

    def _run(self) -> None:
        rounds = 0
        while not self._ending.wait(self._settings.interval):
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

    def _write(self, path: Path) -> None:
        try:
            self._file(path).add(self._unwritten[path])
        except (sqlite3.Error, OSError) as error:
            self._forget(path)
            log.warning("roll-ups cannot be written", extra={"file": path.name, "error": str(error)})
        else:
            del self._unwritten[path]

    def _file(self, path: Path) -> RollupFile:
        file = self._files.get(path)
        if file is None:
            while len(self._files) >= OPEN_FILES:
                self._forget(next(iter(self._files)))
            file = self._files[path] = RollupFile(path, self._bound)
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
            log.error("roll-ups dropped", extra={"file": oldest.name, "cells": len(gone)})

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

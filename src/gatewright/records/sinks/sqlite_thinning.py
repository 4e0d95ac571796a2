"""Thins hours of records that are over their time: of each only those records stay that a rule keeps for
longer, in a file of their own (`records-YYYYMMDDHH-kept.sqlite`), and the hour's own file is deleted.

A file that was closed never changes, since readers rely on that: what stays is copied into a new one, which
then takes its place. `user_version` of that file says up to which age it was thinned, in seconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gatewright.control.durable import sync_directory
from gatewright.records import segments
from gatewright.records.reader import uri_of
from gatewright.records.sinks.thinning import KeepRule, Retention, Thinner, tests_of

log = logging.getLogger("gatewright.records")

HALF = f"thinning-{os.getpid()}.half"
"""What is being made. Another process may be at it, too, while one takes over from the other."""

LOOK_STEPS = 100_000
"""Of SQLite, between two looks at whether it shall end: some milliseconds."""

AGAIN_AFTER = timedelta(hours=1)
HALF_SECONDS = 86_400.0

Stamp = tuple[int, int] | None
"""When a file was changed last, in nanoseconds, and its bytes."""


@dataclass(frozen=True, slots=True)
class Due:
    """An hour that has passed a limit, with the files that are there of it and what they were like."""

    hour: str
    limit: timedelta
    files: dict[Path, Stamp]


class SqliteThinner(Thinner):
    """`closed` tells whether an hour is not written, and holds off who wants to for as long as it is
    entered.
    """

    def __init__(
        self, directory: Path, retention: Retention, closed: Callable[[str], AbstractContextManager[bool]]
    ) -> None:
        super().__init__(retention)
        self._directory = directory
        self._closed = closed
        self._failed: dict[str, datetime] = {}

    def _thin_due(self, now: datetime) -> None:
        self._sweep(now)
        for due in self.due(now):
            if self._ending.is_set():
                return
            try:
                self.counts.segments += self._thin(due)
            except (sqlite3.Error, OSError) as error:
                self._gave_up(due, now, error)

    def _sweep(self, now: datetime) -> None:
        """Delete what processes that are gone left half done."""
        for path in self._directory.glob("thinning-*.half"):
            stamp = stamp_of(path)
            if stamp is not None and stamp[0] / 1e9 < now.timestamp() - HALF_SECONDS:
                path.unlink(missing_ok=True)

    def _gave_up(self, due: Due, now: datetime, error: Exception) -> None:
        with contextlib.suppress(OSError):
            (self._directory / HALF).unlink(missing_ok=True)
        if not self._ending.is_set():
            self._failed[due.hour] = now
            self.counts.failures += 1
            extra = {"hour": due.hour, "error": str(error)}
            log.warning("an hour of records cannot be thinned", extra=extra)

    def due(self, now: datetime) -> list[Due]:
        """Hours that have passed a limit and were not thinned since, the oldest first; not those that failed
        a while ago.
        """
        self._failed = {hour: at for hour, at in self._failed.items() if now - at < AGAIN_AFTER}
        found: dict[str, Due] = {}
        for path in reversed(list(segments.newest_first(self._directory))):
            begin = segments.hour_of_path(path)
            if begin is None:
                continue
            limit = self._retention.passed(now - begin - timedelta(hours=1))
            if limit is not None:
                hour = begin.strftime(segments.HOUR)
                found.setdefault(hour, Due(hour, limit, {})).files[path] = stamp_of(path)
        return [due for due in found.values() if due.hour not in self._failed and not is_thinned(due)]

    def _thin(self, due: Due) -> bool:
        """Give whether that is done: not while the hour is written."""
        kept, half = segments.kept_path_of(self._directory, due.hour), self._directory / HALF
        rows = copied(due, self._retention.rules_beyond(due.limit), half, self._ending.is_set)
        with self._closed(due.hour) as is_closed:
            if not is_closed or any(stamp_of(path) != stamp for path, stamp in due.files.items()):
                half.unlink()
                return False
            if rows:
                half.replace(kept)
                sync_directory(self._directory)
            else:
                half.unlink()
            for path in due.files:
                if path != kept or not rows:
                    segments.delete(path)
        return True


def stamp_of(path: Path) -> Stamp:
    """What changes with a file; nothing where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def is_thinned(due: Due) -> bool:
    """Whether all that is there of an hour has passed its limit already."""
    return all(segments.is_kept(path) and version_of(path) >= due.limit.total_seconds() for path in due.files)


def version_of(path: Path) -> int:
    """`user_version` from the header of a closed file; 0 where that cannot be read."""
    try:
        with path.open("rb") as file:
            return int.from_bytes(file.read(64)[60:64], "big")
    except OSError:
        return 0


def sources_of(due: Due) -> list[Path]:
    """The files of an hour that have something of their own: not the hour's own where it was copied already
    and only not deleted, since the process ended.
    """
    own = [path for path in due.files if not segments.is_kept(path)]
    kept = [path for path in due.files if segments.is_kept(path)]
    newest = max((path.stat().st_mtime_ns for path in kept), default=0)
    return [*kept, *(path for path in own if path.stat().st_mtime_ns > newest)]


def copied(due: Due, rules: Sequence[KeepRule], half: Path, is_over: Callable[[], bool]) -> int:
    """Write what rules keep of an hour to a new file; give how many records that is. Raises `OSError`, and
    `sqlite3.Error`, also as soon as `is_over`.
    """
    half.unlink(missing_ok=True)
    made = sqlite3.connect(half.resolve().as_uri(), uri=True, isolation_level=None)
    with contextlib.closing(made) as connection:
        half.chmod(0o600)
        connection.set_progress_handler(is_over, LOOK_STEPS)
        connection.execute(segments.PAGE_SIZE)
        # Nobody needs half of it, and a journal on disk would be taken for that of the next one.
        connection.execute("PRAGMA journal_mode=MEMORY")
        sources = sources_of(due)
        for place, path in enumerate(sources):
            connection.execute(f"ATTACH ? AS source{place}", (uri_of(path),))
        connection.execute("BEGIN")
        connection.execute(segments.CREATE[0])
        rows = sum([copy(connection, f"source{place}", rules) for place in range(len(sources))])
        for statement in segments.CREATE[1:]:
            connection.execute(statement)
        connection.execute(f"PRAGMA main.user_version = {int(due.limit.total_seconds())}")
        connection.execute("COMMIT")
    return rows


def copy(connection: sqlite3.Connection, source: str, rules: Sequence[KeepRule]) -> int:
    """Copy from one file what rules keep; give how many records that is."""
    there = {row[1] for row in connection.execute(f"PRAGMA {source}.table_info(records)")}
    columns = [name for name in (*segments.COLUMNS, "record") if name in there]
    if not rules or not columns:
        return 0
    tests, values = tests_of(rules, columns)
    names = ", ".join(columns)
    cursor = connection.execute(
        f"INSERT INTO main.records ({names}) SELECT {names} FROM {source}.records "  # noqa: S608 - names of ours.
        f"WHERE {tests}",
        values,
    )
    return cursor.rowcount

"""The files of roll-ups in the state directory: `rollups-YYYYMMDD.sqlite` has the minutes of a day,
`rollups-YYYYMM.sqlite` the hours of a month, `rollups-YYYY.sqlite` the days of a year.

What is written are additions, each file in a transaction of its own, so that two processes (one that takes
over from the other) may both write, and what failed can be written again without counting anything twice.
What is old is deleted as whole files.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from gatewright.insight.cells import COLUMNS, COUNTS, LATENCIES, Cell
from gatewright.insight.histogram import merged
from gatewright.insight.rollup_keys import FIELDS, Key, KeyBound
from gatewright.records.segments import with_files_beside

BUSY_SECONDS = 5.0
PREFIX = "rollups-"
_NAME = re.compile(PREFIX + r"(\d{4}|\d{6}|\d{8})\.sqlite")


class Level(NamedTuple):
    """How fine a table is: its name and seconds, and how the file is called that has it."""

    table: str
    seconds: int
    day_format: str


MINUTES = Level("minutes", 60, "%Y%m%d")
HOURS = Level("hours", 3600, "%Y%m")
DAYS = Level("days", 86_400, "%Y")
LEVELS = (MINUTES, HOURS, DAYS)

_CREATE_KEYS = (
    "CREATE TABLE IF NOT EXISTS keys (id INTEGER PRIMARY KEY, route_id TEXT, backend_service TEXT, "
    "backend_instance TEXT, status INTEGER, tenant_id TEXT, "
    "UNIQUE (route_id, backend_service, backend_instance, status, tenant_id))"
)
_CREATE = (
    "CREATE TABLE IF NOT EXISTS {table} (period INTEGER, key INTEGER, "
    + ", ".join(f"{name} INTEGER" for name in COUNTS)
    + ", "
    + ", ".join(f"{name} BLOB" for name in LATENCIES.values())
    + ", PRIMARY KEY (period, key)) WITHOUT ROWID"
)
_SUMS = [f"{name} = {name} + excluded.{name}" for name in COUNTS]
_MERGES = [f"{name} = merged({name}, excluded.{name})" for name in LATENCIES.values()]
_ADD = (
    f"INSERT INTO {{table}} VALUES ({', '.join('?' * (2 + len(COLUMNS)))}) "  # noqa: S608 - names of ours.
    f"ON CONFLICT (period, key) DO UPDATE SET {', '.join(_SUMS + _MERGES)}"
)

Cells = dict[tuple[Level, int, Key], Cell]
"""What is to be added to one file, by level, start of the period (seconds) and key."""


def file_of(directory: Path, level: Level, seconds: int) -> Path:
    """The file that has the period which starts at this time."""
    return directory / f"{PREFIX}{datetime.fromtimestamp(seconds, UTC).strftime(level.day_format)}.sqlite"


def open_file(path: Path, busy_seconds: float | None = None) -> sqlite3.Connection:
    """A file ready to be written, made if it is new. Raises `sqlite3.Error` or `OSError`, also where it is
    locked for longer than `busy_seconds`, by default `BUSY_SECONDS`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The flushing thread writes, and whoever closes the node closes.
    seconds = BUSY_SECONDS if busy_seconds is None else busy_seconds
    connection = sqlite3.connect(path, timeout=seconds, check_same_thread=False, isolation_level=None)
    path.chmod(0o600)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.create_function("merged", 2, merged, deterministic=True)
    connection.execute(_CREATE_KEYS)
    connection.execute(_CREATE.format(table=level_of(path).table))
    return connection


class RollupFile:
    """One file that is open for writing. Used by one thread at a time."""

    def __init__(self, path: Path, bound: KeyBound, busy_seconds: float | None = None) -> None:
        self.path = path
        self._bound = bound
        self._connection = open_file(path, busy_seconds)
        self._ids: dict[Key, int] = {}
        self._has_all_ids = False

    def add(self, cells: Mapping[tuple[Level, int, Key], Cell], busy_seconds: float | None = None) -> None:
        """Add all of these or nothing. Raises `sqlite3.Error`, also where the file is locked for longer than
        `busy_seconds`, by default `BUSY_SECONDS`; it must then be closed.
        """
        connection = self._connection
        seconds = BUSY_SECONDS if busy_seconds is None else busy_seconds
        connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        # At once, since a transaction that has read cannot always become one that writes.
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have made keys since; none can within the transaction.
        self._has_all_ids = False
        try:
            for level in LEVELS:
                rows = [
                    (period, self._id(key), *cell.row())
                    for (of, period, key), cell in cells.items()
                    if of is level
                ]
                # Of one key that became coarser there may be several rows; each is added.
                connection.executemany(_ADD.format(table=level.table), rows) if rows else None
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _id(self, key: Key) -> int:
        found = self._ids.get(key)
        if found is None and not self._has_all_ids:
            self._ids = self._stored()
            self._has_all_ids = True
            found = self._ids.get(key)
        if found is None:
            key = self._bound.fit(key, self._ids, len(self._ids))
            found = self._ids.get(key) or self._made(key)
        return found

    def _made(self, key: Key) -> int:
        cursor = self._connection.execute(
            f"INSERT INTO keys ({', '.join(FIELDS)}) VALUES ({', '.join('?' * len(FIELDS))})",  # noqa: S608 - names of ours.
            key,
        )
        self._ids[key] = made = cursor.lastrowid or 0
        return made

    def _stored(self) -> dict[Key, int]:
        rows = self._connection.execute(f"SELECT {', '.join(FIELDS)}, id FROM keys")  # noqa: S608 - names of ours.
        return {Key(*row[:-1]): row[-1] for row in rows}

    def close(self) -> None:
        """Close it, which folds its log in. Never raises."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def day_of(path: Path) -> datetime | None:
    """The first day of what a file has, or `None` when it is none of roll-ups."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], level_of(path).day_format).replace(tzinfo=UTC)
    except ValueError:
        return None


def level_of(path: Path) -> Level:
    """How fine the periods of a file are."""
    return {8: MINUTES, 6: HOURS}.get(len(path.stem) - len(PREFIX), DAYS)


def files(directory: Path) -> list[tuple[datetime, Path]]:
    """All files of roll-ups, the oldest first."""
    return sorted((day, path) for path in directory.glob(f"{PREFIX}*.sqlite") if (day := day_of(path)))


def paths_for(directory: Path, level: Level, start: int, end: int) -> Iterator[Path]:
    """The files that have these periods, the oldest first."""
    wanted = dict.fromkeys(file_of(directory, level, second) for second in range(start, end, 86_400))
    wanted[file_of(directory, level, max(start, end - 1))] = None
    return (path for path in wanted if path.exists())


def kept_from(directory: Path, level: Level) -> datetime:
    """The day from which on periods of a level are kept; earlier ones were given up for their size."""
    with contextlib.suppress(OSError, ValueError):
        text = (directory / f"{level.table}-from").read_text(encoding="ascii").strip()
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    return datetime.fromtimestamp(0, UTC)


def expire(directory: Path, now: datetime, retention: timedelta, max_bytes: int) -> list[Path]:
    """Delete files that are older than `retention`, then the oldest minutes until all take at most
    `max_bytes`, then the oldest hours, then days. Files that are still written stay. Gives what was deleted.
    Raises `OSError`.
    """
    found = files(directory)
    gone = [path for day, path in found if _end(day, path) <= now - retention]
    left = [(day, path) for day, path in found if path not in gone and _end(day, path) <= now]
    size = sum(_size(path) for _, path in found if path not in gone)
    for day, path in sorted(left, key=lambda one: (level_of(one[1]).seconds, one[0])):
        if size <= max_bytes:
            break
        size -= _size(path)
        gone.append(path)
        # What comes late must not make it anew, with nothing but themselves in it.
        floor = directory / f"{level_of(path).table}-from"
        floor.write_text(f"{_end(day, path):%Y%m%d}\n", encoding="ascii")
    for path in gone:
        for one in with_files_beside(path):
            one.unlink(missing_ok=True)
    return gone


def _end(day: datetime, path: Path) -> datetime:
    """The first day after what a file has."""
    level = level_of(path)
    if level is MINUTES:
        return day + timedelta(days=1)
    return (day + timedelta(days=32)).replace(day=1) if level is HOURS else day.replace(year=day.year + 1)


def periods_of(path: Path) -> tuple[float, float]:
    """The time that a file of roll-ups is for, in seconds."""
    day = day_of(path) or datetime.fromtimestamp(0, UTC)
    return day.timestamp(), _end(day, path).timestamp()


def _size(path: Path) -> int:
    total = 0
    for one in with_files_beside(path):
        with contextlib.suppress(OSError):
            total += one.stat().st_size
    return total

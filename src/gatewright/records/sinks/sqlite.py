"""The default sink: SQLite, one file an hour, so that retention is deleting files; what rules keep for longer
is copied out of them before (`sqlite_thinning.py`).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gatewright.config.models.records import SqliteSink as SqliteModel
from gatewright.records import segments
from gatewright.records.batch import Batch
from gatewright.records.build import Place, sqlite_directory
from gatewright.records.sink import SinkError
from gatewright.records.sinks.sqlite_thinning import SqliteThinner
from gatewright.records.sinks.thinning import Retention

log = logging.getLogger("gatewright.records")

RETENTION = timedelta(days=30)
OPEN_SEGMENTS = 2
BUSY_SECONDS = 5.0
EXPIRE_EVERY = timedelta(minutes=1)
# What is in memory of the index is not read again, and the log is folded in at 32 MiB.
PRAGMAS = (
    segments.PAGE_SIZE,
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA cache_size=-32000",
    "PRAGMA wal_autocheckpoint=2000",
)

Row = tuple[object, ...]


def now_in_utc() -> datetime:
    return datetime.now(UTC)


class SqliteSink:
    """Stores records in `directory` (mode 0700), one transaction a batch; deletes segments older than
    `retention`, but for what its rules keep.
    """

    name = "sqlite"

    def __init__(
        self,
        directory: Path,
        retention: timedelta | Retention = RETENTION,
        now: Callable[[], datetime] = now_in_utc,
        max_size: int | None = None,
    ) -> None:
        self._directory = directory
        self._retention = retention if isinstance(retention, Retention) else Retention(retention)
        self._now = now
        self._max_size = max_size
        self._expire_at: datetime | None = None
        self._open: dict[str, sqlite3.Connection] = {}
        # Held while a segment is opened, and while one is deleted by another thread.
        self._opening = threading.Lock()
        self.thinner = SqliteThinner(directory, self._retention, self._closed)

    def write(self, batch: Batch) -> None:
        if self._expire_at is None or self._now() >= self._expire_at:
            self._expire()
        for hour, rows in rows_by_hour(batch).items():
            try:
                connection = self._segment(hour)
                with connection:
                    connection.executemany(segments.INSERT, rows)
            except (sqlite3.Error, OSError) as error:
                self._forget(hour)
                raise SinkError(f"segment {hour} cannot be written: {error}") from error

    def reopen(self) -> None:
        """Segments are not rotated by others; nothing to do."""

    def close(self) -> None:
        self.thinner.close()
        for hour in list(self._open):
            self._forget(hour)

    def _segment(self, hour: str) -> sqlite3.Connection:
        connection = self._open.get(hour)
        if connection is None:
            # Records of two hours meet around the turn of one; older segments are closed, which folds
            # their log in.
            while len(self._open) >= OPEN_SEGMENTS:
                self._forget(min(self._open))
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._opening:
                connection = open_segment(segments.path_of(self._directory, hour))
                self._open[hour] = connection
        return connection

    @contextmanager
    def _closed(self, hour: str) -> Iterator[bool]:
        with self._opening:
            yield hour not in self._open

    def _forget(self, hour: str) -> None:
        connection = self._open.pop(hour, None)
        if connection is not None:
            connection.close()

    def _expire(self) -> None:
        self._expire_at = self._now() + EXPIRE_EVERY
        paths = segments.expired(self._directory, self._now(), self._retention.longest)
        if self._max_size is not None:
            writing = {segments.path_of(self._directory, hour) for hour in self._open}
            paths += segments.beyond(self._directory, self._max_size, writing)
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            log.info("record segments expired", extra={"files": len(paths)})
        self.thinner.begin(self._now())


def open_segment(path: Path) -> sqlite3.Connection:
    """A segment ready to be written, made if it is new. Raises `sqlite3.Error`."""
    # The lane's thread writes and closes; the check would forbid closing from the thread that made the sink.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    path.chmod(0o600)
    for statement in (*PRAGMAS, *segments.CREATE):
        connection.execute(statement)
    return connection


def build_sqlite(model: SqliteModel, place: Place) -> SqliteSink:
    max_size = None if model.max_size is None else int(model.max_size)
    retention = Retention.of(model.retention, model.keep)
    sink = SqliteSink(sqlite_directory(model, place), retention, max_size=max_size)
    sink.name = model.name or model.kind
    return sink


# Decoding the columns alone takes a quarter of the time that whole records take.
KINDS = {"TEXT": str | None, "INTEGER": int | bool | None, "REAL": float | None}
Columns = msgspec.defstruct("Columns", [(name, KINDS[kind], None) for name, kind in segments.COLUMNS.items()])
DECODER = msgspec.json.Decoder(Columns)


def rows_by_hour(batch: Batch) -> dict[str, list[Row]]:
    """One row a record, by segment. A record without a time is left out and logged: a retry would not mend
    it.
    """
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    malformed, stretch, of_hour = 0, "", list[Row]()
    for columns, line in batch.pairs(DECODER):
        row = msgspec.structs.astuple(columns)
        try:
            # Nearly all are of the same hour as the one before, and finding it out takes a tenth of the time.
            if not stretch or not row[0].startswith(stretch):
                of_hour, stretch = rows[segments.hour_of(row[0])], row[0][: segments.HOUR_CHARACTERS]
        except (ValueError, TypeError, AttributeError):
            malformed += 1
            continue
        of_hour.append((*row, line.decode()))
    if malformed:
        log.error("malformed records left out", extra={"records": malformed})
    return rows

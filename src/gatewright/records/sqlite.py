"""The default sink: SQLite, one file an hour, so that retention is deleting files."""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gatewright.config.models.records import SqliteSink as SqliteModel
from gatewright.records import segments
from gatewright.records.batch import Batch
from gatewright.records.build import Place, sqlite_directory
from gatewright.records.sink import SinkError

log = logging.getLogger("gatewright.records")

RETENTION = timedelta(days=30)
OPEN_SEGMENTS = 2
BUSY_SECONDS = 5.0

Row = tuple[object, ...]


def now_in_utc() -> datetime:
    return datetime.now(UTC)


class SqliteSink:
    """Stores records in `directory` (mode 0700), one transaction a batch; deletes segments older than
    `retention`.
    """

    name = "sqlite"

    def __init__(
        self, directory: Path, retention: timedelta = RETENTION, now: Callable[[], datetime] = now_in_utc
    ) -> None:
        self._directory = directory
        self._retention = retention
        self._now = now
        self._open: dict[str, sqlite3.Connection] = {}

    def write(self, batch: Batch) -> None:
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
        for hour in list(self._open):
            self._forget(hour)

    def _segment(self, hour: str) -> sqlite3.Connection:
        connection = self._open.get(hour)
        if connection is None:
            self._expire()
            # Records of two hours meet around the turn of one; older segments are closed, which folds
            # their log in.
            while len(self._open) >= OPEN_SEGMENTS:
                self._forget(min(self._open))
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = open_segment(segments.path_of(self._directory, hour))
            self._open[hour] = connection
        return connection

    def _forget(self, hour: str) -> None:
        connection = self._open.pop(hour, None)
        if connection is not None:
            connection.close()

    def _expire(self) -> None:
        paths = segments.expired(self._directory, self._now(), self._retention)
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            log.info("record segments expired", extra={"files": len(paths)})


def open_segment(path: Path) -> sqlite3.Connection:
    """A segment ready to be written, made if it is new. Raises `sqlite3.Error`."""
    # The lane's thread writes and closes; the check would forbid closing from the thread that made the sink.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    path.chmod(0o600)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    for statement in segments.CREATE:
        connection.execute(statement)
    return connection


def build_sqlite(model: SqliteModel, place: Place) -> SqliteSink:
    sink = SqliteSink(sqlite_directory(model, place), timedelta(milliseconds=model.retention))
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
    malformed = 0
    for columns, line in batch.pairs(DECODER):
        row = msgspec.structs.astuple(columns)
        try:
            hour = segments.hour_of(row[0])
        except (ValueError, TypeError):
            malformed += 1
            continue
        rows[hour].append((*row, line.decode()))
    if malformed:
        log.error("malformed records left out", extra={"records": malformed})
    return rows

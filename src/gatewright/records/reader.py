"""Questions to stored records, page by page. Runs outside the process that writes, because a reader there
halves its rate.

Records are ordered by time, the newest first, and within a millisecond by when they were stored. A page ends
where enough was found or the time for it is over; its cursor is the place where the next one goes on. A
record that is stored meanwhile has another place, so that no page shows a record again or leaves one out.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gatewright.records import segments
from gatewright.records.conditions import Condition
from gatewright.records.fields import RecordQueryError
from gatewright.records.moments import text_of

__all__ = ["LIMIT", "LONGEST_LIMIT", "RecordQueryError"]

LIMIT = 100
LONGEST_LIMIT = 10_000
LONGEST_BYTES = 16 << 20
"""Of the records of one page."""

SLICE = timedelta(minutes=5)
"""What is looked through between two looks at the clock."""

BUSY_SECONDS = 5.0
FOLLOWED_SEGMENTS = 2
LAST_ROWID = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of records: what comes before it (is older) is still to be read."""

    timestamp: str
    rowid: int = 0

    def text(self) -> str:
        return base64.urlsafe_b64encode(f"{self.timestamp} {self.rowid}".encode()).decode().rstrip("=")

    @classmethod
    def of_text(cls, text: str) -> Place:
        """Read a cursor. Raises `RecordQueryError`."""
        try:
            timestamp, _, rowid = (
                base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
            )
            segments.hour_of(timestamp)
            return cls(timestamp, int(rowid))
        except ValueError as error:
            raise RecordQueryError("`cursor` is none that an answer of this node gave") from error


@dataclass(frozen=True, slots=True)
class Question:
    """Which records are wanted: those for which all conditions hold, from `since` on and before `until`."""

    conditions: tuple[Condition, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    limit: int = LIMIT
    before: Place | None = None

    @property
    def names_one_request(self) -> bool:
        return any(one.name == "request_id" and one.operator == "=" for one in self.conditions)


@dataclass(frozen=True, slots=True)
class Page:
    """Part of an answer. `cursor` is `None` where nothing more can follow; `scanned` says how far it is."""

    records: list[dict[str, Any]]
    cursor: str | None
    scanned: tuple[int, int]
    """Segments that are done, and segments that there are to look through."""


def page(directory: Path, question: Question, seconds: float = 10.0) -> Page:
    """Records that answer the question, the newest first. Raises `RecordQueryError`."""
    paths = list(segments.newest_first(directory, question.since))
    if question.before is not None:
        # What is newer was read for the pages before.
        newest = segments.hour_of(question.before.timestamp)
        paths = [path for path in paths if path <= segments.path_of(directory, newest)]
    deadline = time.monotonic() + seconds
    found: list[dict[str, Any]] = []
    size = 0
    for done, path in enumerate(paths):
        for timestamp, rowid, line in read_segment(path, question, lambda: time.monotonic() > deadline):
            place = Place(timestamp, rowid)
            if line is not None:
                found.append(json.loads(line))
                size += len(line)
            if line is None or len(found) >= question.limit or size > LONGEST_BYTES:
                return Page(found, place.text(), (done, len(paths)))
    return Page(found, None, (len(paths), len(paths)))


def read_segment(
    path: Path, question: Question, is_late: Callable[[], bool]
) -> Iterator[tuple[str, int, str | None]]:
    """Time, number and line of the records of one segment, newest first; once it is late, a place without a
    line.
    """
    with opened(path) as columns_and_connection:
        if columns_and_connection is None:
            return
        columns, connection = columns_and_connection
        tests, values = statement_of(question.conditions, columns)
        statement = (
            "SELECT timestamp, rowid, record FROM records WHERE timestamp >= ? AND timestamp < ? "  # noqa: S608 - of ours.
            f"AND (timestamp, rowid) < (?, ?){tests} ORDER BY timestamp DESC, rowid DESC"
        )
        before = question.before or Place("~", LAST_ROWID)
        for first, last in slices(path, question):
            if is_late():
                yield last, 0, None
                return
            yield from connection.execute(statement, [first, last, before.timestamp, before.rowid, *values])


def statement_of(conditions: Sequence[Condition], columns: Sequence[str]) -> tuple[str, list[object]]:
    """All conditions, each with `AND` before it, and what stands for their question marks."""
    pairs = [condition.sql(columns) for condition in conditions]
    return "".join(f" AND {test}" for test, _ in pairs), [value for _, values in pairs for value in values]


def slices(path: Path, question: Question) -> Iterator[tuple[str, str]]:
    """First and last time (not included) of the parts of a segment, the newest first."""
    hour = segments.hour_of_path(path)
    if hour is None:
        return
    end = hour + timedelta(hours=1)
    lowest = max(hour, question.since) if question.since else hour
    highest = min(end, question.until) if question.until else end
    if question.before is not None:
        # A millisecond more, for what has the very time of the place and was stored before it.
        place = datetime.fromisoformat(question.before.timestamp) + timedelta(milliseconds=1)
        highest = min(highest, place)
    length = timedelta(hours=1) if question.names_one_request else SLICE
    while highest > lowest:
        first = max(lowest, highest - length)
        yield text_of(first), text_of(highest)
        highest = first


class opened:
    """A segment for reading alone, as its columns and a connection; `None` where there is nothing to read.

    Raises `RecordQueryError` for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> tuple[tuple[str, ...], sqlite3.Connection] | None:
        try:
            self._connection = connection = sqlite3.connect(
                uri_of(self._path), uri=True, timeout=BUSY_SECONDS
            )
            columns = tuple(row[1] for row in connection.execute("PRAGMA table_info(records)"))
        except sqlite3.DatabaseError as error:
            self.__exit__(None, None, None)
            if not self._path.exists():
                # Retention deleted it since the directory was listed.
                return None
            raise RecordQueryError(f"{self._path}: cannot be read: {error}") from error
        # The writer may have made the file and not yet its table.
        return (columns, connection) if columns else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise RecordQueryError(f"{self._path}: cannot be read: {error}") from error


def uri_of(path: Path) -> str:
    """How to open a file for reading alone.

    One without a log is closed and changes no more: said so, SQLite makes no files beside it, which a
    reader of another account may not do, and could not delete.
    """
    is_closed = not path.with_name(path.name + "-wal").exists()
    return f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if is_closed else ''}"


def find_request(directory: Path, request_id: str) -> dict[str, Any] | None:
    """The newest record with this request id, or `None`. Raises `RecordQueryError`."""
    condition = Condition("request_id", "=", request_id)
    # Each segment has an index of ids, so that a month of them is looked through in a fraction of a second.
    found = page(directory, Question((condition,), limit=1), seconds=60.0)
    return found.records[0] if found.records else None


Followed = dict[str, int]
"""Up to which row each of the newest segments was shown, by its hour."""


def newest_rows(directory: Path) -> Followed:
    """The last rows of the newest segments: what is stored later is new."""
    return {hour: last_row(path) for hour, path in newest_segments(directory)}


def newer(directory: Path, question: Question, shown: Followed) -> tuple[list[dict[str, Any]], Followed]:
    """Records that were stored since, the first stored first, at most `question.limit`; and what is shown
    then.

    Looks at the newest two hours; records that come later than that are not new to whoever follows.
    """
    found: list[dict[str, Any]] = []
    reached: Followed = {}
    for hour, path in reversed(newest_segments(directory)):
        reached[hour] = row = shown.get(hour, 0)
        left = question.limit - len(found)
        if left <= 0:
            continue
        rows, last = rows_after(path, question, row, left)
        found += [json.loads(line) for _, line in rows]
        reached[hour] = (
            rows[-1][0] if len(rows) == left else max([row, last, *(number for number, _ in rows[-1:])])
        )
    return found, reached


def rows_after(path: Path, question: Question, row: int, most: int) -> tuple[list[tuple[int, str]], int]:
    """Rows of a segment after one that answer the question, and the number of the last that was looked at."""
    # Read first: what is stored between the two is looked at the next time.
    last = last_row(path)
    with opened(path) as columns_and_connection:
        if columns_and_connection is None:
            return [], row
        columns, connection = columns_and_connection
        tests, values = statement_of(question.conditions, columns)
        statement = f"SELECT rowid, record FROM records WHERE rowid > ?{tests} ORDER BY rowid LIMIT ?"  # noqa: S608 - of ours.
        return connection.execute(statement, [row, *values, most]).fetchall(), last


def newest_segments(directory: Path) -> list[tuple[str, Path]]:
    paths = list(segments.newest_first(directory))[:FOLLOWED_SEGMENTS]
    return [(hour.strftime(segments.HOUR), path) for path in paths if (hour := segments.hour_of_path(path))]


def last_row(path: Path) -> int:
    """The number of the row that was stored last; 0 without any."""
    with opened(path) as columns_and_connection:
        if columns_and_connection is None:
            return 0
        found = columns_and_connection[1].execute("SELECT max(rowid) FROM records").fetchone()[0]
        return int(found or 0)


def utc_now() -> datetime:
    return datetime.now(UTC)

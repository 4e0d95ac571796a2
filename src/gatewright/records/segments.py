"""Hourly SQLite files of records: their names, their table, which of them a question touches. What is kept of
an hour for longer than the rest is in a file of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Fields that people filter by; they have the names of the record's fields. The whole record is kept beside
# them.
COLUMNS: dict[str, str] = {
    "timestamp": "TEXT",
    "request_id": "TEXT",
    "method": "TEXT",
    "path": "TEXT",
    "status": "INTEGER",
    "client_ip": "TEXT",
    "user_id": "TEXT",
    "partner_id": "TEXT",
    "backend_service": "TEXT",
    "backend_instance": "TEXT",
    "route_id": "TEXT",
    "total_latency_ms": "REAL",
    "gateway_overhead_ms": "REAL",
    "upstream_latency_ms": "REAL",
    "rate_limited": "INTEGER",
    "request_bytes": "INTEGER",
    "response_bytes": "INTEGER",
    "error_type": "TEXT",
    "config_version": "INTEGER",
    "host": "TEXT",
}
PREFIX = "records-"
SUFFIX = ".sqlite"
KEPT = "-kept"
HOUR = "%Y%m%d%H"
# The beginning of a time that tells its hour.
HOUR_CHARACTERS = len("2026-02-06T14")

# Records are larger than a page of 4 KiB is good for: with large ones a file is a quarter smaller, and
# written at twice the rate.
PAGE_SIZE = "PRAGMA page_size=16384"
CREATE = (
    "CREATE TABLE IF NOT EXISTS records ("
    + ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    + ", record TEXT NOT NULL)",
    # Two indexes and no more: each costs a fifth of the write rate.
    "CREATE INDEX IF NOT EXISTS records_by_request_id ON records (request_id)",
    "CREATE INDEX IF NOT EXISTS records_by_timestamp ON records (timestamp)",
)
INSERT = f"INSERT INTO records VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608 - only question marks.


def hour_of(timestamp: str) -> str:
    """`2026-02-06T14:30:00.042Z` gives `2026020614`. Raises `ValueError` for anything that is no time."""
    hour = timestamp[0:4] + timestamp[5:7] + timestamp[8:10] + timestamp[11:13]
    # The hour becomes part of a file name.
    if len(hour) != 10 or not (hour.isascii() and hour.isdigit()):
        raise ValueError(f"{timestamp!r} is no RFC 3339 time")
    return hour


def path_of(directory: Path, hour: str) -> Path:
    return directory / f"{PREFIX}{hour}{SUFFIX}"


def kept_path_of(directory: Path, hour: str) -> Path:
    return directory / f"{PREFIX}{hour}{KEPT}{SUFFIX}"


def is_kept(path: Path) -> bool:
    """Whether a segment holds only what is kept for longer."""
    return path.name.endswith(KEPT + SUFFIX)


def with_files_beside(path: Path) -> tuple[Path, ...]:
    """A file of SQLite and those that may be beside it."""
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def delete(path: Path) -> None:
    """Delete a segment with the files that SQLite keeps beside it. Raises `OSError`."""
    for one in with_files_beside(path):
        one.unlink(missing_ok=True)


def hour_of_path(path: Path) -> datetime | None:
    """The hour that a file holds, or of which it holds what is kept; `None` when it is no segment."""
    name = path.name
    if not (name.startswith(PREFIX) and name.endswith(SUFFIX)):
        return None
    try:
        hour = name[len(PREFIX) : -len(SUFFIX)].removesuffix(KEPT)
        return datetime.strptime(hour, HOUR).replace(tzinfo=UTC)
    except ValueError:
        return None


def newest_first(directory: Path, since: datetime | None = None) -> Iterator[Path]:
    """Segments that may hold records at or after `since`, the newest first."""
    found = [(hour, path) for path in directory.glob(f"{PREFIX}*{SUFFIX}") if (hour := hour_of_path(path))]
    for hour, path in sorted(found, reverse=True):
        if since is None or hour + timedelta(hours=1) > since:
            yield path


def beyond(directory: Path, bound: int, kept: Collection[Path]) -> list[Path]:
    """The oldest segments without which the rest has at most `bound` bytes, with the files beside them; never
    those that are `kept`.
    """
    paths, total = [], 0
    for path in newest_first(directory):
        files = with_files_beside(path)
        total += sum(file.stat().st_size for file in files if file.exists())
        if total > bound and path not in kept:
            paths += files
    return paths


def expired(directory: Path, now: datetime, retention: timedelta) -> list[Path]:
    """Segments whose every record is older than `retention`, with the files that SQLite keeps beside them."""
    paths = []
    for path in directory.glob(f"{PREFIX}*{SUFFIX}"):
        hour = hour_of_path(path)
        if hour is not None and hour + timedelta(hours=1) <= now - retention:
            paths += with_files_beside(path)
    return paths

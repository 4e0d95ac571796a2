"""Questions about the audit log: its entries, the newest first, that pass every filter."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gatewright.audit.files import AuditError, files_in, first_of

# About three seconds of reading.
MOST_READ = 200_000
LONGEST_LIST = 1_000
BLOCK = 1 << 18
# By so much an entry may be older than the one before it, where several were made at once.
SLACK = timedelta(minutes=1)
NO_TIME = timedelta()

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters; all must hold. Texts may have `*`."""

    kind: str | None = None
    what: str | None = None
    who: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    before: int | None = None
    limit: int = 100

    def passes(self, entry: Document) -> bool:
        asked = (
            (self.kind, [entry.get("kind")]),
            (self.what, [entry.get("what")]),
            (self.outcome, [entry.get("outcome")]),
            (self.who, entry.get("who", {}).values()),
        )
        return all(
            pattern is None or any(fnmatchcase(str(value), pattern) for value in values)
            for pattern, values in asked
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, the newest first; `next` is what `before` has to be for those that follow, if any may."""

    entries: list[Document]
    next: int | None


def read_newest(directory: Path, wanted: Wanted) -> Page:
    """Entries that pass, without a look at their hashes. Raises `AuditError`."""
    found: list[Document] = []
    since, floor = text_of(wanted.since), text_of(wanted.since, SLACK)
    for count, entry in enumerate(newest_first(directory, wanted.before), 1):
        at = str(entry.get("time", ""))
        if at < floor:
            break
        if at >= since and wanted.passes(entry):
            found.append(entry)
        if len(found) == wanted.limit or count == MOST_READ:
            return Page(found, int(entry.get("seq", 0)) or None)
    return Page(found, None)


def text_of(since: datetime | None, earlier: timedelta = NO_TIME) -> str:
    """As entries write it, so that texts can be compared; empty for no time at all."""
    return "" if since is None else (since - earlier).astimezone(UTC).isoformat(timespec="milliseconds")[:23]


def newest_first(directory: Path, before: int | None = None) -> Iterator[Document]:
    """Every entry with a lower number than `before`, the newest first; lines that are none are left out."""
    for path in reversed(files_in(directory)):
        if before is not None and (first_of(path) or 0) >= before:
            continue
        for line in lines_backwards(path):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and (before is None or entry.get("seq", 0) < before):
                yield entry


def lines_backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file, the last one first. Raises `AuditError`."""
    try:
        with path.open("rb") as file:
            end, rest = file.seek(0, os.SEEK_END), b""
            while end > 0:
                start = max(0, end - BLOCK)
                first, *lines = (os.pread(file.fileno(), end - start, start) + rest).split(b"\n")
                yield from reversed(lines)
                end, rest = start, first
            yield rest
    except FileNotFoundError:
        return
    except OSError as error:
        raise AuditError(f"{path}: cannot be read: {error.strerror}") from error

"""Of which times roll-ups miss something, because it was given up unwritten. Kept beside them, so that what
is read from them later is not taken for all that there was.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gatewright.control.durable import write_durably
from gatewright.insight.rollup_files import LEVELS, Level

NAME = "lost"
MOST = 1000
"""Times of a level that are kept; beyond it the oldest are told as one, with what is between them."""


class Lost(NamedTuple):
    """Periods of a level, from a time (included) to another, in seconds."""

    table: str
    since: int
    until: int


def overlapping(lost: Sequence[Lost], level: Level, since: int, until: int) -> list[Lost]:
    """Those of a level that have to do with this time."""
    return [one for one in lost if one.table == level.table and one.since < until and one.until > since]


class LostTimes:
    """What is known of one directory. Any thread may use it."""

    def __init__(self) -> None:
        self._lost: list[Lost] = []
        self._is_saved = True
        self._lock = threading.Lock()

    def add(self, level: Level, since: int, until: int) -> None:
        """Something of these periods is lost."""
        with self._lock:
            self._lost = joined([*self._lost, Lost(level.table, since, until)])
            self._is_saved = False

    def all(self, directory: Path) -> list[Lost]:
        """What this process has lost, and others before it."""
        with self._lock:
            return joined([*self._lost, *read(directory)])

    def save(self, directory: Path, oldest: int) -> None:
        """Keep what is not kept yet and ends after `oldest`. Where that cannot be done it is tried again
        the next time: then files can be written no more than what was lost could.
        """
        with self._lock:
            if self._is_saved:
                return
            kept = [one for one in joined([*self._lost, *read(directory)]) if one.until > oldest]
            text = "".join(f"{one.table} {one.since} {one.until}\n" for one in kept)
            with contextlib.suppress(OSError):
                write_durably(directory / NAME, text.encode())
                self._lost, self._is_saved = [], True


def read(directory: Path) -> list[Lost]:
    """What is kept; nothing where nothing can be read."""
    tables = {level.table for level in LEVELS}
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in (directory / NAME).read_text(encoding="ascii").splitlines()[: len(LEVELS) * MOST]:
            table, since, until = line.split()
            if table in tables:
                found.append(Lost(table, int(since), int(until)))
    return found


def joined(lost: list[Lost]) -> list[Lost]:
    """The same times, each once, by level, the oldest first."""
    found: list[Lost] = []
    for level in LEVELS:
        found += joined_of_one([one for one in lost if one.table == level.table])
    return found


def joined_of_one(lost: list[Lost]) -> list[Lost]:
    found: list[Lost] = []
    for one in sorted(lost):
        if found and one.since <= found[-1].until:
            found[-1] = found[-1]._replace(until=max(found[-1].until, one.until))
        else:
            found.append(one)
    if len(found) > MOST:
        several = len(found) - MOST
        found[: several + 1] = [found[0]._replace(until=found[several].until)]
    return found

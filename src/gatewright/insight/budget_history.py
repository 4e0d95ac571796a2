"""What objectives have counted before this process, or before they were in the configuration: read from
roll-ups.

The newest is read first, and reading ends after a while: of more roll-ups than that, budgets miss the oldest.
What they miss, for this reason or another, is told with it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.errors import GatewrightError
from gatewright.insight.histogram import above
from gatewright.insight.lost import Lost, overlapping
from gatewright.insight.objectives import FINE_SECONDS, KEPT_SECONDS, MINUTE, Goal, Minutes
from gatewright.insight.rollup_files import DAYS, HOURS, MINUTES, Level, kept_from, paths_for, periods_of
from gatewright.records.reader import uri_of

log = logging.getLogger("gatewright.insight")

READ_SECONDS = 5.0
BRIEF_SECONDS = 0.2
"""How long a file that is locked is waited for."""

LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
ROWS = 2000
"""Read between two looks at the clock."""

Part = tuple[Level, int, int]
"""Periods of a level, from a time (included) to another."""

Rows = Iterator[tuple[int, int, int, int, bytes, bytes]]


class LockedError(GatewrightError):
    """Somebody has locked a file of roll-ups; it can be read later."""


@dataclass(frozen=True, slots=True)
class History:
    """What was before, for each goal, and of which times (since, until) something is missing."""

    minutes: list[Minutes]
    missed: list[tuple[float, float]] = field(default_factory=list)


def history(
    directory: Path,
    goals: Sequence[Goal],
    now: float,
    lost: Sequence[Lost] = (),
    seconds: float = READ_SECONDS,
) -> History:
    """What roll-ups say for each of these goals: of the last hours by the minute, before that by the hour.
    `lost` is what they are known to miss. Raises `LockedError`.
    """
    found = History([{} for _ in goals])
    wanted = list(zip(goals, found.minutes, strict=True))
    deadline = time.monotonic() + seconds
    for part in parts(directory, int(now)):
        level, since, until = part
        found.missed.extend((one.since, one.until) for one in overlapping(lost, level, since, until))
        for path in reversed(list(paths_for(directory, level, since, until))):
            first, end = periods_of(path)
            try:
                is_done = read(path, part, wanted, deadline)
            except sqlite3.Error as error:
                unless_locked(path, error)
                found.missed.append((max(since, first), min(until, end)))
                continue
            if not is_done:
                extra = {"file": path.name}
                log.warning("error budgets begin with a part of what roll-ups have", extra=extra)
                found.missed.append((0, min(until, end)))
                return found
    return found


def unless_locked(path: Path, error: sqlite3.Error) -> None:
    """Log that a file cannot be read. Raises `LockedError` where it can be later."""
    # The code may say more in its higher bits.
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in LOCKED:
        raise LockedError(f"{path.name}: {error}") from error
    log.warning("roll-ups cannot be read", extra={"file": path.name, "error": str(error)})


def parts(directory: Path, now: int) -> list[Part]:
    """Which roll-ups have which time, the newest first: hours where minutes were given up, days where hours
    were.
    """
    kept = {level: int(kept_from(directory, level).timestamp()) for level in (MINUTES, HOURS)}
    minutes = max(floor(now - FINE_SECONDS, HOURS), kept[MINUTES])
    hours = max(floor(now - KEPT_SECONDS, HOURS), kept[HOURS])
    days = floor(now - KEPT_SECONDS, DAYS)
    # What began in a minute that has not ended counts, too.
    wanted = [(MINUTES, minutes, now + MINUTE), (HOURS, hours, minutes), (DAYS, days, min(hours, minutes))]
    is_whole = kept[HOURS] <= days
    return [(level, since, until) for level, since, until in wanted[: 2 if is_whole else 3] if since < until]


def floor(moment: float, level: Level) -> int:
    return int(moment) // level.seconds * level.seconds


def read(path: Path, part: Part, wanted: Sequence[tuple[Goal, Minutes]], deadline: float) -> bool:
    """Add what a file has; give whether that was all of it. Raises `sqlite3.Error`."""
    level, since, until = part
    with closing(sqlite3.connect(uri_of(path), uri=True, timeout=BRIEF_SECONDS)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (level.table,)).fetchone():
            # The writer has made the file and not yet its tables.
            return True
        keys = connection.execute("SELECT id, route_id, backend_service FROM keys")
        concerned = {
            key: [(goal, minutes) for goal, minutes in wanted if goal.concerns(route, service)]
            for key, route, service in keys
        }
        cursor = connection.execute(
            f"SELECT period, key, count, errors, total, overhead FROM {level.table} "  # noqa: S608 - of ours.
            "WHERE period >= ? AND period < ? ORDER BY period DESC",
            (since, until),
        )
        while rows := cursor.fetchmany(ROWS):
            add(iter(rows), concerned)
            if time.monotonic() > deadline:
                return False
    return True


def add(rows: Rows, concerned: dict[int, list[tuple[Goal, Minutes]]]) -> None:
    for period, key, count, errors, total, overhead in rows:
        for goal, minutes in concerned.get(key, ()):
            counted = minutes.setdefault(period // MINUTE, [0, 0])
            counted[0] += count
            if goal.edge is None:
                counted[1] += errors
            else:
                counted[1] += above(total if goal.of == "total" else overhead, goal.edge)

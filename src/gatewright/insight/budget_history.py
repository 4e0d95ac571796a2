"""What objectives have counted before this process, or before they were in the configuration: read from
roll-ups.

The newest is read first, and reading ends after a while: of more roll-ups than that, budgets miss the oldest.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from gatewright.insight.histogram import above
from gatewright.insight.objectives import FINE_SECONDS, KEPT_SECONDS, MINUTE, Goal, Minutes
from gatewright.insight.rollup_files import BUSY_SECONDS, DAYS, HOURS, MINUTES, Level, kept_from, paths_for
from gatewright.records.reader import uri_of

log = logging.getLogger("gatewright.insight")

READ_SECONDS = 5.0
ROWS = 2000
"""Read between two looks at the clock."""

Part = tuple[Level, int, int]
"""Periods of a level, from a time (included) to another."""

Rows = Iterator[tuple[int, int, int, int, bytes, bytes]]


def history(
    directory: Path, goals: Sequence[Goal], now: float, seconds: float = READ_SECONDS
) -> list[Minutes]:
    """What roll-ups say for each of these goals: of the last hours by the minute, before that by the hour."""
    found: list[Minutes] = [{} for _ in goals]
    deadline = time.monotonic() + seconds
    for level, since, until in parts(directory, int(now)):
        for path in reversed(list(paths_for(directory, level, since, until))):
            try:
                is_done = read(path, (level, since, until), list(zip(goals, found, strict=True)), deadline)
            except sqlite3.Error as error:
                log.warning("roll-ups cannot be read", extra={"file": path.name, "error": str(error)})
                continue
            if not is_done:
                log.warning(
                    "error budgets begin with a part of what roll-ups have", extra={"file": path.name}
                )
                return found
    return found


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
    with closing(sqlite3.connect(uri_of(path), uri=True, timeout=BUSY_SECONDS)) as connection:
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

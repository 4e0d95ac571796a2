"""Questions to roll-ups. Runs outside the gateway's process, as all that reads history does."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gatewright.insight.cells import COUNTS, LATENCIES
from gatewright.insight.rollup_files import DAYS, HOURS, MINUTES, Level, files, kept_from, paths_for
from gatewright.insight.rollup_keys import FIELDS
from gatewright.records.fields import RecordQueryError
from gatewright.records.reader import BUSY_SECONDS, uri_of
from gatewright.records.summary import MOST_GROUPS, Group, Summary, SummaryQuestion, Total

FINEST = timedelta(hours=6, minutes=5)
"""Up to which length minutes are counted, the last six hours among them; what is longer is counted by the
hour.
"""

COARSEST = timedelta(days=45)
"""From which length on days are counted."""

RESOLUTIONS = {"minutes": "1m", "hours": "1h", "days": "1d"}


def count_rollups(directory: Path, question: SummaryQuestion) -> Summary | None:
    """Count what roll-ups say, from the start of the period that holds `since`; `None` where there are none.

    Raises `RecordQueryError`.
    """
    if not files(directory):
        return None
    level = level_for(directory, question)
    start = int(question.since.timestamp())
    start -= start % level.seconds
    end = int(question.until.timestamp())
    groups: dict[Group, Total] = {}
    for path in paths_for(directory, level, start, end):
        try:
            count_file(path, (level, start, end), question, groups)
        except sqlite3.Error as error:
            if path.exists():
                raise RecordQueryError(f"{path}: cannot be read: {error}") from error
        if len(groups) > MOST_GROUPS:
            raise RecordQueryError(f"more than {MOST_GROUPS} groups; group by fewer fields, or filter")
    since = datetime.fromtimestamp(start, UTC)
    return Summary("rollups", RESOLUTIONS[level.table], since, question.until, groups)


def level_for(directory: Path, question: SummaryQuestion) -> Level:
    """The coarsest level that is still fine for a time of this length."""
    length = question.until - question.since
    fine = [MINUTES] if length <= FINEST else []
    fine += [HOURS] if length <= COARSEST else []
    return next((level for level in fine if question.since >= kept_from(directory, level)), DAYS)


def count_file(
    path: Path,
    periods: tuple[Level, int, int],
    question: SummaryQuestion,
    groups: dict[Group, Total],
) -> None:
    level, start, end = periods
    connection = sqlite3.connect(uri_of(path), uri=True, timeout=BUSY_SECONDS)
    try:
        totals = totals_by_key(connection, question, groups)
        column = LATENCIES[question.latency]
        rows = connection.execute(
            f"SELECT key, {', '.join(COUNTS)}, {column} FROM {level.table} WHERE period >= ? AND period < ?",  # noqa: S608 - of ours.
            (start, end),
        )
        for key, count, errors, request_bytes, response_bytes, blob in rows:
            total = totals.get(key)
            if total is None:
                continue
            total.count += count
            total.errors += errors
            total.request_bytes += request_bytes
            total.response_bytes += response_bytes
            total.latency.merge_blob(blob)
    except sqlite3.OperationalError as error:
        # The writer has made the file and not yet its tables.
        if "no such table" not in str(error):
            raise
    finally:
        connection.close()
    drop_empty(groups)


def totals_by_key(
    connection: sqlite3.Connection, question: SummaryQuestion, groups: dict[Group, Total]
) -> dict[int, Total]:
    """The total that each key of a file counts for; keys for which a condition does not hold are left out."""
    totals = {}
    for row in connection.execute(f"SELECT id, {', '.join(FIELDS)} FROM keys"):  # noqa: S608 - of ours.
        named = dict(zip(FIELDS, (value or None for value in row[1:]), strict=True))
        if all(condition.holds(named[condition.name]) for condition in question.conditions):
            group = tuple(named[name] for name in question.group)
            totals[row[0]] = groups.setdefault(group, Total())
    return totals


def drop_empty(groups: dict[Group, Total]) -> None:
    """Keys of a file are those of its whole day or month; not all have something in the time asked for."""
    for group in [group for group, total in groups.items() if not total.count]:
        del groups[group]

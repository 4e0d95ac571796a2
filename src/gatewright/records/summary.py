"""Records counted by group: how many, how many errors, and percentiles of a latency.

Answered from roll-ups where they know every field that is asked for, else by counting records. Both count the
same requests, sampled ones by their weight, in buckets of the same bounds, and so agree.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gatewright.insight.cells import FIRST_ERROR, LATENCIES
from gatewright.insight.histogram import ERROR, HIGHEST, LOWEST, SCALE, Histogram
from gatewright.insight.rollup_keys import FIELDS as ROLLED_UP
from gatewright.records import segments
from gatewright.records.conditions import Condition, expression_of
from gatewright.records.fields import RecordQueryError
from gatewright.records.moments import text_of
from gatewright.records.reader import opened, statement_of

MOST_GROUPS = 10_000
SHARES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
_NONE, _ZERO = -32_768, -32_767
"""Buckets that are none: of no latency, and of zero."""

Group = tuple[object, ...]


@dataclass(slots=True)
class Total:
    """What one group comes to."""

    count: int = 0
    errors: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True)
class SummaryQuestion:
    """What is to be counted: from `since` (included) to `until` (not), grouped by fields."""

    since: datetime
    until: datetime
    conditions: tuple[Condition, ...] = ()
    group: tuple[str, ...] = ()
    latency: str = "total_latency_ms"
    limit: int = 1000
    # Whether groups come with their whole distribution, as OpenTelemetry has it.
    histograms: bool = False

    @property
    def is_rolled_up(self) -> bool:
        """Do roll-ups know everything that this asks for?"""
        names = {*self.group, *(one.name for one in self.conditions)}
        plain = all(one.stage is None for one in self.conditions)
        return plain and names <= set(ROLLED_UP) and self.latency in LATENCIES


@dataclass(slots=True)
class Summary:
    """The groups, and what they were counted from."""

    source: str
    resolution: str
    since: datetime
    until: datetime
    groups: dict[Group, Total]


Progress = Callable[[int, int], None]


def count_records(
    directory: Path, question: SummaryQuestion, seconds: float, progress: Progress | None = None
) -> Summary:
    """Count stored records. Raises `RecordQueryError`, also when `seconds` are over."""
    deadline = time.monotonic() + seconds
    groups: dict[Group, Total] = {}
    paths = [
        path for path in segments.newest_first(directory, question.since) if starts_before(path, question)
    ]
    for done, path in enumerate(paths):
        if progress is not None:
            progress(done, len(paths))
        for row in count_segment(path, question, deadline):
            add_row(groups, row, len(question.group))
        if len(groups) > MOST_GROUPS:
            cure = "group by fewer fields, or filter"
            raise RecordQueryError(f"more than {MOST_GROUPS} groups; {cure}")
    return Summary("records", "record", question.since, question.until, groups)


def starts_before(path: Path, question: SummaryQuestion) -> bool:
    hour = segments.hour_of_path(path)
    return hour is not None and hour < question.until


def count_segment(path: Path, question: SummaryQuestion, deadline: float) -> Iterator[Sequence[Any]]:
    with opened(path) as columns_and_connection:
        if columns_and_connection is None:
            return
        columns, connection = columns_and_connection
        teach_logarithms(connection)
        # SQLite asks every so many steps whether to go on.
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        statement, values = counting_statement(question, columns)
        try:
            yield from connection.execute(statement, values)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            cure = "ask for less time with `since`, or filter"
            raise RecordQueryError(f"not answered in time; {cure}") from error


def counting_statement(question: SummaryQuestion, columns: Sequence[str]) -> tuple[str, list[object]]:
    """One row for each group and bucket of the latency."""
    named = [expression_of(name, columns) for name in question.group]
    latency, of_latency = expression_of(question.latency, columns)
    weight, of_weight = expression_of("sampling_weight", columns)
    tests, tested = statement_of(question.conditions, columns)
    numbers = ", ".join(str(place + 1) for place in range(len(named) + 1))
    bucket = (
        f"CASE WHEN l IS NULL THEN {_NONE} WHEN l <= 0 THEN {_ZERO} "
        f"ELSE max({LOWEST}, min({HIGHEST}, CAST(ceil(log2(l) * {1 << SCALE}) AS INTEGER) - 1)) END"
    )
    inner = "".join(f"{expression} AS g{place}, " for place, (expression, _) in enumerate(named))
    outer = "".join(f"g{place}, " for place in range(len(named)))
    statement = (
        f"SELECT {outer}{bucket}, SUM(w), SUM(w * (status >= {FIRST_ERROR})), SUM(w * request_bytes), "  # noqa: S608 - of ours.
        f"SUM(w * response_bytes), SUM(w * CAST(l * 1000 + 0.5 AS INTEGER)) FROM "
        f"(SELECT {inner}{latency} AS l, COALESCE({weight}, 1) AS w, status, request_bytes, response_bytes "
        f"FROM records WHERE timestamp >= ? AND timestamp < ?{tests}) GROUP BY {numbers}"
    )
    values = [value for _, given in named for value in given]
    times = [text_of(question.since), text_of(question.until)]
    return statement, [*values, *of_latency, *of_weight, *times, *tested]


def teach_logarithms(connection: sqlite3.Connection) -> None:
    """Not every SQLite was built with functions of mathematics."""
    try:
        connection.execute("SELECT log2(2), ceil(1.5)")
    except sqlite3.OperationalError:
        import math  # noqa: PLC0415 - rarely needed.

        connection.create_function("log2", 1, math.log2, deterministic=True)
        connection.create_function("ceil", 1, math.ceil, deterministic=True)


def add_row(groups: dict[Group, Total], row: Sequence[Any], width: int) -> None:
    bucket, times, errors, request_bytes, response_bytes, micros = row[width:]
    total = groups.setdefault(tuple(row[:width]), Total())
    times = round(times)
    total.count += times
    total.errors += round(errors or 0)
    total.request_bytes += round(request_bytes or 0)
    total.response_bytes += round(response_bytes or 0)
    if bucket == _ZERO:
        total.latency.zeros += times
    elif bucket != _NONE:
        total.latency.buckets[bucket] = total.latency.buckets.get(bucket, 0) + times
        total.latency.micros += round(micros)


def document_of(summary: Summary, question: SummaryQuestion) -> dict[str, Any]:
    """A summary as the API gives it, the largest groups first."""
    seconds = max(0.001, (summary.until - summary.since) / timedelta(seconds=1))
    found = sorted(summary.groups.items(), key=lambda one: (-one[1].count, tuple(map(str, one[0]))))
    return {
        "source": summary.source,
        "resolution": summary.resolution,
        "since": text_of(summary.since),
        "until": text_of(summary.until),
        "latency": question.latency,
        "percentile_error": round(ERROR, 4),
        "groups": [
            dict(zip(question.group, group, strict=True))
            | total_of(total, seconds)
            | distribution(total, question)
            for group, total in found[: question.limit]
        ],
        "groups_left_out": max(0, len(found) - question.limit),
    }


def total_of(total: Total, seconds: float) -> dict[str, object]:
    latency = total.latency
    return {
        "count": total.count,
        "rate_per_s": float(f"{total.count / seconds:.4g}"),
        "errors": total.errors,
        "error_share": round(total.errors / total.count, 4) if total.count else None,
        "request_bytes": total.request_bytes,
        "response_bytes": total.response_bytes,
        "mean_ms": rounded(latency.mean),
        **{name: rounded(latency.percentile(share)) for name, share in SHARES.items()},
    }


def distribution(total: Total, question: SummaryQuestion) -> dict[str, object]:
    """All that is known of the latency: programs can add it up over nodes and times without an error."""
    return {"histogram": total.latency.to_otlp()} if question.histograms else {}


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

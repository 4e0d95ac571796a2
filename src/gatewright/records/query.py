"""`python -m gatewright.records.query`: answers questions about records, one after the other, in a process of
its own.

A question is one line of JSON on standard input, `{"kind": ..., "records": DIRECTORY, ...}`; its answer is
one line on standard output, `{"answer": ...}` or `{"error": ...}`. The process ends when its input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gatewright.insight.rollup_queries import count_rollups
from gatewright.records.conditions import OneOf, parse_condition, status_condition
from gatewright.records.fields import LATENCIES, RecordQueryError, known_field
from gatewright.records.moments import moment_of
from gatewright.records.reader import LIMIT, Place, Question, find_request, newer, newest_rows, page, utc_now
from gatewright.records.summary import Progress, SummaryQuestion, count_records, document_of
from gatewright.records.told import told

Asked = Mapping[str, Any]

PAGE_SECONDS = 3.0
SUMMARY_SECONDS = 12.0
SUMMARY_SINCE = timedelta(hours=1)
SUMMARY_LIMIT = 1000
SOURCES = ("auto", "rollups", "records")
NICE = 10
"""Processors are the gateway's first."""


def answer_page(asked: Asked) -> dict[str, Any]:
    """Records, the newest first, with a cursor for those that follow."""
    found = page(records_of(asked), question_from(asked), float(asked.get("seconds") or PAGE_SECONDS))
    done, all_of_them = found.scanned
    return {
        "records": found.records,
        "cursor": found.cursor,
        "scanned": {"segments": done, "of": all_of_them},
    }


def answer_request(asked: Asked) -> dict[str, Any] | None:
    """One record with the lines of the configuration that decided it."""
    record = find_request(records_of(asked), str(asked["request_id"]))
    if record is None:
        return None
    state = asked.get("state")
    return told(record, Path(state) if state else None)


def answer_newer(asked: Asked) -> dict[str, Any]:
    """What was stored since the last time; the first time, only where the end is."""
    directory, shown = records_of(asked), asked.get("shown")
    if shown is None:
        return {"records": [], "shown": newest_rows(directory)}
    found, reached = newer(directory, question_from(asked), shown)
    return {"records": found, "shown": reached}


def answer_summary(asked: Asked, progress: Progress | None = None) -> dict[str, Any]:
    """Counts and percentiles by group."""
    question = summary_question_from(asked)
    source = asked.get("source") or "auto"
    if source not in SOURCES:
        raise RecordQueryError(f"`source` is one of {', '.join(SOURCES)}, not `{source}`")
    rollups = asked.get("rollups")
    summary = None
    if source == "rollups" and not question.is_rolled_up:
        raise RecordQueryError("roll-ups do not know all of these fields; ask with `source` `records`")
    if source != "records" and question.is_rolled_up and rollups:
        summary = count_rollups(Path(rollups), question)
    if summary is None and source == "rollups":
        raise RecordQueryError("there are no roll-ups yet; ask with `source` `records`")
    if summary is None:
        seconds = float(asked.get("seconds") or SUMMARY_SECONDS)
        summary = count_records(records_of(asked), question, seconds, progress)
    return document_of(summary, question)


KINDS: dict[str, Callable[[Asked], Any]] = {
    "page": answer_page,
    "request": answer_request,
    "newer": answer_newer,
    "summary": answer_summary,
}


def records_of(asked: Asked) -> Path:
    """The directory of the segments. Raises `RecordQueryError` where records are not stored."""
    directory = asked.get("records")
    if not directory:
        raise RecordQueryError("records are not stored here; add a sink of kind `sqlite`")
    return Path(directory)


def conditions_from(asked: Asked) -> tuple[Any, ...]:
    texts = [str(text) for text in asked.get("where") or []]
    if asked.get("status"):
        texts.append(status_condition(str(asked["status"])))
    conditions = [parse_condition(text) for text in texts]
    if asked.get("user_ids"):
        conditions.append(OneOf("user_id", "=", None, values=tuple(map(str, asked["user_ids"]))))
    return tuple(conditions)


def times_from(asked: Asked) -> tuple[datetime | None, datetime | None]:
    now = utc_now()
    since, until = (
        moment_of(str(asked[name]), now) if asked.get(name) else None for name in ("since", "until")
    )
    if since is not None and until is not None and since >= until:
        raise RecordQueryError("`since` must be before `until`")
    return since, until


def question_from(asked: Asked) -> Question:
    """A question from its JSON form. Raises `RecordQueryError`."""
    since, until = times_from(asked)
    cursor = asked.get("cursor")
    return Question(
        conditions_from(asked),
        since,
        until,
        int(asked.get("limit") or LIMIT),
        Place.of_text(cursor) if cursor else None,
    )


def summary_question_from(asked: Asked) -> SummaryQuestion:
    """A question for a summary from its JSON form; of the last hour by default. Raises `RecordQueryError`."""
    since, until = times_from(asked)
    until = until or utc_now()
    latency = str(asked.get("of") or "total_latency_ms")
    if latency not in LATENCIES:
        raise RecordQueryError(f"percentiles are of one of {', '.join(LATENCIES)}, not of `{latency}`")
    question = SummaryQuestion(since or until - SUMMARY_SINCE, until, conditions_from(asked))
    group = tuple(known_field(str(name)) for name in asked.get("group") or [])
    return replace(
        question,
        group=group,
        latency=latency,
        limit=int(asked.get("limit") or SUMMARY_LIMIT),
        histograms=bool(asked.get("histograms")),
    )


def answered(asked: Asked) -> dict[str, Any]:
    """The answer to a question given as data, or the error. Never raises for a wrong question."""
    try:
        return {"answer": KINDS[str(asked["kind"])](asked)}
    except RecordQueryError as error:
        return {"error": str(error)}


def main() -> None:
    """Answer until nobody asks any more."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answered(json.loads(line)), ensure_ascii=False) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Records: each sink has a name and a spill of its own."""

import importlib.util
from collections.abc import Iterator
from typing import Any

from gatewright.config.crosschecks.view import View
from gatewright.config.models.records import LineSink, PostgresqlSink, SqliteSink
from gatewright.errors import Problem
from gatewright.records.conditions import parse_condition
from gatewright.records.fields import RecordQueryError, known_field

# What sinks of a kind import, and the extra that brings it.
LIBRARIES = {"postgresql": ("asyncpg", "postgresql"), "kafka": ("confluent_kafka", "kafka")}


def check(view: View) -> Iterator[Problem]:
    """Find sinks that could not be told apart, and waits that contradict each other."""
    yield from _libraries(view)
    for number, sink in enumerate(view.gateway.records.sinks):
        if isinstance(sink, LineSink) and sink.fields is not None:
            yield from _fields(view, number, sink)
    # A broken sink is left out or loses its name, and what is counted from then on are others.
    if not view.complete:
        return
    seen: set[str] = set()
    for number, sink in enumerate(view.gateway.records.sinks):
        name = sink.name or sink.kind
        if name in seen:
            yield view.at("records", "sinks", number).problem(
                f"a second sink called `{name}`; give each a `name` of its own"
            )
        seen.add(name)
        yield from _waits(view, number, sink)
        if isinstance(sink, SqliteSink | PostgresqlSink):
            yield from _keeps(view, number, sink)
    yield from _spills(view)


def _fields(view: View, number: int, sink: LineSink) -> Iterator[Problem]:
    if sink.format == "combined":
        yield view.at("records", "sinks", number, "fields").problem(
            "the format `combined` has fields of its own; leave `fields` out, or write `format: logfmt`"
        )
    for place, name in enumerate(sink.fields or []):
        try:
            known_field(name) if name != "decisions" else None
        except RecordQueryError as error:
            yield view.at("records", "sinks", number, "fields", place).problem(str(error))


def _keeps(view: View, number: int, sink: SqliteSink | PostgresqlSink) -> Iterator[Problem]:
    for place, rule in enumerate(sink.keep):
        where = ("records", "sinks", number, "keep", place)
        if rule.retention <= sink.retention:
            yield view.at(*where, "retention").problem(
                f"not longer than `retention` of the sink, `{sink.retention}`; leave the rule out"
            )
        for which, condition in enumerate(rule.where):
            try:
                parse_condition(condition)
            except RecordQueryError as error:
                yield view.at(*where, "where", which).problem(str(error))


def _libraries(view: View) -> Iterator[Problem]:
    for kind in dict.fromkeys(sink.kind for sink in view.gateway.records.sinks):
        library, extra = LIBRARIES.get(kind, ("", ""))
        if library and importlib.util.find_spec(library) is None:
            yield view.at("records", "sinks").problem(
                f"sinks of kind `{kind}` need {library}; `pip install 'gatewright[{extra}]'`"
            )


def _waits(view: View, number: int, sink: Any) -> Iterator[Problem]:
    if sink.retry.first > sink.retry.longest:
        yield view.at("records", "sinks", number, "retry").problem(
            f"`first` is longer than `longest`; write `first: {sink.retry.longest}` or less"
        )
    if sink.batch.bytes > sink.queue:
        yield view.at("records", "sinks", number).problem(
            f"a queue of `{sink.queue}` never holds a batch of `{sink.batch.bytes}`; let `queue` be larger "
            "than `batch.bytes`"
        )


def _spills(view: View) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, sink in enumerate(view.gateway.records.sinks):
        directory = sink.spill.directory if sink.spill is not None else None
        if directory is not None and directory in seen:
            yield view.at("records", "sinks", number, "spill", "directory").problem(
                f"`{directory}` has the spill of another sink; give each a directory of its own"
            )
        seen.add(directory or "")

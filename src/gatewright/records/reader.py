"""Questions to stored records. Runs outside the process that writes, because a reader there halves its
rate.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gatewright.errors import GatewrightError
from gatewright.records import segments

LIMIT = 100
LONGEST_LIMIT = 10_000
OPERATORS = {"=": "=", "!=": "<>", ">=": ">=", "<=": "<=", ">": ">", "<": "<"}
NUMBERS = frozenset({"INTEGER", "REAL"})


class RecordQueryError(GatewrightError):
    """A question about records makes no sense, or their store cannot be read."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a stored field with a value."""

    name: str
    operator: str
    value: str

    def sql(self) -> tuple[str, object]:
        """A comparison with one question mark, and what stands for it. Raises `RecordQueryError`."""
        kind = segments.COLUMNS.get(self.name)
        if kind is None or self.operator not in OPERATORS:
            known = ", ".join(segments.COLUMNS)
            raise RecordQueryError(
                f"records cannot be filtered by `{self.name}{self.operator}`; known: {known}"
            )
        # `IS NOT` where `<>` would leave out records that have no value at all.
        operator = "IS NOT" if self.operator == "!=" else OPERATORS[self.operator]
        return f"{self.name} {operator} ?", self._value(kind)

    def _value(self, kind: str) -> object:
        if kind not in NUMBERS:
            return self.value
        try:
            return (
                {"true": 1, "false": 0}.get(self.value)
                if self.value in ("true", "false")
                else float(self.value)
            )
        except ValueError as error:
            raise RecordQueryError(f"`{self.name}` is a number, not `{self.value}`") from error


@dataclass(frozen=True, slots=True)
class Question:
    """Which records are wanted: all conditions hold, newest first, at most `limit` of them."""

    conditions: tuple[Condition, ...] = ()
    since: datetime | None = None
    limit: int = LIMIT
    # Lowest and highest status, both included.
    status: tuple[int, int] | None = None

    def sql(self) -> tuple[str, list[object]]:
        """The statement for one segment. Raises `RecordQueryError`."""
        tests: list[str] = []
        values: list[object] = []
        for condition in self.conditions:
            test, value = condition.sql()
            tests.append(test)
            values.append(value)
        if self.status is not None:
            tests.append("status BETWEEN ? AND ?")
            values += self.status
        if self.since is not None:
            tests.append("timestamp >= ?")
            values.append(text_of(self.since))
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        # Names come from a fixed list and values are bound, so nothing that is asked becomes SQL.
        statement = f"SELECT record FROM records{where} ORDER BY timestamp DESC, rowid DESC LIMIT ?"  # noqa: S608
        return statement, values


def text_of(moment: datetime) -> str:
    """A moment as records write it, so that text compares as time does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_condition(text: str) -> Condition:
    """`route_id=users`, `total_latency_ms>=100`. Raises `RecordQueryError`."""
    for operator in sorted(OPERATORS, key=len, reverse=True):
        name, found, value = text.partition(operator)
        if found and name.isidentifier():
            return Condition(name, operator, value)
    raise RecordQueryError(f"`{text}` is no filter; write `field=value`, or !=, <, <=, >, >=")


def parse_status(text: str) -> tuple[int, int]:
    """`404` or `5xx`. Raises `RecordQueryError`."""
    if len(text) == 3 and text[0] in "12345":
        if text[1:].lower() == "xx":
            return int(text[0]) * 100, int(text[0]) * 100 + 99
        if text.isdigit():
            return int(text), int(text)
    raise RecordQueryError(f"`{text}` is no status; write `404` or `5xx`")


def find(directory: Path, question: Question) -> Iterator[dict[str, object]]:
    """Records that answer the question, newest first. Raises `RecordQueryError`."""
    statement, values = question.sql()
    left = min(question.limit, LONGEST_LIMIT)
    for path in segments.newest_first(directory, question.since):
        if left <= 0:
            return
        for line in read(path, statement, [*values, left]):
            left -= 1
            yield json.loads(line)


def find_request(directory: Path, request_id: str) -> dict[str, object] | None:
    """The newest record with this request id, or `None`. Raises `RecordQueryError`."""
    return next(find(directory, Question((Condition("request_id", "=", request_id),), limit=1)), None)


def read(path: Path, statement: str, values: list[object]) -> list[str]:
    """The first column of what a statement gives on one segment, opened without the right to write."""
    try:
        return select(uri_of(path), statement, values)
    except sqlite3.DatabaseError as error:
        if not path.exists():
            # Retention deleted it since the directory was listed.
            return []
        raise RecordQueryError(f"{path}: cannot be read: {error}") from error


def uri_of(path: Path) -> str:
    """How to open a segment for reading alone.

    One without a log is closed and changes no more: said so, SQLite makes no files beside it, which a
    reader of another account may not do, and could not delete.
    """
    is_closed = not path.with_name(path.name + "-wal").exists()
    return f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if is_closed else ''}"


def select(uri: str, statement: str, values: list[object]) -> list[str]:
    connection = sqlite3.connect(uri, uri=True, timeout=5.0)
    try:
        return [row[0] for row in connection.execute(statement, values)]
    except sqlite3.OperationalError as error:
        # The writer has made the file and not yet its table.
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()

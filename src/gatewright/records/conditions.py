"""Conditions of questions: `status>=500`, `route_id=users`, `decision.limit.verdict=refused`.

Names come from fixed lists and values are bound, so nothing that is asked becomes SQL.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from gatewright.records.fields import FIELDS, RecordQueryError, known_field

OPERATORS = ("!=", "!~", ">=", "<=", "=", "~", ">", "<")
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
ORDERING = frozenset({">=", "<=", ">", "<"})
STAGES = (
    "listener",
    "intake",
    "route",
    "shed",
    "authenticate",
    "authorize",
    "limit",
    "balance",
    "proxy",
    "respond",
)
ANY_STAGE = "*"
# Parts of every decision; any other name is one of its inputs.
PARTS = frozenset({"verdict", "rule", "at", "waited_ms", "waited_for", "waited_at_ms"})
NOTHING = "null"
_NAME = re.compile(
    r"(decision\.(?P<stage>[a-z*]+)\.(?P<part>[a-z_]+)|[a-z_]+)\s*(?P<operator>[!<>]=|!~|[=~<>])"
)
_CLASS = re.compile(r"[1-5][xX]{2}")

Sql = tuple[str, list[object]]


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `stage` is set where it is about a decision and not about a field of the record."""

    name: str
    operator: str
    value: str | None
    stage: str | None = None

    def sql(self, columns: Container[str]) -> Sql:
        """A test of a segment that has these columns, with question marks, and what stands for them."""
        if self.stage is not None:
            return self._decision_sql()
        expression, values = expression_of(self.name, columns)
        test, compared = self._test(expression, FIELDS[self.name])
        return test, [*values * test.count(expression), *compared]

    def holds(self, value: object) -> bool:
        """Does it hold for this value of its field? Of numbers and texts alone."""
        if self.value is None:
            return (value is None) == (self.operator == "=")
        if value is None:
            # As SQL has it where the order matters: nothing is neither more nor less.
            return self.operator in {"!=", "!~"}
        if self.operator in {"~", "!~"}:
            return (self.value in str(value)) == (self.operator == "~")
        if self._is_class:
            return (int(float(str(value))) // 100 == int(self.value[:1])) == (self.operator == "=")
        if FIELDS[self.name] == "number":
            return COMPARED[self.operator](float(str(value)), number(self))
        return COMPARED[self.operator](str(value), self.value)

    @property
    def _is_class(self) -> bool:
        """`5xx`, of which there is no more and no less."""
        is_one = self.name == "status" and self.value is not None and _CLASS.fullmatch(self.value)
        return bool(is_one) and self.operator in {"=", "!="}

    def _test(self, expression: str, kind: str) -> Sql:
        if self.value is None:
            return f"{expression} IS {'NOT ' if self.operator == '!=' else ''}NULL", []
        if self.operator in {"~", "!~"}:
            found = "> 0" if self.operator == "~" else "= 0"
            return f"instr(COALESCE({expression}, ''), ?) {found}", [self.value]
        if self._is_class:
            lowest = int(self.value[0]) * 100
            within = "BETWEEN" if self.operator == "=" else "NOT BETWEEN"
            return f"COALESCE({expression}, 0) {within} ? AND ?", [lowest, lowest + 99]
        # `IS NOT` where `<>` would leave out records that have no value at all.
        test = "IS NOT" if self.operator == "!=" else self.operator
        return f"{expression} {test} ?", [self._bound(kind)]

    def _bound(self, kind: str) -> object:
        if kind == "truth":
            if self.value not in {"true", "false"}:
                raise RecordQueryError(f"`{self.name}` is `true` or `false`, not `{self.value}`")
            return int(self.value == "true")
        return number(self) if kind == "number" else self.value

    def _decision_sql(self) -> Sql:
        """A test that some decision is so; with `!=`, `!~` and `=null` that none is."""
        path = f"$.{self.name}" if self.name in PARTS else f'$.inputs."{self.name}"'
        values: list[object] = []
        tests = []
        if self.stage != ANY_STAGE:
            tests.append("json_extract(d.value, '$.stage') = ?")
            values.append(self.stage)
        tests.append("json_extract(d.value, ?) IS NOT NULL")
        values.append(path)
        if self.value is not None:
            test, value = self._compared()
            tests.append(test)
            values += [path, value]
        none = self.operator in {"!=", "!~"} if self.value is not None else self.operator == "="
        # Of refusals before there is a decision the list is empty, and of records that are none it is absent.
        exists = f"EXISTS (SELECT 1 FROM json_each(record, '$.decisions') d WHERE {' AND '.join(tests)})"  # noqa: S608 - of ours.
        return f"{'NOT ' if none else ''}{exists}", values

    def _compared(self) -> tuple[str, object]:
        if self.operator in ORDERING:
            return f"CAST(json_extract(d.value, ?) AS REAL) {self.operator} ?", number(self)
        if self.operator in {"~", "!~"}:
            return "instr(CAST(json_extract(d.value, ?) AS TEXT), ?) > 0", self.value
        # SQLite gives truth values as numbers.
        value = {"true": "1", "false": "0"}.get(self.value or "", self.value)
        return "CAST(json_extract(d.value, ?) AS TEXT) = ?", value


@dataclass(frozen=True, slots=True)
class OneOf(Condition):
    """A field that has one of several values: whatever a record may call the same user."""

    values: tuple[str, ...] = ()

    def sql(self, columns: Container[str]) -> Sql:
        expression, values = expression_of(self.name, columns)
        marks = ", ".join("?" * len(self.values))
        return f"{expression} IN ({marks})", [*values, *self.values]

    def holds(self, value: object) -> bool:
        return value in self.values


def expression_of(name: str, columns: Container[str]) -> Sql:
    """What stands for a field of the record in SQL: its column where the segment has one."""
    if name in columns:
        return name, []
    return "json_extract(record, ?)", [f"$.{name}"]


def number(condition: Condition) -> float:
    """The value as a number. Raises `RecordQueryError`."""
    try:
        return float(condition.value or "")
    except ValueError as error:
        raise RecordQueryError(
            f"`{condition.name}` is compared with a number, not `{condition.value}`"
        ) from error


def parse_condition(text: str) -> Condition:
    """Read one condition and check it. Raises `RecordQueryError` with what would work."""
    match = _NAME.match(text)
    if match is None:
        cure = f"write `field=value`, with one of {' '.join(OPERATORS)}, such as `status>=500`"
        raise RecordQueryError(f"`{text}` is no condition; {cure}")
    written = text[match.end() :].strip()
    value = None if written == NOTHING else written.removeprefix('"').removesuffix('"')
    sign = match["operator"]
    if match["stage"] is None:
        condition = Condition(known_field(match[1]), sign, value)
    else:
        condition = Condition(match["part"], sign, value, known_stage(match["stage"]))
    if value is None and sign not in {"=", "!="}:
        raise RecordQueryError(f"`{text}`: `null` can only be compared by `=` and `!=`")
    condition.sql(())
    return condition


def known_stage(stage: str) -> str:
    """The name itself. Raises `RecordQueryError` with those there are."""
    if stage in STAGES or stage == ANY_STAGE:
        return stage
    close = difflib.get_close_matches(stage, STAGES, 1)
    meant = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(STAGES)}, and `*` for any"
    raise RecordQueryError(f"no stage is called `{stage}`; {meant}")


def status_condition(text: str) -> str:
    """`404` or `5xx` as a condition. Raises `RecordQueryError`."""
    if _CLASS.fullmatch(text) or (text.isdigit() and len(text) == 3 and text[0] in "12345"):
        return f"status={text}"
    raise RecordQueryError(f"`{text}` is no status; write `404` or `5xx`")

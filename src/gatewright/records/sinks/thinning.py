"""Records that rules keep for longer than the rest of their hour or day: how long each stays, which ones are
meant, and the thread in which a store is thinned. What thinning is, each store says for itself
(`sqlite_thinning.py`, `postgresql_thinning.py`).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from gatewright.config.models.records import Keep
from gatewright.config.quantities import Duration
from gatewright.records.conditions import Condition, Sql, parse_condition

NICENESS = 10
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class KeepRule:
    """Records for which all conditions hold stay until this age."""

    conditions: tuple[Condition, ...]
    retention: timedelta


@dataclass(slots=True)
class Retention:
    """How old records get: all of them, and those that rules name."""

    everything: timedelta
    rules: tuple[KeepRule, ...] = ()

    @classmethod
    def of(cls, retention: Duration, keep: Iterable[Keep]) -> Retention:
        """As the configuration says it."""
        rules = (
            KeepRule(tuple(map(parse_condition, one.where)), timedelta(milliseconds=one.retention))
            for one in keep
        )
        return cls(timedelta(milliseconds=retention), tuple(rules))

    @property
    def limits(self) -> list[timedelta]:
        return [self.everything, *(rule.retention for rule in self.rules)]

    @property
    def longest(self) -> timedelta:
        """When nothing of an hour or day is left."""
        return max(self.limits)

    def passed(self, age: timedelta) -> timedelta | None:
        """The last limit that an hour or day of this age has passed."""
        return max((limit for limit in self.limits if limit <= age), default=None)

    def rules_beyond(self, limit: timedelta) -> list[KeepRule]:
        """Those that keep something of what has passed this limit."""
        return [rule for rule in self.rules if rule.retention > limit]


def tests_of(rules: Sequence[KeepRule], columns: Container[str]) -> Sql:
    """What SQLite asks of records that have these columns: does one of the rules, of which there must be
    some, keep them? With question marks, and what stands for them.
    """
    tests: list[str] = []
    values: list[object] = []
    for rule in rules:
        parts = [condition.sql(columns) for condition in rule.conditions]
        tests.append(f"({' AND '.join(test for test, _ in parts)})")
        values += [value for _, bound in parts for value in bound]
    return " OR ".join(tests), values


class Judge:
    """Says which records rules keep where a store has no SQLite of its own: by the very test that thins files
    of SQLite, so that a condition means the same wherever records are.
    """

    def __init__(self, rules: Sequence[KeepRule]) -> None:
        tests, self._values = tests_of(rules, ())
        self._select = f"SELECT key FROM (SELECT key, value AS record FROM json_each(?)) WHERE {tests}"  # noqa: S608 - of ours.
        self._connection = sqlite3.connect(":memory:")

    def kept(self, records: str) -> list[int]:
        """The places of those that are kept, of a JSON array of records."""
        return [place for (place,) in self._connection.execute(self._select, [records, *self._values])]


@dataclass(slots=True)
class Thinned:
    """What came of it: hours or days of which only what rules keep is left, and those that failed."""

    segments: int = 0
    failures: int = 0


class Thinner(ABC):
    """Works in a thread of its own, at a lower priority, which ends when nothing is due."""

    def __init__(self, retention: Retention) -> None:
        self.counts = Thinned()
        self._retention = retention
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def begin(self, now: datetime) -> None:
        """Thin what is due, unless that is under way. Does not wait."""
        if self._retention.rules and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, args=(now,), name="thinning", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Give up what is under way; it is begun anew the next time."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self, now: datetime) -> None:
        with contextlib.suppress(OSError):
            # Of this thread alone.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        self._thin_due(now)

    @abstractmethod
    def _thin_due(self, now: datetime) -> None:
        """Thin one after the other until nothing is due or it is to end; count and log what fails."""


@runtime_checkable
class ThinnedSink(Protocol):
    """A sink whose store can be thinned."""

    @property
    def name(self) -> str: ...

    @property
    def thinner(self) -> Thinner: ...

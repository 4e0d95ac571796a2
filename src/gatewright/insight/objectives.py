"""Objectives: what share of requests has to be well, what is left of the error budget, how fast it burns.

Good and all requests are counted by the minute for as long as the longest window asks, and kept over
restarts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gatewright.control.durable import write_durably

MINUTE = 60
FAILED = 500
# Of the Site Reliability Workbook: a burn rate, the long window, the short one, and how bad it is. The short
# window lets the alert end soon after the fault does.
BURNS = (
    (14.4, 3600, 300, "critical"),
    (6.0, 21_600, 1800, "high"),
    (1.0, 259_200, 21_600, "medium"),
)
KEPT_DAYS = 30


class Answered(Protocol):
    """What of a record an objective reads."""

    @property
    def status(self) -> int | None: ...
    @property
    def route_id(self) -> str | None: ...
    @property
    def backend_service(self) -> str | None: ...
    @property
    def total_latency_ms(self) -> float | None: ...
    @property
    def gateway_overhead_ms(self) -> float | None: ...
    @property
    def sampling_weight(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Goal:
    """One objective. Milliseconds; `window` in seconds."""

    name: str
    kind: str
    target: float
    threshold: float | None = None
    of: str = "total"
    routes: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    window: float = 30 * 86_400

    def concerns(self, record: Answered) -> bool:
        return (not self.routes or record.route_id in self.routes) and (
            not self.services or record.backend_service in self.services
        )

    def is_bad(self, record: Answered) -> bool:
        if self.threshold is None:
            return (record.status or 0) >= FAILED
        taken = record.total_latency_ms if self.of == "total" else record.gateway_overhead_ms
        return (taken or 0) > self.threshold


class Budget:
    """What one objective has counted: by minute, all requests and those that were not well."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.minutes: dict[int, list[float]] = {}

    def add(self, record: Answered, now: float) -> None:
        if not self.goal.concerns(record):
            return
        counted = self.minutes.setdefault(int(now) // MINUTE, [0.0, 0.0])
        weight = record.sampling_weight or 1
        counted[0] += weight
        counted[1] += weight * self.goal.is_bad(record)

    def counts(self, since: float, until: float) -> tuple[float, float]:
        """All requests of this time, and those that were not well."""
        first, last = int(since) // MINUTE, int(until) // MINUTE
        found = [counted for minute, counted in list(self.minutes.items()) if first < minute <= last]
        return sum(one[0] for one in found), sum(one[1] for one in found)

    def burn(self, now: float, window: float) -> float:
        """How many times faster than allowed the budget was used in this window; 0 without requests."""
        total, bad = self.counts(now - window, now)
        return bad / total / (1 - self.goal.target) if total else 0.0

    def left(self, now: float) -> float:
        """The share of the budget that is left; below 0 where more was used than there is."""
        total, bad = self.counts(now - self.goal.window, now)
        return 1 - bad / (total * (1 - self.goal.target)) if total else 1.0

    def age(self, now: float) -> None:
        oldest = int(now - KEPT_DAYS * 86_400) // MINUTE
        for minute in [minute for minute in self.minutes if minute < oldest]:
            del self.minutes[minute]


class Budgets:
    """The budgets of all objectives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._budgets: dict[str, Budget] = {}

    def use(self, goals: Sequence[Goal]) -> None:
        """Count for these from now on; what one of the same meaning has counted stays."""
        with self._lock:
            before = {budget.goal: budget for budget in self._budgets.values()}
            self._budgets = {goal.name: before.get(goal) or Budget(goal) for goal in goals}

    def add(self, record: Answered, now: float) -> None:
        for budget in self._budgets.values():
            budget.add(record, now)

    def all(self) -> list[Budget]:
        return list(self._budgets.values())

    def save(self, path: Path, now: float) -> None:
        """Keep what was counted. Raises `OSError`."""
        with self._lock:
            for budget in self._budgets.values():
                budget.age(now)
            kept = {budget.goal.name: [stamp(budget.goal), budget.minutes] for budget in self.all()}
        write_durably(path, json.dumps(kept).encode())

    def load(self, path: Path) -> None:
        """Count on from what was kept. Nothing where there is nothing that can be read."""
        try:
            kept: dict[str, Any] = json.loads(path.read_bytes())
            for name, (made_for, minutes) in kept.items():
                budget = self._budgets.get(name)
                if budget is not None and made_for == stamp(budget.goal) and not budget.minutes:
                    budget.minutes = {
                        int(minute): [float(one) for one in two] for minute, two in minutes.items()
                    }
        except (OSError, ValueError, TypeError, AttributeError):
            return


def stamp(goal: Goal) -> str:
    """What a count is of: with another objective under the name it begins anew."""
    listed: Iterable[object] = (goal.kind, goal.target, goal.threshold, goal.of)
    return repr((*listed, sorted(goal.routes), sorted(goal.services)))

"""Objectives: what share of requests has to be well, what is left of the error budget, how fast it burns.

Good and all requests are counted by the minute, and by the hour when they are older than any short window
asks for; what was before comes from roll-ups (`budget_history.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gatewright.insight.cells import FIRST_ERROR
from gatewright.insight.counts import Counted
from gatewright.insight.histogram import bucket_of

MINUTE = 60
HOUR_MINUTES = 60
# Of the Site Reliability Workbook: a burn rate, the long window, the short one, and how bad it is. The short
# window lets the alert end soon after the fault does.
BURNS = (
    (14.4, 3600, 300, "critical"),
    (6.0, 21_600, 1800, "high"),
    (1.0, 259_200, 21_600, "medium"),
)
KEPT_SECONDS = 30 * 86_400
FINE_SECONDS = 7 * 3600
"""How far back minutes are told apart: a window of six hours, and an hour that is not over."""

Minutes = dict[int, list[int]]
"""All requests and those that were not well, by the number of the minute, or of the first one of an hour."""


@dataclass(frozen=True)
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

    @cached_property
    def edge(self) -> int | None:
        """The bucket of the threshold, if there is one: what is in it or below is good."""
        return None if self.threshold is None else bucket_of(self.threshold)

    def concerns(self, route: str, service: str) -> bool:
        return (not self.routes or route in self.routes) and (not self.services or service in self.services)

    def bad(self, cell: Counted) -> int:
        """How many requests of a cell were not well."""
        if self.edge is None:
            return cell.requests if cell.status >= FIRST_ERROR else 0
        edge, (_, _, pairs) = self.edge, cell.total if self.of == "total" else cell.overhead
        return sum(times for bucket, times in pairs if bucket > edge)


class Budget:
    """What one objective has counted: by minute, all requests and those that were not well. It says something
    once what was before has been looked for (`is_filled`).
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.minutes: Minutes = {}
        self.is_filled = False
        self.missed: list[tuple[float, float]] = []
        """Times (since, until) of which something is known to be missing."""

    def add(self, cell: Counted) -> None:
        if not self.goal.concerns(cell.route_id, cell.backend_service):
            return
        minute = cell.minute // MINUTE
        if minute not in self.minutes:
            self.minutes = aged(self.minutes, minute)
        counted = self.minutes.setdefault(minute, [0, 0])
        counted[0] += cell.requests
        counted[1] += self.goal.bad(cell)

    def counts(self, since: float, until: float) -> tuple[int, int]:
        """All requests of this time, and those that were not well."""
        first, last = int(since) // MINUTE, int(until) // MINUTE
        found = [counted for minute, counted in list(self.minutes.items()) if first < minute <= last]
        return sum(one[0] for one in found), sum(one[1] for one in found)

    def burn(self, now: float, window: float) -> float:
        """How many times faster than allowed the budget was used in this window; 0 without requests."""
        total, bad = self.counts(now - window, now)
        return bad / total / (1 - self.goal.target) if total else 0.0

    def is_complete(self, now: float) -> bool:
        """Whether all requests of its window are counted, as far as anybody knows."""
        since = now - self.goal.window
        return self.is_filled and all(until <= since for _, until in self.missed)

    def left(self, now: float) -> float:
        """The share of the budget that is left; below 0 where more was used than there is."""
        total, bad = self.counts(now - self.goal.window, now)
        return 1 - bad / (total * (1 - self.goal.target)) if total else 1.0


def aged(minutes: Minutes, newest: int) -> Minutes:
    """The same counts when it is this minute: what is old by the hour, what is too old not at all."""
    fine = newest - FINE_SECONDS // MINUTE
    oldest = newest - KEPT_SECONDS // MINUTE
    found: Minutes = {}
    for minute, (total, bad) in minutes.items():
        if minute < oldest:
            continue
        counted = found.setdefault(minute if minute >= fine else minute - minute % HOUR_MINUTES, [0, 0])
        counted[0] += total
        counted[1] += bad
    return found


class Budgets:
    """The budgets of all objectives."""

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}

    def use(self, goals: Sequence[Goal]) -> None:
        """Count for these from now on; what one of the same meaning has counted stays."""
        before = {budget.goal: budget for budget in self.all()}
        self._budgets = {goal.name: before.get(goal) or Budget(goal) for goal in goals}

    def pause(self) -> None:
        """Say nothing until what is missed from now on has been looked for."""
        for budget in self.all():
            budget.is_filled = False

    def add(self, cells: Sequence[Counted]) -> None:
        for budget in self.all():
            for cell in cells:
                budget.add(cell)

    def all(self) -> list[Budget]:
        return list(self._budgets.values())

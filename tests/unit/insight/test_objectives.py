"""Objectives: what they count, what they keep of it, and what roll-ups say of the time before."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.counted import cell
from gatewright.insight import rollups
from gatewright.insight.budget_history import LockedError, history
from gatewright.insight.counting import Counting
from gatewright.insight.counts import Counted
from gatewright.insight.histogram import BASE
from gatewright.insight.objectives import Budget, Budgets, Goal
from gatewright.insight.reading import burns
from gatewright.insight.rollups import RollupSettings, RollupWriter
from gatewright.insight.states import States

NOW = datetime(2026, 11, 27, 14, 30, 20, tzinfo=UTC)
START = NOW.timestamp()
MINUTE, HOUR, DAY = 60, 3600, 86_400


def goal(**changed: Any) -> Goal:
    return replace(Goal("up", "availability", 0.999), **changed)


def came(
    ago: float, requests: int = 1, latency: float = 10.0, overhead: float = 1.0, **fields: Any
) -> Counted:
    """Requests that began so many seconds ago."""
    minute = int(START - ago) // MINUTE * MINUTE
    return cell(minute, ([latency] * requests, [overhead] * requests, ()), **fields)


def all_of(budget: Budget) -> tuple[int, int]:
    return budget.counts(START - 30 * DAY, START)


def test_a_budget_counts_what_concerns_it_and_is_used_up() -> None:
    budgets = Budgets()
    goals = [
        goal(services=frozenset({"users"})),
        Goal("fast", "latency", 0.9, 100.0, "total"),
        Goal("thin", "latency", 0.9, 5.0, "overhead", routes=frozenset({"users"})),
    ]
    budgets.use(goals)
    budgets.add([came(0, 1, 200.0, 6.0, status=500), came(0, 4, 200.0, 6.0), came(0, 15, 10.0, 6.0)])
    budgets.add([came(0, 80), came(0, 100, status=500, route_id="s", backend_service="orders")])
    up, fast, thin = budgets.all()
    assert [all_of(one) for one in (up, fast, thin)] == [(100, 1), (200, 5), (100, 20)]
    assert up.left(START) == pytest.approx(-9)
    assert fast.left(START) == pytest.approx(0.75)
    assert thin.burn(START, HOUR) == pytest.approx(2)


def test_what_shares_the_bucket_of_the_threshold_is_good_and_the_next_one_is_not() -> None:
    budget = Budget(Goal("fast", "latency", 0.9, 100.0))
    budget.add(came(0, 1, 100.0))
    assert all_of(budget) == (1, 0)
    edge = next(BASE**step for step in range(1000) if BASE**step >= 100)
    assert edge / 100 < 1.044
    budget.add(came(0, 1, edge * 0.9999))
    assert all_of(budget) == (2, 0)
    budget.add(came(0, 1, edge * 1.0001))
    assert all_of(budget) == (3, 1)


def test_what_stays_the_same_objective_goes_on_counting() -> None:
    budgets = Budgets()
    budgets.use([goal()])
    budgets.add([came(0, status=500)])
    budgets.use([goal(), goal(name="other")])
    assert [all_of(one) for one in budgets.all()] == [(1, 1), (0, 0)]
    budgets.use([goal(target=0.99)])
    assert [all_of(one) for one in budgets.all()] == [(0, 0)]


def test_what_is_old_is_kept_by_the_hour_and_then_not_at_all() -> None:
    budget = Budget(goal())
    for minute in range(7 * 6600, -1, -7):
        budget.add(came(minute * MINUTE))
    assert len(budget.minutes) < 30 * 24 + 8 * 60
    assert all_of(budget)[0] == pytest.approx(30 * DAY / MINUTE / 7, abs=10)
    assert budget.counts(START - 300, START)[0] == 1
    assert budget.counts(START - 6 * HOUR, START)[0] in (51, 52)
    assert budget.counts(START - 60 * DAY, START - 31 * DAY) == (0, 0)


def test_a_budget_that_burns_fast_is_told_in_both_windows_and_its_end_soon() -> None:
    budget, states = Budget(goal()), States(resolve_after=0.0)
    told: list[tuple[str, str, str]] = []

    def pass_minutes(first: int, count: int, bad: int) -> None:
        told.clear()
        for number in range(first, first + count):
            ago = -number * MINUTE
            budget.add(came(ago, 100 - bad))
            budget.add(came(ago, bad, status=500))
            now = START + number * MINUTE
            told.extend(
                (one.happening, one.alert.name, one.alert.subject)
                for one in states.update(burns([budget], now), now)
            )

    pass_minutes(0, 60, 0)
    assert told == []
    pass_minutes(60, 30, 10)
    assert ("firing", "burn_rate_14.4x", "up") in told
    pass_minutes(90, 8, 0)
    assert ("resolved", "burn_rate_14.4x", "up") in told


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """Writes what was counted to roll-ups, as an earlier process did."""

    def wrote(*cells: Counted) -> None:
        writer = RollupWriter(RollupSettings(tmp_path), lambda: None, lambda: NOW)
        writer.add(cells)
        writer.close()

    return wrote


class Source:
    """A data plane that counted what a test says."""

    def __init__(self) -> None:
        self.cells: list[Counted] = []

    def count_requests(self, most: int) -> None:
        """Counted anyway."""

    def take_counts(self) -> list[tuple[Any, ...]]:
        taken, self.cells = self.cells, []
        return [tuple(one) for one in taken]


def filled(tmp_path: Path, source: Source, *goals: Goal) -> tuple[Counting, Budgets]:
    """What a node has that counts for these, and has looked for what was before."""
    counting, budgets = Counting(source), Budgets()
    counting.use(RollupSettings(tmp_path, interval=HOUR))
    counting.counts.attach(budgets)
    budgets.use(goals)
    counting.fill(budgets.all(), START)
    return counting, budgets


def test_a_budget_goes_on_from_roll_ups_of_every_age_and_counts_nothing_twice(tmp_path: Path, write) -> None:
    ages = (40 * DAY, 20 * DAY, 2 * DAY, 7 * HOUR, 5 * HOUR, HOUR, 0)
    for ago in ages:
        # The threshold's own bucket is good here, too.
        write(came(ago, 10, 100.0), came(ago, 1, 150.0, status=502), came(ago, 1, route_id="s", status=500))
    source = Source()
    source.cells = [came(0, 3, status=500)]
    users = frozenset({"users"})
    goals = goal(routes=users), goal(name="fast", threshold=100.0, routes=users), goal(name="all")
    counting, budgets = filled(tmp_path, source, *goals)
    up, fast, every = budgets.all()
    assert [all_of(one) for one in (up, fast, every)] == [(69, 9), (69, 6), (75, 15)]
    # Taken before it was filled, and in the roll-ups since then; what is taken afterwards is added once.
    source.cells = [came(0, 1, status=500)]
    counting.counts.take()
    assert all_of(up) == (70, 10)
    counting.fill(budgets.all(), START)
    assert all_of(up) == (70, 10)
    assert up.counts(START - 300, START) == (15, 5)
    assert up.counts(START - 6 * HOUR, START) == (37, 7)
    counting.close()


def test_of_time_whose_minutes_were_given_up_there_are_hours(tmp_path: Path, write) -> None:
    write(came(3 * HOUR), came(15 * HOUR))
    (tmp_path / "minutes-from").write_text("20261128\n")
    for path in tmp_path.glob("rollups-202611??.sqlite*"):
        path.unlink()
    found = history(tmp_path, [goal()], START)
    assert (sum(total for total, _ in found.minutes[0].values()), found.missed) == (2, [])
    (tmp_path / "hours-from").write_text("20261201\n")
    for path in tmp_path.glob("rollups-202611.sqlite*"):
        path.unlink()
    found = history(tmp_path, [goal()], START)
    assert (sum(total for total, _ in found.minutes[0].values()), found.missed) == (2, [])


def test_reading_ends_when_its_time_is_over_and_has_the_newest(tmp_path: Path, write, caplog) -> None:
    write(came(20 * DAY), came(0))
    found = history(tmp_path, [goal()], START, seconds=0.0)
    assert list(found.minutes[0]) == [int(START) // MINUTE]
    assert "error budgets begin with a part" in caplog.text
    [(since, until)] = found.missed
    assert (since, START - DAY < until < START + DAY) == (0, True)


def test_a_file_that_is_none_costs_only_what_it_had(tmp_path: Path, write, caplog) -> None:
    write(came(20 * DAY), came(0))
    day = NOW - timedelta(hours=7)
    (tmp_path / f"rollups-{day:%Y%m%d}.sqlite").write_bytes(
        b"no database at all, and longer than a header" * 9
    )
    found = history(tmp_path, [goal()], START)
    assert sum(total for total, _ in found.minutes[0].values()) == 1
    assert "roll-ups cannot be read" in caplog.text
    assert found.missed == [(START // HOUR * HOUR - 7 * HOUR, int(START) + MINUTE)]


def test_a_file_that_is_locked_is_waited_for_briefly_and_read_later(tmp_path: Path, write) -> None:
    write(came(0))
    blocker = sqlite3.connect(tmp_path / f"rollups-{NOW:%Y%m%d}.sqlite", isolation_level=None)
    blocker.execute("PRAGMA locking_mode=EXCLUSIVE")
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LockedError, match=r"rollups-20261127\.sqlite: database is locked"):
        history(tmp_path, [goal()], START)
    blocker.close()
    assert history(tmp_path, [goal()], START).missed == []


def test_a_budget_that_is_filled_after_counts_were_dropped_is_incomplete_until_its_window_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "MOST_UNWRITTEN", 10)
    hours = tmp_path / f"rollups-{NOW:%Y%m}.sqlite"
    hours.mkdir()
    writer = RollupWriter(RollupSettings(tmp_path), lambda: None, lambda: NOW)
    writer.add([came(9 * HOUR, route_id=f"r{number}") for number in range(30)])
    writer.flush()
    writer.close()
    hours.rmdir()
    # Another process learns of it, too.
    lost = RollupWriter(RollupSettings(tmp_path), lambda: None, lambda: NOW).lost.all(tmp_path)
    budget = Budget(goal(window=10 * HOUR))
    [budget.minutes], budget.missed = (
        (found := history(tmp_path, [budget.goal], START, lost)).minutes,
        found.missed,
    )
    assert all_of(budget) == (0, 0)
    assert not budget.is_complete(START)
    budget.is_filled = True
    assert not budget.is_complete(START)
    assert budget.is_complete(START + 2 * HOUR)
    # What was dropped of hours is no loss to who asks for minutes.
    assert history(tmp_path, [budget.goal], START - 9 * HOUR, lost).missed == []


def test_without_roll_ups_a_budget_keeps_what_it_counted(tmp_path: Path) -> None:
    counting, budgets = Counting(Source()), Budgets()
    budgets.use([goal()])
    budgets.add([came(0)])
    counting.fill(budgets.all(), START)
    assert all_of(budgets.all()[0]) == (1, 0)

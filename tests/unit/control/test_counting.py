"""A node counts requests for whom its configuration names, from the first one to the last."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.counted import cell
from gatewright.control.configuration import read
from gatewright.control.node import Node
from gatewright.insight import counting, rollup_files
from gatewright.insight.budget_history import History, history
from gatewright.insight.rollup_files import MINUTES, file_of
from gatewright.insight.rollup_queries import count_rollups
from gatewright.metrics.alerts import alert_metrics
from gatewright.records.summary import SummaryQuestion

CHANNEL = "alerts: {channels: [{name: ops, kind: webhook, url: 'http://127.0.0.1:9/'}]}\n"
NO_SINKS = "records: {sinks: []}\n"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def wrote(text: str) -> Path:
        path = tmp_path / "gateway.yaml"
        path.write_text(
            'listeners: [{name: public, address: "127.0.0.1:8080"}]\n'
            f"routes: [{{name: self, match: /, respond: {{}}}}]\n{text}"
        )
        return path

    return wrote


def requests(count: int, **fields: object):
    minute = int(time.time()) // 60 * 60
    return [tuple(cell(minute, ([1.0] * count, [1.0] * count, ()), **fields))]


def told(node: Node) -> list[float]:
    """What metrics say is left of each error budget."""
    families = {family.name: family for family in alert_metrics(node)}
    return [float(value) for _, value in families["gateway_objective_budget_left_ratio"].samples]


def rolled_up(node: Node) -> int:
    now = datetime.now(UTC)
    question = SummaryQuestion(now - timedelta(hours=1), now + timedelta(minutes=1))
    found = count_rollups(node.state.rollups, question)
    return 0 if found is None else sum(one.count for one in found.groups.values())


@pytest.mark.parametrize(
    ("text", "rolls_up", "watches"),
    [
        ("", True, True),
        (NO_SINKS, False, False),
        (NO_SINKS + CHANNEL, False, True),
        (NO_SINKS + "objectives: [{name: up, target: 99%}]\n", False, True),
        (NO_SINKS + "rollups: {enabled: true}\n", True, False),
        ("rollups: {enabled: false}\n", False, True),
        ("alerts: {enabled: false}\n", True, False),
        ("alerts: {enabled: false}\nrollups: {enabled: false}\n", False, False),
    ],
)
async def test_requests_are_counted_for_whoever_wants_it_over_reloads(
    engine, write: Write, text: str, rolls_up: bool, watches: bool
) -> None:
    node = Node(engine, read([write("")]).state)
    node.start()
    # Before anything is live.
    assert engine.most == 10_000
    engine.counted = requests(1)
    for configuration in (text, "", text):
        await node.apply(read([write(configuration)]))
        engine.counted += requests(2) if engine.most else []
    await node.alerting.evaluate()
    await node.close()
    assert (engine.most > 0) is (rolls_up or watches)
    watched = node.alerting.traffic.totals(0, time.time() + 60, "gateway")
    # What came at first is of roll-ups alone, where there are both.
    first = 1 if watches and not rolls_up else 0
    expected = {True: 6 + first, False: 2}[watches]
    assert watched["gateway"].requests == expected
    assert rolled_up(node) == (7 if rolls_up else 2)


async def test_what_is_counted_until_the_data_plane_has_stopped_is_written(
    engine, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(engine, read([write("")]).state)
    node.start()
    await node.apply(read([write("")]))
    monkeypatch.setattr(engine, "stop", lambda: engine.counted.extend(requests(3)))
    await node.close()
    assert rolled_up(node) == 3


async def test_an_objective_goes_on_over_a_restart_and_is_not_told_before(engine, write: Write) -> None:
    text = "objectives: [{name: up, target: 99%}]\n"
    for bad, expected in ((1, -9.0), (0, -4.0)):
        node = Node(engine, read([write(text)]).state)
        node.start()
        await node.apply(read([write(text)]))
        assert told(node) == []
        engine.counted = requests(10 - bad) + requests(bad, status=500)
        await node.alerting.evaluate()
        assert told(node) == [pytest.approx(expected)]
        await node.close()
    assert rolled_up(node) == 20
    assert not (node.state.path / "objectives.json").exists()


async def test_an_objective_keeps_what_it_counted_while_roll_ups_cannot_be_written(
    engine, write: Write
) -> None:
    text = "objectives: [{name: up, target: 99%}]\n"
    node = Node(engine, read([write(text)]).state)
    node.start()
    await node.apply(read([write(text)]))
    node.state.rollups.mkdir(parents=True, exist_ok=True)
    engine.counted = requests(9) + requests(1, status=500)
    blocked = file_of(node.state.rollups, MINUTES, int(engine.counted[0][0]))
    blocked.mkdir()
    [budget] = node.alerting.traffic.budgets.all()
    await node.alerting.evaluate()
    assert (budget.counts(0, time.time()), told(node)) == ((10, 1), [])
    blocked.rmdir()
    await node.alerting.evaluate()
    assert (budget.counts(0, time.time()), told(node)) == ((10, 1), [pytest.approx(-9)])
    await node.close()
    assert rolled_up(node) == 10


async def test_an_evaluation_does_not_wait_for_roll_ups_that_somebody_has_locked(
    engine, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waits for the lock as long as a writer may does not come back within this test.
    monkeypatch.setattr(rollup_files, "BUSY_SECONDS", 3600.0)
    text = "objectives: [{name: up, target: 99%}]\n"
    node = Node(engine, read([write(text)]).state)
    node.start()
    await node.apply(read([write(text)]))
    node.state.rollups.mkdir(parents=True, exist_ok=True)
    engine.counted = requests(10)
    path = file_of(node.state.rollups, MINUTES, int(engine.counted[0][0]))
    rollup_files.open_file(path, 1.0).close()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(30):
        await node.alerting.evaluate()
    assert (node.alerting.progress.put_off, node.alerting.progress.failures, told(node)) == (1, 0, [])
    blocker.execute("ROLLBACK")
    blocker.close()
    await node.alerting.evaluate()
    assert (node.alerting.progress.put_off, told(node)) == (1, [pytest.approx(1)])
    await node.close()


async def test_what_comes_while_alerts_are_off_counts_for_objectives_that_are_on_again(
    engine, write: Write
) -> None:
    on = "objectives: [{name: up, target: 99%}]\n"
    node = Node(engine, read([write(on)]).state)
    node.start()
    for text in (on, on + "alerts: {enabled: false}\n", on):
        await node.apply(read([write(text)]))
        engine.counted = requests(10)
        if node.alerting.settings.enabled:
            await node.alerting.evaluate()
    [budget] = node.alerting.traffic.budgets.all()
    assert budget.counts(0, time.time()) == (30, 0)
    await node.close()


async def test_what_comes_while_objectives_begin_to_be_watched_counts_once(
    engine, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = "objectives: [{name: up, target: 99%}]\n"
    node = Node(engine, read([write(on)]).state)
    node.start()

    async def evaluated_meanwhile(_: object) -> None:
        for _ in range(2):
            engine.counted = requests(10)
            await node.alerting.evaluate()
        engine.counted = requests(10)
        await asyncio.to_thread(node.counting.counts.take)

    monkeypatch.setattr(node.alerting, "_use_channels", evaluated_meanwhile)
    await node.apply(read([write(on)]))
    monkeypatch.undo()
    await node.alerting.evaluate()
    [budget] = node.alerting.traffic.budgets.all()
    assert budget.counts(0, time.time()) == (30, 0)
    await node.close()


async def test_an_evaluation_that_ends_after_alerts_did_hides_nothing_that_comes_until_they_are_on(
    engine, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "objectives: [{name: up, target: 99%}]\n"
    on, off = (read([write(one)]) for one in (text, text + "alerts: {enabled: false}\n"))
    node = Node(engine, on.state)
    node.start()
    await node.apply(on)
    reading, go_on = threading.Event(), threading.Event()

    def slowly(*asked: Any) -> History:
        reading.set()
        assert go_on.wait(30)
        return history(*asked)

    engine.counted = requests(10)
    with monkeypatch.context() as slow:
        slow.setattr(counting, "history", slowly)
        evaluation = asyncio.create_task(node.alerting.evaluate())
        assert await asyncio.to_thread(reading.wait, 10)
        ending = asyncio.create_task(node.watching.use(off.alerts))
        # Up to where it waits for the evaluation.
        await asyncio.sleep(0)
        assert not node.alerting.settings.enabled
        go_on.set()
        await asyncio.gather(evaluation, ending)
    engine.counted = requests(10)
    await asyncio.to_thread(node.counting.counts.take)
    await node.watching.use(on.alerts)
    await node.alerting.evaluate()
    [budget] = node.alerting.traffic.budgets.all()
    assert budget.counts(0, time.time()) == (20, 0)
    await node.close()


async def test_counts_that_cannot_be_taken_are_a_failed_evaluation(
    engine, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than services that nobody asks any more."""
    node = Node(engine, read([write(CHANNEL)]).state)
    node.start()
    await node.apply(read([write(CHANNEL)]))
    with monkeypatch.context() as broken:
        broken.setattr(engine, "take_counts", lambda: 1 / 0)
        await node.alerting.evaluate()
    assert node.alerting.progress.failures == 1
    await node.close()

"""Counts are taken once and miss nobody who wants them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.counted import cell
from gatewright.insight.counting import Counting
from gatewright.insight.counts import MOST, Counted, Counts
from gatewright.insight.rollup_files import files
from gatewright.insight.rollups import RollupSettings

NOBODY = 0


class Wanting:
    """Somebody who wants to know."""

    def __init__(self) -> None:
        self.requests = 0

    def add(self, cells: Sequence[Counted]) -> None:
        self.requests += sum(one.requests for one in cells)


def came(requests: int) -> tuple[Any, ...]:
    return tuple(cell(0, requests=requests))


def test_who_comes_first_gets_all_and_who_comes_later_what_comes_later(engine) -> None:
    counts, first, second = Counts(engine), Wanting(), Wanting()
    counts.begin()
    assert engine.most == MOST
    engine.counted = [came(1)]
    # Nobody is there yet who would get it.
    counts.take()
    counts.attach(first, 100)
    counts.attach(second, 50)
    assert (first.requests, second.requests, engine.most) == (1, 0, 100)
    engine.counted = [came(2), came(3)]
    counts.take()
    counts.take()
    assert (first.requests, second.requests) == (6, 5)


def test_who_leaves_gets_what_was_counted_until_then_and_the_last_one_ends_it(engine) -> None:
    counts, first, second = Counts(engine), Wanting(), Wanting()
    counts.attach(first, 100)
    counts.attach(second, 50)
    engine.counted = [came(1)]
    counts.detach(first)
    assert (first.requests, second.requests, engine.most) == (1, 1, 50)
    engine.counted = [came(1)]
    counts.detach(second)
    assert (first.requests, second.requests, engine.most) == (1, 2, NOBODY)
    assert engine.counted == []


def test_where_nobody_comes_nothing_is_counted(engine) -> None:
    counts, later = Counts(engine), Wanting()
    counts.begin()
    engine.counted = [came(1)]
    counts.detach(Wanting())
    assert engine.most == NOBODY
    counts.attach(later)
    counts.take()
    assert later.requests == 0


def test_who_does_not_understand_takes_nothing_from_the_others(engine, monkeypatch, caplog) -> None:
    counts, broken, other = Counts(engine), Wanting(), Wanting()
    monkeypatch.setattr(broken, "add", lambda _: 1 / 0)
    counts.attach(broken)
    counts.attach(other)
    engine.counted = [came(4)]
    counts.take()
    assert other.requests == 4
    assert "not understood" in caplog.text


def test_a_failure_to_take_is_said_and_loses_nothing(engine, monkeypatch) -> None:
    counts, one = Counts(engine), Wanting()
    counts.attach(one)
    engine.counted = [came(1)]
    with monkeypatch.context() as broken:
        broken.setattr(engine, "take_counts", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            counts.take()
    counts.take()
    assert one.requests == 1


def test_roll_ups_are_switched_on_changed_and_off(engine, tmp_path: Path) -> None:
    counting = Counting(engine)
    counting.use(RollupSettings(tmp_path, max_keys=100))
    writer = counting.rollups
    assert engine.most == 200
    counting.use(RollupSettings(tmp_path, max_keys=300))
    assert (counting.rollups, engine.most) == (writer, 600)
    engine.counted = [came(1)]
    counting.use(None)
    assert (counting.rollups, engine.most, engine.counted) == (None, NOBODY, [])
    counting.use(None)


def test_what_was_counted_last_is_written_at_the_end(engine, tmp_path: Path) -> None:
    import time

    counting = Counting(engine)
    counting.use(RollupSettings(tmp_path, interval=3600.0))
    engine.counted = [tuple(cell(int(time.time()) // 60 * 60, requests=1))]
    counting.close()
    assert len(files(tmp_path)) == 3

"""Days of records in PostgreSQL that are over their time, of which rules keep something."""

import asyncio
import threading
from typing import Any

import asyncpg
import pytest

from gateway.thinned_day import BAD, DAY, IDS, KEPT, LIMITED, MIDNIGHT, NOON, TABLES, Store, at, during, names
from gatewright.records.sinks import postgresql_thinning
from gatewright.records.sinks.postgresql import PostgresqlSink, rows_of
from gatewright.records.sinks.postgresql_thinning import PostgresqlThinner

pytestmark = pytest.mark.needs("postgres")


def test_of_a_day_that_is_over_only_what_rules_name_is_left_and_each_for_its_time(store: Store, ask) -> None:
    everything = names(ask(IDS))
    assert len(everything) == 49
    for days, left in (
        (6.9, everything),
        (7, KEPT),
        (29.9, KEPT),
        (30, ["limited"]),
        (89.9, ["limited"]),
        (90, []),
    ):
        store.pass_to(days)
        assert names(ask(IDS)) == left, days
    assert names(ask(TABLES)) == []
    assert ask("SELECT count(*) FROM gateway_records_late") == [(0,)]
    assert store.sink.thinner.counts.failures == 0


def test_what_is_kept_is_whole_in_a_partition_like_any_other_and_thinned_once_for_each_limit(
    store: Store, ask
) -> None:
    row = "SELECT * FROM gateway_records WHERE request_id = 'limited'"
    indexes = (
        "SELECT count(*) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid "
        "WHERE i.indrelid = 'gateway_records_20261110'::regclass"
    )
    bounds = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'gateway_records_20261110'"
    before = ask(row), ask(indexes), ask(bounds)
    store.pass_to(8)
    assert (ask(row), ask(indexes), ask(bounds)) == before
    assert names(ask(TABLES)) == ["gateway_records_20261110", "gateway_records_20261119"]
    store.pass_to(9)
    assert store.counts == (1, 0)
    assert ask("SELECT count(*) FROM pg_constraint WHERE conname = 'of_its_day'") == [(0,)]


def test_a_day_of_which_nothing_is_kept_is_dropped(server, ask, record_line) -> None:
    store = Store(server, record_line, BAD)
    store.write(NOON, "good")
    store.pass_to(8)
    assert names(ask(TABLES)) == ["gateway_records_20261119"]
    store.sink.close()


def test_without_rules_nothing_is_noted_and_days_are_dropped_whole(server, ask, record_line) -> None:
    store = Store(server, record_line)
    store.write(NOON, "bad", status=503)
    store.pass_to(8)
    assert names(ask(TABLES)) == ["gateway_records_20261119"]
    assert ask("SELECT to_regclass('gateway_records_late')") == [(None,)]
    store.sink.close()


def test_records_that_come_late_are_thinned_the_next_time(store: Store, ask) -> None:
    store.pass_to(8)
    store.write(NOON, "late", status=500)
    store.write(NOON, "late and good")
    assert names(ask(IDS)) == [*KEPT[:4], "late", "late and good", "limited"]
    store.pass_to(8.1)
    assert names(ask(IDS)) == [*KEPT[:4], "late", "limited"]
    store.pass_to(8.2)
    assert store.counts == (2, 0)


def test_a_day_that_another_node_writes_meanwhile_is_left_until_the_next_time(
    store: Store, server, ask, record_line, monkeypatch
) -> None:
    other = Store(server, record_line, BAD, LIMITED)
    other.now = MIDNIGHT + 7 * DAY
    monkeypatch.setattr(other.sink.thinner, "begin", lambda now: None)
    everything = names(ask(IDS))
    during(monkeypatch, lambda: other.write(NOON, "late", status=500))
    store.pass_to(7)
    assert names(ask(IDS)) == sorted([*everything, "late"])
    assert store.counts == (0, 0)
    store.pass_to(7.1)
    assert names(ask(IDS)) == sorted([*KEPT, "late"])
    other.sink.close()


def test_what_another_node_has_written_and_not_committed_is_waited_for(
    store: Store, server, ask, record_line, monkeypatch
) -> None:
    """A batch of the day that is under way from before its first step until after its last."""
    monkeypatch.setattr(postgresql_thinning, "LOCK_PAUSE_SECONDS", 0.01)
    # Whose partition no writer can hold off.
    store.write(MIDNIGHT + 7 * DAY, "new")
    everything, tried = names(ask(IDS)), threading.Event()
    lock = PostgresqlThinner._lock_once

    async def locking(*given: Any) -> None:
        try:
            await lock(*given)
        finally:
            tried.set()

    monkeypatch.setattr(PostgresqlThinner, "_lock_once", locking)

    async def writing() -> None:
        other = PostgresqlSink(store.model, lambda: MIDNIGHT + 7 * DAY)
        line = record_line(timestamp=at(NOON), request_id="late", status=500)
        other._connection = connection = await asyncpg.connect(server.url)
        other._days = {NOON.date()}
        async with connection.transaction():
            await other._make_days({NOON.date()})
            await other._copy(rows_of(line))
            await asyncio.to_thread(store.begin, 7)
            assert await asyncio.to_thread(tried.wait, 60)
        other.close()

    asyncio.run(writing())
    store.wait()
    assert names(ask(IDS)) == sorted([*everything, "late"])
    store.pass_to(7.1)
    assert names(ask(IDS)) == sorted([*KEPT, "late"])

"""Days in PostgreSQL that are thinned while somebody is killed, reads, writes, or is at it as well."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from gateway import Postgres
from gateway.redis import until
from gateway.thinned_day import BAD, DAY, IDS, KEPT, LIMITED, MIDNIGHT, NOON, TABLES, Store, during, names
from gatewright.config.models import PostgresqlSink as Model
from gatewright.records.sink import SinkError
from gatewright.records.sinks import postgresql_thinning
from gatewright.records.sinks.postgresql_thinning import PostgresqlThinner

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def killed(server: Postgres, ask, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the connection that thins, or the server, killed once, at one point of it."""
    left = [None]

    def kill(point: str) -> None:
        if point == "server":
            server.stop()
            server.start()
        else:
            name = "gatewright-thinning"
            ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name)

    async def executing(connection: Any, statements: list[str]) -> None:
        await execute(connection, statements)
        if statements[0].startswith("DROP") and left:
            left.pop()
            await asyncio.to_thread(kill, "swapping")

    def arrange(point: str) -> None:
        if point == "swapping":
            monkeypatch.setattr(postgresql_thinning, "execute", executing)
        else:
            during(monkeypatch, lambda: kill(point))

    execute = postgresql_thinning.execute
    return arrange


@pytest.mark.parametrize("point", ["copying", "swapping", "server"])
def test_who_is_killed_in_the_middle_loses_nothing_and_doubles_nothing(
    store: Store, ask, killed, caplog, point: str
) -> None:
    everything = names(ask(IDS))
    killed(point)
    store.pass_to(8)
    assert store.counts == (0, 1)
    assert caplog.text.count("a day of records cannot be thinned") == 1
    assert names(ask(IDS)) == everything
    assert names(ask(TABLES)) == ["gateway_records_20261110", "gateway_records_20261119"]
    with contextlib.suppress(SinkError):
        # The sink's own connection is gone with the server.
        store.pass_to(8.1)
    store.pass_to(8.2)
    assert names(ask(IDS)) == KEPT
    assert store.counts == (1, 1)


def test_whoever_reads_meanwhile_finds_every_record_once(store: Store, server: Postgres, ask) -> None:
    store.now = MIDNIGHT + 6 * DAY
    store.write(NOON, *(f"kept {number}" for number in range(100)), status=500)
    kept = names(ask(IDS))
    kept = [name for name in kept if not name.startswith(("good", "gone", "missing"))]
    seen: list[list[str]] = []
    reading, done = threading.Event(), threading.Event()

    async def read() -> None:
        before, now = await asyncpg.connect(server.url), await asyncpg.connect(server.url)
        # Began before, and has not touched the table.
        old = before.transaction(isolation="repeatable_read")
        await old.start()
        await before.fetch("SELECT count(*) FROM pg_class")
        reading.set()
        while not done.is_set():
            seen.append([row[0] for row in await now.fetch(IDS)])
        seen.append([row[0] for row in await before.fetch(IDS)])
        await old.rollback()
        await before.close()
        await now.close()

    thread = threading.Thread(target=asyncio.run, args=(read(),))
    thread.start()
    assert reading.wait(60)
    store.pass_to(8)
    done.set()
    thread.join(60)
    assert store.counts == (1, 0)
    assert names(ask(IDS)) == kept
    assert len(kept) == 105
    for found in seen:
        assert [name for name in found if name in set(kept)] == kept
    assert seen[-1] == kept


def test_nobody_who_writes_waits_for_it(store: Store, ask, monkeypatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert go_on.wait(60)

    during(monkeypatch, wait)
    store.begin(8)
    assert begun.wait(60)
    store.write(store.now, "today")
    store.write(store.now + DAY, "the day that begins")
    assert ask("SELECT count(*) FROM gateway_records WHERE timestamp > '2026-11-18'") == [(3,)]
    go_on.set()
    store.wait()
    assert store.counts == (1, 0)


def test_a_table_in_use_is_left_and_the_next_day_is_not_tried(
    store: Store, server: Postgres, ask, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(postgresql_thinning, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(postgresql_thinning, "LOCK_PAUSE_SECONDS", 0.0)
    store.write(NOON + DAY, "good", "bad", status=500)
    # Whose partition no reader can hold off.
    store.write(MIDNIGHT + 9 * DAY, "new")
    [(everything,)] = ask("SELECT count(*) FROM gateway_records")

    async def reading() -> None:
        reader = await asyncpg.connect(server.url)
        async with reader.transaction():
            await reader.fetch("SELECT count(*) FROM gateway_records WHERE timestamp > '2026-11-19'")
            await asyncio.to_thread(store.pass_to, 9)
        await reader.close()

    asyncio.run(reading())
    assert store.counts == (0, 1)
    assert ask("SELECT count(*) FROM gateway_records") == [(everything + 1,)]
    told = [one.error for one in caplog.records if one.msg == "a day of records cannot be thinned"]
    assert [one.split(":")[0] for one in told] == ["LockNotAvailableError"]
    # The sink's own batch holds the table for a moment, too.
    monkeypatch.setattr(postgresql_thinning, "LOCK_ATTEMPTS", 100)
    store.pass_to(9.1)
    assert store.counts == (2, 1)
    assert names(ask(IDS)) == KEPT


def test_a_day_that_is_vacuumed_is_waited_for_while_everybody_reads_and_writes(
    store: Store, server: Postgres, ask, monkeypatch
) -> None:
    monkeypatch.setattr(postgresql_thinning, "DAY_LOCK_TIMEOUT", "SET LOCAL lock_timeout = '60s'")
    waiting = (
        "SELECT mode FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE application_name = 'gatewright-thinning' AND NOT granted"
    )

    def is_waited_for() -> bool:
        return names(ask(waiting)) == ["ShareUpdateExclusiveLock"]

    async def vacuuming() -> None:
        vacuum = await asyncpg.connect(server.url)
        async with vacuum.transaction():
            # The lock that a vacuum holds.
            await vacuum.execute("LOCK TABLE gateway_records_20261110 IN SHARE UPDATE EXCLUSIVE MODE")
            await asyncio.to_thread(store.begin, 8)
            await asyncio.to_thread(until, is_waited_for)
            await asyncio.to_thread(store.write, store.now, "during")
            await asyncio.to_thread(ask, IDS)
        await vacuum.close()

    asyncio.run(vacuuming())
    store.wait()
    assert store.counts == (1, 0)
    assert names(ask(IDS)) == KEPT


def test_several_nodes_that_share_a_table_thin_each_day_once(
    store: Store, server: Postgres, ask, record_line
) -> None:
    others = [Store(server, record_line, BAD, LIMITED) for _ in range(3)]
    for day in (1, 2):
        store.write(NOON + day * DAY, "good", "bad", status=500)
    for one in (store, *others):
        one.begin(12)
    for one in (store, *others):
        one.wait()
    # Who finds another at it leaves the day alone, so that one may be left to the next time.
    store.pass_to(12.1)
    assert sum(one.counts[0] for one in (store, *others)) == 3
    assert sum(one.counts[1] for one in (store, *others)) == 0
    assert names(ask(IDS)) == KEPT
    for one in others:
        one.sink.close()


def test_closing_gives_up_what_is_under_way(store: Store, ask, monkeypatch, caplog) -> None:
    everything = names(ask(IDS))
    during(monkeypatch, store.sink.thinner._ending.set)
    store.pass_to(8)
    assert names(ask(IDS)) == everything
    assert store.counts == (0, 0)
    assert "cannot be thinned" not in caplog.text


def test_a_server_that_cannot_be_reached_is_counted_and_told(store: Store, server, caplog) -> None:
    thinner = PostgresqlThinner(Model(url=server.url.replace(str(server.port), "1")), store.sink._retention)
    thinner.begin(NOON)
    assert thinner._thread is not None
    thinner._thread.join(60)
    assert (thinner.counts.segments, thinner.counts.failures) == (0, 1)
    assert "a day of records cannot be thinned" in caplog.text

"""Days of records in PostgreSQL that are over their time, of which rules keep something."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway import Postgres
from gateway.redis import until
from gatewright.config.models import PostgresqlSink as Model
from gatewright.config.models.records import Keep
from gatewright.config.quantities import Duration
from gatewright.records.batch import Batch
from gatewright.records.sink import SinkError
from gatewright.records.sinks import postgresql_thinning
from gatewright.records.sinks.postgresql import PostgresqlSink, rows_of
from gatewright.records.sinks.postgresql_thinning import PostgresqlThinner
from gatewright.records.sinks.thinning import Judge

pytestmark = pytest.mark.needs("postgres")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
MIDNIGHT = NOON + 12 * HOUR
BAD = Keep(where=["status>=500"], retention=Duration.of("30d"))
LIMITED = Keep(where=["status=4xx", "rate_limited=true"], retention=Duration.of("90d"))
OF_THE_DAY = "timestamp >= '2026-11-10 00:00+00' AND timestamp < '2026-11-11 00:00+00'"
IDS = f"SELECT request_id FROM gateway_records WHERE {OF_THE_DAY} ORDER BY 1"  # noqa: S608 - of this test.
TABLES = (
    "SELECT relname FROM pg_class WHERE relname LIKE 'gateway_records_2026111%' AND relkind = 'r' ORDER BY 1"
)


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Store:
    """A sink whose clock a test sets."""

    def __init__(self, server: Postgres, line: Callable[..., bytes], *rules: Keep) -> None:
        self.now = NOON
        self._line = line
        self.model = Model(url=server.url, retention=Duration.of("7d"), keep=list(rules))
        self.sink = PostgresqlSink(self.model, lambda: self.now)

    def write(self, moment: datetime, *ids: str, **fields: object) -> None:
        lines = [self._line(timestamp=at(moment), request_id=name, **fields) for name in ids]
        self.sink.write(Batch.of(b"".join(lines)))

    def begin(self, days: float) -> None:
        """Let it be so many days after the day, and something be written: thinning begins."""
        # Nothing is begun beside what is under way.
        self.wait()
        self.now = MIDNIGHT + days * DAY
        self.write(self.now, "new")

    def wait(self) -> None:
        thread = self.sink.thinner._thread
        if thread is not None:
            thread.join(60)
            assert not thread.is_alive()

    def pass_to(self, days: float) -> None:
        """Let it be so many days after the day, and everything due be thinned."""
        self.begin(days)
        self.wait()

    @property
    def counts(self) -> tuple[int, int]:
        return self.sink.thinner.counts.segments, self.sink.thinner.counts.failures


@pytest.fixture
def store(server: Postgres, ask, record_line, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Some records of each kind, which take several steps."""
    monkeypatch.setattr(postgresql_thinning, "FIRST_BLOCKS", 1)
    monkeypatch.setattr(postgresql_thinning, "MOST_BLOCKS", 1)
    made = Store(server, record_line, BAD, LIMITED)
    made.write(NOON, "good 0", "good 1")
    made.write(NOON, "bad 0", "bad 1", status=503)
    for number in (2, 3):
        made.write(NOON, *(f"good {number}{one}" for one in range(20)), path="/" * 900)
        made.write(NOON, f"bad {number}", status=500)
    made.write(NOON, "limited", status=429, rate_limited=True)
    made.write(NOON, "missing", status=404)
    # A record without a status is nobody's.
    made.write(NOON, "gone", status=None)
    yield made
    made.sink.close()


KEPT = ["bad 0", "bad 1", "bad 2", "bad 3", "limited"]


def names(rows: list[Any]) -> list[Any]:
    return [name for (name,) in rows]


def during(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> None:
    """Have something happen once, as soon as the second step of a day was read."""
    left = [None, call]
    kept = Judge.kept

    def meanwhile(judge: Judge, records: str) -> list[int]:
        if left:
            happens = left.pop(0)
            if happens is not None:
                # The thread that thins has a loop, in which nothing may wait.
                thread = threading.Thread(target=happens)
                thread.start()
                thread.join(60)
        return kept(judge, records)

    monkeypatch.setattr(Judge, "kept", meanwhile)


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

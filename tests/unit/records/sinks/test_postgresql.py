"""PostgreSQL: every record once, whatever became of the server; days that come and go."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway import Postgres
from gateway.ports import unused_ports
from gatewright.config.models import PostgresqlSink as Model
from gatewright.config.quantities import Duration
from gatewright.records.batch import Batch, Chunk
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings, RetrySettings, SpillSettings
from gatewright.records.sink import RejectedError, SinkError
from gatewright.records.sinks.postgresql import PostgresqlSink

pytestmark = pytest.mark.needs("postgres")

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def sink_of(server: Postgres, now: datetime = NOON, **settings: Any) -> PostgresqlSink:
    return PostgresqlSink(Model(url=server.url, **settings), lambda: now)


def test_a_record_is_stored_with_its_columns_in_the_partition_of_its_day(server, ask, record_line) -> None:
    sink = sink_of(server)
    lines = record_line(request_id="a", status=404, rate_limited=True, user_id="ü") + record_line(
        request_id="b", timestamp="2026-11-22T00:00:00.000Z"
    )
    sink.write(Batch.of(lines))
    sink.close()
    columns = (
        "tableoid::regclass::text, timestamp, request_id, status, rate_limited, total_latency_ms, user_id"
    )
    rows = ask(f"SELECT {columns} FROM gateway_records ORDER BY request_id")  # noqa: S608 - of this test.
    at = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert rows[0] == ("gateway_records_20261121", at, "a", 404, True, 1.5, "ü")
    assert rows[1][0] == "gateway_records_20261122"
    (record,) = ask("SELECT record::text FROM gateway_records WHERE request_id = 'a'")[0]
    assert json.loads(record) == json.loads(lines.split(b"\n")[0])


def test_a_day_that_begins_within_a_batch_gets_its_partition_and_every_record_once(
    server, ask, record_line
) -> None:
    sink = sink_of(server)
    sink.write(Batch.of(record_line(request_id="first")))
    # More than the client sends at a time: the server has some of them when the day turns out to be new.
    before = b"".join(record_line(request_id=f"a{number}", path="/" * 500) for number in range(2000))
    after = record_line(request_id="b", timestamp="2026-11-22T00:00:00.000Z")
    sink.write(Batch([Chunk(before), Chunk(after)]))
    sink.close()
    query = "SELECT tableoid::regclass::text, count(*) FROM gateway_records GROUP BY 1 ORDER BY 1"
    assert ask(query) == [("gateway_records_20261121", 2001), ("gateway_records_20261122", 1)]


def test_what_is_given_again_is_not_stored_twice_and_nothing_is_noted_for_ever(
    server, ask, record_line
) -> None:
    sink, chunks = sink_of(server), [Chunk(record_line(request_id=name)) for name in "abc"]
    sink.write(Batch(chunks[:2]))
    sink.write(Batch(chunks[:2]))
    sink.close()
    # A process that was killed before it could know, and now makes other batches of the same chunks.
    again = sink_of(server)
    again.write(Batch(chunks))
    assert ask("SELECT request_id FROM gateway_records ORDER BY 1") == [("a",), ("b",), ("c",)]
    again.write(Batch.of(record_line(request_id="d")))
    again.close()
    assert ask("SELECT count(*) FROM gateway_records") == [(4,)]
    assert ask("SELECT count(*) FROM gateway_records_chunks") == [(1,)]


def test_what_the_server_refuses_is_counted_and_the_rest_is_stored(server, ask, record_line) -> None:
    sink = sink_of(server)
    lines = [record_line(request_id=str(number)) for number in range(9)]
    lines[4] = record_line(request_id="4", request_bytes=2**70)
    with pytest.raises(RejectedError) as caught:
        sink.write(Batch.of(b"".join(lines)))
    assert caught.value.records == 1
    sink.write(Batch.of(record_line(request_id="nul", path="/a\0b")))
    sink.close()
    found = [name for (name,) in ask("SELECT request_id FROM gateway_records ORDER BY 1")]
    assert found == ["0", "1", "2", "3", "5", "6", "7", "8", "nul"]
    assert ask("SELECT path FROM gateway_records WHERE request_id = 'nul'") == [("/a�b",)]


def test_days_are_dropped_once_all_their_records_are_too_old(server, ask, record_line) -> None:
    for day, name in ((10, "a"), (12, "b"), (20, "c")):
        sink = sink_of(server, NOON - timedelta(days=30))
        sink.write(Batch.of(record_line(request_id=name, timestamp=f"2026-11-{day}T23:59:59.999Z")))
        sink.close()
    sink = sink_of(server, NOON, retention=Duration.of("9d"))
    sink.write(Batch.of(record_line(request_id="d")))
    sink.close()
    assert ask("SELECT request_id FROM gateway_records ORDER BY 1") == [("b",), ("c",), ("d",)]


def test_a_table_in_use_keeps_its_old_days_and_is_written_all_the_same(
    server, ask, record_line, caplog
) -> None:
    before = sink_of(server, NOON - timedelta(days=30))
    before.write(Batch.of(record_line(timestamp="2026-10-01T00:00:00.000Z")))
    before.close()

    async def reading() -> None:
        reader = await asyncpg.connect(server.url)
        try:
            async with reader.transaction():
                await reader.fetch("SELECT count(*) FROM gateway_records_20261001")
                sink = sink_of(server)
                await asyncio.to_thread(sink.write, Batch.of(record_line(request_id="new")))
                await asyncio.to_thread(sink.close)
        finally:
            await reader.close()

    asyncio.run(reading())
    assert ask("SELECT count(*) FROM gateway_records") == [(2,)]
    assert "cannot be dropped yet" in caplog.text


def test_a_day_begins_while_somebody_reads_the_table(server, ask, record_line) -> None:
    sink = sink_of(server, timeout=Duration.of("10s"))
    sink.write(Batch.of(record_line(request_id="a")))

    async def reading() -> None:
        reader = await asyncpg.connect(server.url)
        try:
            async with reader.transaction():
                await reader.fetch("SELECT count(*) FROM gateway_records")
                line = record_line(request_id="b", timestamp="2026-11-22T00:00:00.000Z")
                await asyncio.to_thread(sink.write, Batch.of(line))
        finally:
            await reader.close()

    asyncio.run(reading())
    sink.close()
    days = "SELECT tableoid::regclass::text, request_id FROM gateway_records ORDER BY 1"
    assert ask(days) == [("gateway_records_20261121", "a"), ("gateway_records_20261122", "b")]
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'gateway_records_20261122'"
    parents = (
        "SELECT inhparent::regclass::text FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid "
        "WHERE indrelid = 'gateway_records_20261122'::regclass ORDER BY 1"
    )
    assert ask(indexes) == [(2,)]
    assert ask(parents) == [("gateway_records_by_request_id",), ("gateway_records_by_timestamp",)]


def test_several_nodes_may_start_at_once(server, ask, record_line) -> None:
    sinks = [sink_of(server) for _ in range(6)]
    batches = [Batch.of(record_line(request_id=str(number))) for number in range(6)]
    threads = [
        threading.Thread(target=sink.write, args=[batch]) for sink, batch in zip(sinks, batches, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sink in sinks:
        sink.close()
    assert ask("SELECT count(*) FROM gateway_records") == [(6,)]


def test_no_error_tells_the_password() -> None:
    url = f"postgresql://gatewright:hunter2@127.0.0.1:{next(unused_ports())}/postgres"
    sink = PostgresqlSink(Model(url=url))
    with pytest.raises(SinkError) as caught:
        sink.write(Batch.of(b"{}\n"))
    sink.close()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


class Stream:
    """A lane to the server, and records that are sent while the server suffers."""

    def __init__(self, server: Postgres, directory: Path, record_line) -> None:
        self.sent = 0
        self._line = record_line
        sink = PostgresqlSink(Model(url=server.url, timeout=Duration.of("500ms")))
        retry = RetrySettings(first=0.01, longest=0.1)
        self.lane = Lane(
            sink, LaneSettings(batch_records=50, batch_wait=0.0, retry=retry, spill=SpillSettings(directory))
        )

    def send(self, chunks: int) -> None:
        for _ in range(chunks):
            lines = b"".join(self._line(request_id=f"r{self.sent + one}") for one in range(10))
            self.sent += 10
            self.lane.offer(Chunk(lines))

    def wait(self, is_so: Callable[[Any], bool]) -> None:
        until = datetime.now(UTC) + timedelta(seconds=60)
        while not is_so(self.lane.counts()):
            assert datetime.now(UTC) < until, self.lane.counts()
            time.sleep(0.01)


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_a_server_that_dies_mid_stream_has_every_record_once_when_it_is_back(
    server: Postgres, ask, tmp_path: Path, record_line, fault: str
) -> None:
    stream = Stream(server, tmp_path, record_line)
    for _ in range(3):
        stored = stream.lane.counts().stored
        stream.send(40)
        stream.wait(lambda counts, before=stored: counts.stored > before)
        if fault == "killed":
            server.stop()
        else:
            server.freeze(True)
        stream.send(40)
        failures = stream.lane.counts().failures
        stream.wait(lambda counts, before=failures: counts.failures > before)
        if fault == "killed":
            server.start()
        else:
            server.freeze(False)
    stream.send(40)
    stream.wait(lambda counts: counts.stored == stream.sent)
    stream.lane.close(10)
    assert stream.lane.counts().dropped == 0
    assert ask("SELECT count(*), count(DISTINCT request_id) FROM gateway_records") == [
        (stream.sent, stream.sent)
    ]

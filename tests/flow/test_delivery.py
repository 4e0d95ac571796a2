"""Delivery: what a sink cannot take waits, in memory and on disk, and every record is accounted for."""

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway import Node, Origin, Postgres, get, one_route
from gateway.ports import unused_ports
from gateway.redis import until
from gatewright.config.models.records import PostgresqlSink as PostgresqlModel
from gatewright.metrics.sinks import thinning_metrics
from gatewright.records.batch import Batch
from gatewright.records.build import Place, settings_of, use_sinks
from gatewright.records.reader import find_request
from gatewright.records.sinks.postgresql import PostgresqlSink
from gatewright.records.sinks.sqlite import SqliteSink
from gatewright.records.sinks.thinning import ThinnedSink
from gatewright.records.tally import SinkCounts
from gatewright.records.worker import RecordWorker

SINKS = """\
records:
  sinks:
    - kind: file
      name: archive
      path: DIRECTORY/disk/access.jsonl
      batch: {records: 3, bytes: 64KiB, wait: 10ms}
      queue: 1MiB
      retry: {first: 5ms, longest: 10ms}
      spill: {size: 1MiB, directory: DIRECTORY/waiting}
    - {kind: file, name: other, path: DIRECTORY/other.jsonl, retry: {first: 1ms, attempts: 2}, spill: off}
"""


def worker_of(node: Node, directory: Path) -> RecordWorker:
    """The worker that `gatewright run` would have for this configuration."""
    assert node.loaded is not None
    worker = RecordWorker(node.engine)
    place = Place(directory, directory / "records", directory / "spill")
    use_sinks(worker, settings_of(node.loaded.gateway.records.sinks, place))
    worker.start()
    return worker


def sinks_in(directory: Path) -> str:
    return SINKS.replace("DIRECTORY", str(directory))


def settled(worker: RecordWorker, name: str, is_so: Callable[[SinkCounts], bool]) -> SinkCounts:
    until = time.monotonic() + 60
    while True:
        counts = next(one for one in worker.counts() if one.name == name)
        if is_so(counts):
            return counts
        assert time.monotonic() < until, counts
        time.sleep(0.005)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in path.read_text().splitlines()]


def test_records_of_a_dead_sink_are_stored_once_it_is_back_and_the_node_has_started_again(
    origin: Origin, tmp_path: Path
) -> None:
    # The directory of the file is a file: nothing can be opened in it.
    (tmp_path / "disk").touch()
    with Node(one_route(origin, "", sinks_in(tmp_path))) as node:
        worker = worker_of(node, tmp_path)
        for number in range(20):
            get(node.address, "/a", ("X-Request-ID", f"request-{number}"))
        settled(worker, "other", lambda counts: counts.stored == 20)
        dead = settled(worker, "archive", lambda counts: counts.failures > 2)
        worker.close(5)
        assert (dead.stored, dead.dropped) == (0, 0)
        assert list((tmp_path / "waiting").glob("*.spill"))
        (tmp_path / "disk").unlink()
        again = worker_of(node, tmp_path)
        get(node.address, "/a", ("X-Request-ID", "request-20"))
        back = settled(again, "archive", lambda counts: counts.stored == 21)
        again.close(5)
    assert back.dropped == 0
    assert ids(tmp_path / "disk" / "access.jsonl") == [f"request-{number}" for number in range(21)]
    assert len(ids(tmp_path / "other.jsonl")) == 21


@pytest.mark.needs("postgres")
def test_records_are_copied_into_postgresql_and_found_there(origin: Origin, tmp_path: Path) -> None:
    server = Postgres(next(unused_ports()))
    sink = f"{{kind: postgresql, url: '{server.url}', table: calls, retention: 7d, timeout: 5s}}"
    try:
        with Node(one_route(origin, "", f"records: {{sinks: [{sink}]}}")) as node:
            worker = worker_of(node, tmp_path)
            get(node.address, "/a", ("X-Request-ID", "of-a-client"))
            get(node.address, "/b")
            settled(worker, "postgresql", lambda counts: counts.stored == 2)
            worker.close(5)
        query = "SELECT path, status, record->>'protocol' FROM calls WHERE request_id = 'of-a-client'"
        found = subprocess.check_output(["psql", "-At", server.url, "-c", query], text=True)
    finally:
        server.close()
    assert found == "/a|200|HTTP/1.1\n"


def test_lines_have_the_format_that_a_file_of_its_own_asks_for_and_files_are_renamed(
    origin: Origin, tmp_path: Path
) -> None:
    sinks = [
        {
            "kind": "file",
            "name": "short",
            "path": "short.log",
            "format": "logfmt",
            "fields": ["status", "path"],
        },
        {"kind": "file", "name": "access", "path": "access.log", "format": "combined"},
        {"kind": "file", "name": "chosen", "path": "chosen.log", "fields": ["path"]},
    ]
    rotate = "rotate: {size: 64KiB, every: 365d, keep: 3, compress: true}"
    with Node(one_route(origin)) as node:
        (node.file.parent / "logging.json").write_text(json.dumps({"records": {"sinks": sinks}}))
        node.apply(one_route(origin, "", "include: logging.json"))
        worker = worker_of(node, tmp_path)
        get(node.address, "/a?b=c", ("User-Agent", "a test"))
        for sink in ("short", "access", "chosen"):
            settled(worker, sink, lambda counts: counts.stored == 1)
        worker.close(5)
        directory = node.file.parent
        assert (directory / "short.log").read_text() == "status=200 path=/a\n"
        assert (directory / "chosen.log").read_text() == '{"path":"/a"}\n'
        assert '"GET /a?b=c HTTP/1.1" 200 ' in (directory / "access.log").read_text()
        node.apply(
            one_route(origin, "", f"records: {{sinks: [{{kind: file, path: {tmp_path}/a.log, {rotate}}}]}}")
        )
        again = worker_of(node, tmp_path)
        for _ in range(2):
            (tmp_path / "a.log").write_bytes(b"x" * (64 << 10) + b"\n")
            stored = again.counts()[0].stored
            get(node.address, "/a")
            settled(again, "file", lambda counts, before=stored: counts.stored == before + 1)
        again.close(5)
    assert len(list(tmp_path.glob("a.log.*.gz"))) == 2
    assert len((tmp_path / "a.log").read_text().splitlines()) == 1


def test_records_in_sqlite_stay_below_their_size(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    old = tmp_path / "store" / "records-2026010100.sqlite"
    old.write_bytes(b"x" * (65 << 20))
    sink = f"{{kind: sqlite, path: {tmp_path}/store, max_size: 64MiB, retention: 3650d}}"
    with Node(one_route(origin, "", f"records: {{sinks: [{sink}]}}")) as node:
        worker = worker_of(node, tmp_path)
        get(node.address, "/a")
        settled(worker, "sqlite", lambda counts: counts.stored == 1)
        worker.close(5)
    assert not old.exists()


def test_records_in_sqlite_that_a_rule_names_outlive_the_rest_of_their_hour(
    origin: Origin, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    at = (datetime.now(UTC) - timedelta(days=8)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    old = SqliteSink(store, timedelta(days=3650))
    for status in (200, 503):
        record = {"timestamp": at, "request_id": str(status), "status": status}
        old.write(Batch.of(json.dumps(record).encode() + b"\n"))
    old.close()
    rules = "keep: [{where: status>=500, retention: 90d}]"
    sink = f"{{kind: sqlite, path: {store}, retention: 7d, {rules}}}"
    with Node(one_route(origin, "", f"records: {{sinks: [{sink}]}}")) as node:
        worker = worker_of(node, tmp_path)
        get(node.address, "/a")
        settled(worker, "sqlite", lambda counts: counts.stored == 1)
        [running] = worker.sinks()
        assert isinstance(running, SqliteSink)
        until(lambda: running.thinner.counts.segments == 1)
        worker.close(5)
    assert find_request(store, "503") is not None
    assert find_request(store, "200") is None


@pytest.mark.needs("postgres")
def test_records_in_postgresql_that_a_rule_names_outlive_the_rest_of_their_day(
    origin: Origin, tmp_path: Path
) -> None:
    server = Postgres(next(unused_ports()))
    at = (datetime.now(UTC) - timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    refused = [{"stage": "limit", "verdict": "refused", "inputs": {}}]
    lines = [
        json.dumps({"timestamp": at, "request_id": name, "status": status, "decisions": decisions})
        for name, status, decisions in (("good", 200, []), ("bad", 503, []), ("refused", 429, refused))
    ]
    refusals = "{where: decision.limit.verdict=refused, retention: 90d}"
    rules = f"keep: [{{where: status>=500, retention: 30d}}, {refusals}]"
    sink = f"{{kind: postgresql, url: '{server.url}', retention: 7d, {rules}}}"
    try:
        old = PostgresqlSink(PostgresqlModel(url=server.url))
        old.write(Batch.of("\n".join([*lines, ""]).encode()))
        old.close()
        with Node(one_route(origin, "", f"records: {{sinks: [{sink}]}}")) as node:
            worker = worker_of(node, tmp_path)
            get(node.address, "/a", ("X-Request-ID", "new"))
            settled(worker, "postgresql", lambda counts: counts.stored == 1)
            [running] = worker.sinks()
            assert isinstance(running, ThinnedSink)
            until(lambda: running.thinner.counts.segments == 1)
            families = thinning_metrics([running])
            worker.close(5)
        query = "SELECT request_id FROM gateway_records ORDER BY 1"
        found = subprocess.check_output(["psql", "-At", server.url, "-c", query], text=True)
    finally:
        server.close()
    assert found.split() == ["bad", "new", "refused"]
    assert [value for family in families for _, value in family.samples] == [1, 0]


def test_a_sink_without_a_spill_that_gives_up_counts_what_it_lost(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").mkdir()
    with Node(one_route(origin, "", sinks_in(tmp_path))) as node:
        worker = worker_of(node, tmp_path)
        get(node.address, "/a")
        lost = settled(worker, "other", lambda counts: counts.dropped == 1)
        settled(worker, "archive", lambda counts: counts.stored == 1)
        worker.close(5)
    assert (lost.stored, dict(lost.drops), lost.failures) == (0, {"attempts": 1}, 2)

"""`make sinks-http`: the sinks over HTTP against servers as their makers publish them, killed while records
stream into them: OpenSearch, the OpenTelemetry Collector, and VictoriaLogs, which speaks Loki's protocol.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.ports import unused_ports
from gatewright.outgoing.posting import Destination
from gatewright.records.batch import Batch, Chunk
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings, RetrySettings, SpillSettings
from gatewright.records.sink import RejectedError
from gatewright.records.sinks.elasticsearch import ElasticsearchEncoder
from gatewright.records.sinks.http_sink import ANSWER_BYTES, HttpSink
from gatewright.records.sinks.loki import LokiEncoder
from gatewright.records.sinks.otlp_logs import OtlpLogsEncoder
from stores.http import OtlpStore, Received, Reply, as_json
from stores.servers import STORES, Collector, Server, running, until

HERE = Path(__file__).resolve().parent
SENT = 6000
BATCH = 200


def asked(url: str, method: str = "GET") -> Any:
    return httpx2.request(method, url, timeout=30).json()


def lines(numbers: range, **fields: Any) -> bytes:
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    record = {"timestamp": now, "status": 200, "gateway_instance": "node-1", "backend_service": "users"}
    return b"".join(json.dumps(record | fields | {"number": one}).encode() + b"\n" for one in numbers)


def stream_through_a_kill(server: Server, encoder: Any, directory: Path) -> Lane:
    """Send records into a server that is killed and started again; all are stored when this returns."""
    sink = HttpSink("sink", Destination(server.url + encoder.path, 20.0, ANSWER_BYTES), encoder)
    retry, spill = RetrySettings(first=0.05, longest=0.5), SpillSettings(directory)
    lane = Lane(sink, LaneSettings(BATCH, batch_wait=0.01, retry=retry, spill=spill))
    for first in range(0, SENT, 50):
        lane.offer(Chunk(lines(range(first, first + 50))))
    until(lambda: lane.counts().stored > 0)
    server.kill()
    until(lambda: lane.counts().failures > 0 or lane.counts().stored == SENT)
    server.start()
    until(lambda: lane.counts().stored == SENT)
    lane.close(10)
    counts = lane.counts()
    print(f"sent {SENT}, stored {counts.stored}, failures {counts.failures}", end=", ")
    assert counts.failures > 0
    assert (counts.dropped, counts.queued, counts.spilled) == (0, 0, 0)
    return lane


@pytest.fixture
def opensearch(tmp_path: Path) -> Iterator[Server]:
    ports = unused_ports()
    http, transport = str(next(ports)), str(next(ports))
    program = ["-cp", f"{STORES}/opensearch/*", str(HERE / "OpenSearchNode.java")]
    command = ["java", "-Xmx512m", *program, str(tmp_path / "home"), http, transport]
    with running(Server(command, f"http://127.0.0.1:{http}", "/", tmp_path / "log")) as server:
        yield server


@pytest.fixture
def victorialogs(tmp_path: Path) -> Iterator[Server]:
    port = next(unused_ports())
    command = [
        str(STORES / "victoria-logs"),
        f"-storageDataPath={tmp_path / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        # Written at once, as far as it lets itself be told.
        "-inmemoryDataFlushInterval=1s",
    ]
    with running(Server(command, f"http://127.0.0.1:{port}", "/health", tmp_path / "log")) as server:
        yield server


def test_opensearch_that_is_killed_has_every_record_once(opensearch: Server, tmp_path: Path) -> None:
    stream_through_a_kill(opensearch, ElasticsearchEncoder(), tmp_path / "spill")
    asked(f"{opensearch.url}/_refresh", "POST")
    count = asked(f"{opensearch.url}/gatewright-*/_count")["count"]
    print(f"in OpenSearch {count}")
    assert count == SENT


def test_a_document_that_opensearch_refuses_is_counted_and_the_others_are_there(opensearch: Server) -> None:
    encoder = ElasticsearchEncoder()
    sink = HttpSink("sink", Destination(opensearch.url + encoder.path, 30.0, ANSWER_BYTES), encoder)
    bad = lines(range(1), status={"no": "number"})
    sink.write(Batch.of(lines(range(10))))
    with pytest.raises(RejectedError, match="parsing_exception") as caught:
        sink.write(Batch.of(lines(range(5)) + bad + lines(range(5))))
    sink.close()
    assert caught.value.records == 1
    asked(f"{opensearch.url}/_refresh", "POST")
    assert asked(f"{opensearch.url}/gatewright-*/_count")["count"] == 20


def test_a_store_with_lokis_protocol_has_all_but_what_it_lost(victorialogs: Server, tmp_path: Path) -> None:
    encoder = LokiEncoder()
    object.__setattr__(encoder, "path", "/insert" + encoder.path)
    stream_through_a_kill(victorialogs, encoder, tmp_path / "spill")
    query = f"{victorialogs.url}/select/logsql/query?query=service:users&limit={10 * SENT}"

    def found() -> Counter[int]:
        answer = httpx2.get(query, timeout=30).text
        return Counter(int(json.loads(line)["number"]) for line in answer.splitlines())

    until(lambda: len(found()) >= SENT - 10 * BATCH)
    time.sleep(2)
    there = found()
    print(f"in VictoriaLogs {sum(there.values())}, {SENT - len(there)} missing")
    # It says 204 before a record is on its disk: what it loses in its memory is its own.
    assert sum(there.values()) - len(there) <= BATCH


def test_a_collector_that_is_killed_passes_every_record_on(tmp_path: Path) -> None:
    behind = OtlpStore()
    numbers: Counter[int] = Counter()

    def kept(request: Received) -> Reply:
        # Not so strict: the collector writes what it passes on in its own way.
        for resource in json.loads(request.body)["resourceLogs"]:
            for record in resource["scopeLogs"][0]["logRecords"]:
                numbers[json.loads(record["body"]["stringValue"])["number"]] += 1
        return as_json({})

    behind.accept = kept
    with behind, running(Collector(tmp_path, behind.url)) as server:
        stream_through_a_kill(server, OtlpLogsEncoder(), tmp_path / "spill")
    print(f"passed on {sum(numbers.values())}")
    assert set(numbers) == set(range(SENT))
    assert sum(numbers.values()) - SENT <= BATCH

"""What each kind of sink over HTTP sends, and what it makes of the answer."""

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from gatewright.records.batch import Batch, Chunk
from gatewright.records.sink import RejectedError, SinkError
from gatewright.records.sinks.clickhouse import ClickHouseEncoder
from gatewright.records.sinks.loki import LokiEncoder
from gatewright.records.sinks.webhook import WebhookEncoder
from stores.http import (
    ClickHouseStore,
    ElasticsearchStore,
    LokiStore,
    OtlpStore,
    Reply,
    WebhookStore,
    as_json,
    pairs,
)
from stores.sinks import OPEN, RECORD, batch_of, numbers, sink_of


@pytest.fixture(autouse=True)
def closed_sinks() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def test_a_webhook_is_signed_over_the_bytes_that_are_sent() -> None:
    with WebhookStore() as store:
        encoder = WebhookEncoder("json", "0123456789abcdef", now=lambda: 1_700_000_000.5)
        sink_of("webhook", store, encoder).write(batch_of(3))
        [request] = store.requests
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["x-gatewright-timestamp"] == "1700000000"
    expected = hmac.new(b"0123456789abcdef", b"1700000000." + request.sent, hashlib.sha256).hexdigest()
    assert request.headers["x-gatewright-signature"] == f"v1={expected}"
    assert isinstance(json.loads(request.body), list)


def test_a_repeated_request_of_a_webhook_has_the_same_name() -> None:
    with WebhookStore() as store:
        sink, batch = sink_of("webhook", store), batch_of(3)
        store.after.append(lambda _: Reply(500))
        with pytest.raises(SinkError):
            sink.write(batch)
        sink.write(batch)
        sink.write(batch_of(3, status=404))
    names = [request.headers["x-gatewright-batch"] for request in store.requests]
    assert names[0] == names[1] != names[2]


def test_documents_go_to_the_index_of_their_day() -> None:
    with ElasticsearchStore() as store:
        sink = sink_of("elasticsearch", store)
        sink.write(batch_of(1))
        sink.write(batch_of(1, timestamp="2026-01-02T00:00:00.000Z"))
    assert {index for index, _ in store.documents} == {"gatewright-2026.11.21", "gatewright-2026.01.02"}


def test_only_documents_that_may_pass_later_are_sent_again() -> None:
    statuses = {3: 429, 5: 503, 8: 400}
    with ElasticsearchStore() as store:
        store.errors_of = lambda document: statuses.get(document["number"])
        sink, batch = sink_of("elasticsearch", store), batch_of(10)
        with pytest.raises(SinkError, match="failed_with_"):
            sink.write(batch)
        statuses = {}
        with pytest.raises(RejectedError) as caught:
            sink.write(batch)
    assert caught.value.records == 1
    assert [len(request.lines) // 2 for request in store.requests] == [10, 2]
    assert sorted(numbers(store)) == [0, 1, 2, 3, 4, 5, 6, 7, 9]


def test_a_batch_that_comes_again_from_the_spill_is_stored_once() -> None:
    batch = batch_of(20)
    again = Batch([Chunk(chunk.lines, chunk.id) for chunk in reversed(batch.chunks)])
    with ElasticsearchStore() as store:
        sink = sink_of("elasticsearch", store)
        sink.write(batch)
        sink.write(again)
    assert sorted(numbers(store)) == list(range(20))


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"errors":true,"items":[]}', b'{"items":3}', b"\xff"])
def test_an_answer_to_a_bulk_request_that_makes_no_sense_counts_for_nothing(body: bytes) -> None:
    with ElasticsearchStore() as store:
        store.faults.append(lambda _: Reply(200, body))
        with pytest.raises(SinkError):
            sink_of("elasticsearch", store).write(batch_of(2))


def test_streams_of_loki_have_few_labels() -> None:
    with LokiStore() as store:
        encoder = LokiEncoder({"cluster": "eu", "job": "edge"})
        sink = sink_of("loki", store, encoder)
        for status, service in ((200, "users"), (204, "users"), (503, "users"), (None, None)):
            sink.write(batch_of(5, status=status, backend_service=service, user_agent="a", path="/x"))
    streams = [dict(stream) for stream in sorted(store.streams)]
    assert {(one["service"], one["status_class"]) for one in streams} == {
        ("users", "2xx"),
        ("users", "5xx"),
        ("none", "none"),
    }
    assert all(one["node"] == "node-1" and one["cluster"] == "eu" and one["job"] == "edge" for one in streams)
    assert all(set(one) == {"job", "service", "status_class", "node", "cluster"} for one in streams)


def test_entries_that_loki_finds_too_old_are_counted_and_the_others_stored() -> None:
    with LokiStore() as store:
        store.oldest = 1_700_000_000_000_000_000
        lines = batch_of(4).lines + batch_of(3, timestamp="2020-01-02T00:00:00Z").lines
        with pytest.raises(RejectedError, match="too far behind") as caught:
            sink_of("loki", store).write(Batch.of(lines))
    assert caught.value.records == 3
    assert numbers(store) == [0, 1, 2, 3]
    assert len(store.requests) == 1


def test_times_reach_loki_in_nanoseconds() -> None:
    with LokiStore() as store:
        sink_of("loki", store).write(batch_of(1, timestamp="2026-11-21T10:45:08.199Z"))
    [stream] = json.loads(store.requests[0].body)["streams"]
    assert stream["values"][0][0] == "1795257908199000000"


def test_an_insert_says_how_records_are_to_be_read() -> None:
    with ClickHouseStore() as store:
        encoder = ClickHouseEncoder("records", "logs")
        sink_of("clickhouse", store, encoder).write(batch_of(1))
    query = store.requests[0].query
    assert (query["database"], query["query"]) == ("logs", "INSERT INTO `records` FORMAT JSONEachRow")
    assert query["date_time_input_format"] == "best_effort"
    assert query["wait_end_of_query"] == "1"


def test_an_exception_of_clickhouse_within_a_200_is_a_failure() -> None:
    with ClickHouseStore() as store:
        store.faults.append(lambda _: Reply(200, b"Code: 241", {"X-ClickHouse-Exception-Code": "241"}))
        with pytest.raises(SinkError, match="exception 241"):
            sink_of("clickhouse", store).write(batch_of(1))


def test_a_log_record_has_the_names_of_opentelemetry() -> None:
    fields = {"status": 503, "method": "GET", "path": "/x", "error_type": "service_unavailable"}
    with OtlpStore() as store:
        sink_of("otlp", store).write(batch_of(2, **fields, span_id="0102030405060708", host=None))
    record = store.log_records[0]
    assert record["timeUnixNano"] == "1795257908199000000"
    assert (record["severityNumber"], record["severityText"]) == (17, "ERROR")
    assert (record["traceId"], record["spanId"]) == (RECORD["trace_id"], "0102030405060708")
    assert pairs(record["attributes"]) == {
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "url.path": "/x",
        "error.type": "service_unavailable",
        "gatewright.request_id": "demo-1",
        "gatewright.service": "users",
        "gatewright.total_latency_ms": 0.5,
    }
    assert store.resources == [
        {"service.name": "gatewright", "service.instance.id": "node-1", "service.version": "0.1.0"}
    ]


def test_log_records_that_a_collector_rejects_are_counted_and_not_sent_again() -> None:
    with OtlpStore() as store:
        store.rejects = 3
        with pytest.raises(RejectedError, match="too many attributes") as caught:
            sink_of("otlp", store).write(batch_of(10))
    assert caught.value.records == 3
    assert len(store.requests) == 1


def test_a_collector_that_fails_for_good_is_not_asked_again() -> None:
    with OtlpStore() as store:
        store.faults.extend([lambda _: Reply(500, b"broken")] * 20)
        with pytest.raises(RejectedError):
            sink_of("otlp", store).write(batch_of(2))


@pytest.mark.parametrize("said", [{"partialSuccess": {}}, {"partialSuccess": None}, {"a": 1}, []])
def test_a_collector_that_accepts_may_say_what_it_likes(said: object) -> None:
    with OtlpStore() as store:
        store.after.append(lambda _: as_json(said))
        sink_of("otlp", store).write(batch_of(2))

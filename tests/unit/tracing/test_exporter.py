"""The exporter of spans against collectors of both protocols."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from gateway.span_collector import SpanCollector, attributes, grpc_collector, http_collector
from gateway.traced_record import record
from gatewright.config.models import SpanExport
from gatewright.records.batch import Batch
from gatewright.records.sink import RejectedError, SinkError
from gatewright.tracing import exporter
from gatewright.tracing.exporter import SpanSink, build_spans

AGAIN = {"http": 503, "grpc": grpc.StatusCode.UNAVAILABLE}
NEVER = {"http": 400, "grpc": grpc.StatusCode.INVALID_ARGUMENT}


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def collector(protocol: str) -> Iterator[SpanCollector]:
    with http_collector() if protocol == "http" else grpc_collector() as running:
        yield running


def sink(collector: SpanCollector, protocol: str, **settings: Any) -> SpanSink:
    fields = {"url": f"http://127.0.0.1:{collector.port}", "protocol": protocol, **settings}
    return build_spans(SpanExport.model_validate(fields), None)


def batch(*records: dict[str, Any]) -> Batch:
    return Batch.of(b"".join(json.dumps(one).encode() + b"\n" for one in records))


def test_spans_of_what_was_sampled_or_failed_come_and_no_others(
    collector: SpanCollector, protocol: str
) -> None:
    sampled = record(span_id="00000000000000a0")
    passed_over = record(span_id="00000000000000b0", trace_sampled=False)
    failed = record(span_id="00000000000000c0", trace_sampled=False, status=503, error_type="overloaded")
    untraced = {name: value for name, value in record().items() if name not in ("span_id", "trace_sampled")}
    exporting = sink(collector, protocol)
    exporting.write(batch(sampled, passed_over, failed, untraced))
    exporting.close()
    came = collector.next()
    ids = [span.span_id.hex() for span in came.scope_spans[0].spans if span.name == "GET users-v2"]
    assert ids == ["00000000000000a0", "00000000000000c0"]
    assert collector.is_empty
    named = attributes(came.resource)
    assert named == {
        "service.name": "gatewright",
        "service.instance.id": "node-1",
        "service.version": "0.1.0",
    }


def test_no_proxy_of_the_environment_is_used(
    collector: SpanCollector, protocol: str, monkeypatch: pytest.MonkeyPatch, free_port: Any
) -> None:
    for name in ("http_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    exporting = sink(collector, protocol, timeout="5s")
    exporting.write(batch(record()))
    exporting.close()
    assert len(collector.heads) == 1


def test_a_batch_without_spans_asks_nobody(collector: SpanCollector, protocol: str) -> None:
    exporting = sink(collector, protocol)
    exporting.write(batch(record(trace_sampled=False)))
    exporting.close()
    assert collector.heads == []


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_headers_go_with_every_request(collector: SpanCollector, protocol: str, compression: str) -> None:
    exporting = sink(collector, protocol, headers={"X-Key": "s3cret"}, compression=compression)
    exporting.write(batch(record()))
    exporting.close()
    [head] = collector.heads
    assert head["x-key"] == "s3cret"
    if protocol == "http":
        assert (head[":path"], head["content-type"]) == ("/v1/traces", "application/x-protobuf")
        assert head.get("content-encoding", "none") == compression


def test_what_a_collector_does_not_take_now_comes_again_and_once(
    collector: SpanCollector, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "MOST_BYTES", 1)
    exporting = sink(collector, protocol)
    batches = batch(record(span_id="00000000000000a0"), record(span_id="00000000000000b0"))
    exporting.write(batch(record(span_id="00000000000000f0")))
    collector.failures.append(AGAIN[protocol])
    with pytest.raises(SinkError, match="answered"):
        exporting.write(batches)
    exporting.write(batches)
    exporting.close()
    assert [collector.spans()[0].span_id.hex()[-2:] for _ in range(3)] == ["f0", "a0", "b0"]
    assert collector.is_empty


def test_what_a_collector_refuses_for_good_is_counted_and_the_rest_goes_on(
    collector: SpanCollector, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "MOST_BYTES", 1)
    exporting = sink(collector, protocol)
    collector.failures.append(NEVER[protocol])
    with pytest.raises(RejectedError) as refused:
        exporting.write(batch(record(span_id="00000000000000a0"), record(span_id="00000000000000b0")))
    exporting.close()
    assert refused.value.records == 1
    assert collector.spans()[0].span_id.hex()[-2:] == "b0"


def test_spans_that_a_collector_rejects_of_a_request_are_counted(
    collector: SpanCollector, protocol: str
) -> None:
    collector.rejects = 2
    exporting = sink(collector, protocol)
    with pytest.raises(RejectedError, match="2 spans rejected: too many") as refused:
        exporting.write(batch(record()))
    exporting.close()
    assert refused.value.records == 1


def test_a_collector_that_is_not_there_is_told_as_such(protocol: str, free_port: Any) -> None:
    exporting = sink(SpanCollector(), protocol, url=f"http://127.0.0.1:{free_port()}", timeout="1s")
    with pytest.raises(SinkError, match="the collector"):
        exporting.write(batch(record()))
    exporting.close()

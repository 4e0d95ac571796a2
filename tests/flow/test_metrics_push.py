"""A collector gets everything that is counted, as OTLP, and a gateway goes on where it does not take it."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from gateway import RunningGateway
from gateway.ports import unused_ports

DEADLINE = 60.0


class Collector(ThreadingHTTPServer):
    """Takes what it is sent, unless it is told to answer otherwise."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: Queue[tuple[dict[str, str], ExportMetricsServiceRequest]] = Queue()
        self.status = 200
        self.answer = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/metrics"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
        if collector.status == 200:
            collector.taken.put((headers, ExportMetricsServiceRequest.FromString(body)))
        self.send_response(collector.status)
        self.send_header("content-length", str(len(collector.answer)))
        self.end_headers()
        self.wfile.write(collector.answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def gateway(directory: Path, collector: Collector, more: str) -> RunningGateway:
    ports = unused_ports()
    text = (
        "node: {name: gateway-3}\n"
        "routes: [{name: home, match: '/*', respond: {status: 204}}]\n"
        f"metrics: {{otlp: {{url: '{collector.url}', interval: 1s{more}}}}}\n"
    )
    return RunningGateway(directory, (next(ports), next(ports)), text)


@pytest.fixture
def running(tmp_path: Path, collector: Collector) -> Iterator[RunningGateway]:
    """Sends the buckets of native histograms, in small requests, with a header."""
    more = ", histograms: exponential, max_batch: 16KiB, headers: {Authorization: Bearer secret}"
    node = gateway(tmp_path, collector, more)
    try:
        node.start()
        yield node
    finally:
        node.end()


def metrics_of(request: ExportMetricsServiceRequest) -> dict[str, Any]:
    assert len(request.resource_metrics) == 1
    scope = request.resource_metrics[0].scope_metrics[0]
    assert scope.scope.name == "gatewright"
    return {metric.name: metric for metric in scope.metrics}


def wait_for(collector: Collector, name: str, wanted: Callable[[Any], bool]) -> tuple[dict[str, str], Any]:
    """The first push in which a metric is as `wanted` says."""
    while True:
        headers, request = collector.taken.get(timeout=DEADLINE)
        metric = metrics_of(request).get(name)
        if metric is not None and wanted(metric):
            return headers, metric


def test_native_histograms_arrive_as_exponential_ones(running: RunningGateway, collector: Collector) -> None:
    for _ in range(5):
        httpx2.get(f"http://127.0.0.1:{running.public}/", timeout=DEADLINE)
    name = "gateway_total_duration_seconds"
    headers, metric = wait_for(
        collector,
        name,
        lambda one: any(point.count == 5 for point in one.exponential_histogram.data_points),
    )
    assert headers["authorization"] == "Bearer secret"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["path"] == "/v1/metrics"
    assert metric.unit == "s"
    assert metric.exponential_histogram.aggregation_temporality == 2
    point = next(point for point in metric.exponential_histogram.data_points if point.count == 5)
    assert {one.key: one.value.string_value for one in point.attributes} == {"route": "home"}
    assert (point.scale, sum(point.positive.bucket_counts), point.zero_count) == (3, 5, 0)
    assert 0 < point.start_time_unix_nano < point.time_unix_nano
    highest = 2 ** ((point.positive.offset + len(point.positive.bucket_counts)) / 8)
    lowest = 2 ** (point.positive.offset / 8)
    assert lowest <= point.sum / 5 <= highest


def test_everything_arrives_in_requests_no_larger_than_they_may_be(
    running: RunningGateway, collector: Collector
) -> None:
    found: dict[str, Any] = {}
    sizes = []
    while "process_open_fds" not in found:
        _, request = collector.taken.get(timeout=DEADLINE)
        resource = {
            one.key: one.value.string_value for one in request.resource_metrics[0].resource.attributes
        }
        assert (resource["service.name"], resource["service.instance.id"]) == ("gatewright", "gateway-3")
        found |= metrics_of(request)
        sizes.append(request.ByteSize())
    assert len(sizes) > 1
    assert max(sizes) < (16 << 10) + 1024
    assert found["gateway_refusals_total"].sum.is_monotonic
    assert found["process_open_fds"].gauge.data_points[0].as_double > 0
    assert found["gateway_uptime_seconds"].gauge.data_points


def test_a_collector_that_refuses_and_comes_back_misses_nothing(tmp_path: Path, collector: Collector) -> None:
    collector.status = 503
    node = gateway(tmp_path, collector, ", compression: none, timeout: 2s")
    try:
        node.start()
        httpx2.get(f"http://127.0.0.1:{node.public}/", timeout=DEADLINE)
        failures = "gateway_metrics_push_failures_total"
        until(node, lambda page: value_of(page, failures) >= 1)
        collector.answer = ExportMetricsServiceResponse(
            partial_success=ExportMetricsPartialSuccess(rejected_data_points=7, error_message="too many")
        ).SerializeToString()
        collector.status = 200
        name = "gateway_requests_total"
        _, metric = wait_for(collector, name, lambda one: one.sum.data_points[0].as_int == 1)
        assert metric.sum.is_monotonic
        whole = "gateway_total_duration_seconds"
        _, explicit = wait_for(collector, whole, lambda one: len(one.histogram.data_points) == 1)
        point = explicit.histogram.data_points[0]
        assert (point.count, sum(point.bucket_counts)) == (1, 1)
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        assert (point.explicit_bounds[0], point.explicit_bounds[-1]) == (0.001, 60.0)
        until(node, lambda page: value_of(page, "gateway_metrics_push_rejected_total") >= 7)
        # What was rejected of the first request is told while the next one is on its way.
        until(node, lambda page: value_of(page, "gateway_metrics_push_connected") == 1)
    finally:
        node.end()
    said = "".join(node.lines)
    assert "it answered 503" in said
    assert "too many" in said


def scrape(node: RunningGateway) -> str:
    return httpx2.get(f"{node.url}/metrics", timeout=DEADLINE).text


def value_of(page: str, name: str) -> float:
    return float(next(line for line in page.splitlines() if line.startswith(f"{name} ")).split()[1])


def until(node: RunningGateway, wanted: Callable[[str], bool]) -> None:
    """Scrape until the page is as wanted."""
    end = time.monotonic() + DEADLINE
    while not wanted(page := scrape(node)):
        assert time.monotonic() < end, page
        time.sleep(0.02)

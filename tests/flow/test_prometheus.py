"""A real Prometheus scrapes a gateway, native histograms and exemplars included, and answers questions."""

from collections.abc import Iterator

import httpx2
import pytest

from gateway import RunningGateway
from gateway.ports import unused_ports
from gateway.prometheus import Prometheus

pytestmark = pytest.mark.needs("prometheus")
REQUESTS = 20


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    directory = tmp_path_factory.mktemp("prometheus")
    ports = unused_ports()
    service = RunningGateway(
        tmp_path_factory.mktemp("service"),
        (next(ports), next(ports)),
        "routes: [{name: all, match: '/*', respond: {status: 200}}]\n",
    )
    node = RunningGateway(
        tmp_path_factory.mktemp("gateway"),
        (next(ports), next(ports)),
        f"services: [{{name: users, instances: ['127.0.0.1:{service.public}']}}]\n"
        "routes: [{name: users, match: '/*', service: users}]\n",
    )
    try:
        service.start()
        node.start()
        with Prometheus(directory, f"127.0.0.1:{node.admin}") as server:
            ask(f"http://127.0.0.1:{node.public}/")
            yield server
    finally:
        node.end()
        service.end()


def ask(url: str) -> None:
    for _ in range(REQUESTS):
        assert httpx2.get(url, timeout=60.0).status_code == 200


def value(found: list[dict]) -> float:
    assert len(found) == 1
    return float(found[0]["value"][1])


def test_a_native_histogram_arrives_whole(prometheus: Prometheus) -> None:
    count = f"histogram_count(gateway_total_duration_seconds{{route='users'}}) == {REQUESTS}"
    assert value(prometheus.query(count)) == REQUESTS
    p99 = value(prometheus.query("histogram_quantile(0.99, gateway_total_duration_seconds{route='users'})"))
    p50 = value(prometheus.query("histogram_quantile(0.50, gateway_total_duration_seconds{route='users'})"))
    mean = value(
        prometheus.query(
            "histogram_sum(gateway_total_duration_seconds{route='users'}) / "
            "histogram_count(gateway_total_duration_seconds{route='users'})"
        )
    )
    assert 0 < p50 <= p99
    # A bucket is 9 % wide; the mean lies between the shares that are below and above it.
    assert p50 / 2 < mean < p99 * REQUESTS


def test_counters_and_what_python_counts_arrive_by_protocol_buffers(prometheus: Prometheus) -> None:
    wanted = f"sum(gateway_requests_total{{service='users', status='200'}}) == {REQUESTS}"
    assert value(prometheus.query(wanted)) == REQUESTS
    assert value(prometheus.query("gateway_config_valid")) == 1
    kinds = prometheus.get("metadata", metric="gateway_request_duration_seconds")
    assert kinds["gateway_request_duration_seconds"][0]["type"] == "histogram"


def test_nothing_of_the_page_is_refused(prometheus: Prometheus) -> None:
    prometheus.query("up == 1")
    target = prometheus.get("targets")["activeTargets"][0]
    assert (target["health"], target["lastError"]) == ("up", "")

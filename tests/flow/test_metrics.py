"""Metrics: what is counted is what every format says, within its bounds, with a trace to look at."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from gateway import Node, Origin, get, one_route
from gatewright.metrics.wire import fields, split

NOTHING = b"[]"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def asked(origin: Origin) -> Iterator[Node]:
    """A node that has answered three requests of a sampled trace. Its records are there to be taken."""
    with Node(one_route(origin)) as node:
        for path in ("/a", "/b", "/c"):
            get(node.address, path, ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
        yield node


def families(node: Node) -> dict[str, Any]:
    text = node.engine.exposition("openmetrics", NOTHING).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_openmetrics_is_what_a_strict_reader_takes_and_says_the_same_as_text(asked: Node) -> None:
    asked.records(3)
    found = families(asked)
    plain = {family.name: family for family in plain_families(asked.engine.metrics())}
    assert set(found) == set(plain)
    for name in ("gateway_requests", "gateway_total_duration_seconds", "gateway_config_version"):
        values = {(one.name, str(sorted(one.labels.items()))): one.value for one in found[name].samples}
        assert {value for (series, _), value in values.items() if series.endswith(("_total", "_count"))} <= {
            3.0
        }
        assert values


def test_each_count_says_when_it_began_where_it_is_to(asked: Node) -> None:
    asked.records(3)
    page = asked.engine.exposition("openmetrics_created", NOTHING).decode()
    created = [line for line in page.splitlines() if line.startswith("gateway_requests_created{")]
    assert len(created) == 1
    assert len(list(text_string_to_metric_families(page))) == len(families(asked))


def test_the_trace_of_a_request_is_the_exemplar_of_its_bucket(asked: Node) -> None:
    asked.records(3)
    page = asked.engine.exposition("openmetrics", NOTHING).decode()
    traces = re.findall(
        r'^(gateway_\w+)_bucket\{.*# \{trace_id="(\w{32})"\} [\d.]+ [\d.]+$', page, re.MULTILINE
    )
    assert {trace for _, trace in traces} == {TRACE}
    assert {name for name, _ in traces} == {
        "gateway_request_duration_seconds",
        "gateway_upstream_duration_seconds",
        "gateway_total_duration_seconds",
    }
    assert "trace_id" not in asked.engine.metrics()


def test_a_native_histogram_counts_what_the_fixed_buckets_count(asked: Node) -> None:
    asked.records(3)
    messages: list[dict[int, Any]] = [
        dict(fields(one)) for one in split(asked.engine.exposition("protobuf", NOTHING))
    ]
    total = next(one for one in messages if one[1] == b"gateway_total_duration_seconds")
    assert total[3] == 4  # HISTOGRAM
    inside: dict[int, Any] = dict(fields(total[4]))
    histogram: list[tuple[int, Any]] = list(fields(inside[7]))
    numbers = dict(histogram)
    assert numbers[1] == 3  # sample_count
    assert numbers[5] == 6  # schema 3 as a signed number
    spans: list[dict[int, Any]] = [dict(fields(value)) for number, value in histogram if number == 12]
    deltas = unpacked(numbers[13])
    counts = [sum(deltas[: index + 1]) for index in range(len(deltas))]
    assert sum(counts) == 3
    assert sum(span[2] for span in spans) == len(counts)
    assert len([1 for number, _ in histogram if number == 3]) == 16


def unpacked(content: bytes) -> list[int]:
    """A packed list of `sint64`."""
    values, value, shift = [], 0, 0
    for byte in content:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append((value >> 1) ^ -(value & 1))
            value = shift = 0
    return values


def test_names_beyond_the_bound_share_other_and_are_counted() -> None:
    routes = ", ".join(f"{{name: r{one}, match: /{one}, respond: {{status: 204}}}}" for one in range(13))
    with Node(f"metrics: {{max_names: 10}}\nroutes: [{routes}]\n") as node:
        for index in range(13):
            assert get(node.address, f"/{index}").status == 204
        node.records(13)
        assert node.metric("gateway_requests_total", route="r0") == 1
        assert node.metric("gateway_requests_total", route="other") == 3
        assert node.metric("gateway_requests_total") == 13
        assert node.metric("gateway_metric_names_shared", kind="route") == 3


def test_the_bytes_of_records_are_counted_by_route(asked: Node) -> None:
    asked.records(3)
    assert asked.metric("gateway_record_bytes_total", route="users") > 3 * 500


def test_what_others_count_stands_on_the_same_page(asked: Node) -> None:
    family = {"name": "mine_total", "kind": "counter", "help": "Mine.", "samples": [[{"a": 'x"y'}, "2.5"]]}
    page = asked.engine.exposition("text", json.dumps([family]).encode()).decode()
    assert page.endswith('# HELP mine_total Mine.\n# TYPE mine_total counter\nmine_total{a="x\\"y"} 2.5\n')

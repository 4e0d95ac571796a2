"""Traces: what services are told, what is sampled, and what a collector gets of a whole node."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway import Node, Origin, RunningGateway, basic, get, one_route, quick_hash
from gateway.span_collector import attributes, grpc_collector, http_collector

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ZIPKIN = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", PARENT), ("X-B3-Sampled", "1")]
HASH = quick_hash("open sesame")
W3C = ("traceparent", f"00-{TRACE}-{PARENT}-01")


def told(origin: Origin, name: str) -> str:
    return origin.next_request().get(name) or ""


def test_a_record_has_what_spans_need_and_services_are_told_the_same(origin: Origin) -> None:
    with Node(one_route(origin, "", "tracing: {sample: 0}")) as node:
        get(node.address, "/", W3C)
        found = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", told(origin, "traceparent"))
        assert found is not None
        record = node.record()
        assert record["trace_id"] == TRACE
        assert (record["span_id"], record["parent_span_id"]) == (found[1], PARENT)
        assert record["trace_sampled"] is True
        assert 0 <= record["upstream_offset_ms"] <= record["total_latency_ms"]


def test_a_request_that_came_to_no_service_is_part_of_its_trace_too(origin: Origin) -> None:
    with Node(one_route(origin, "", "tracing: {}", path="/here")) as node:
        assert get(node.address, "/nowhere", W3C).status == 404
        record = node.record()
        assert (record["trace_id"], record["parent_span_id"]) == (TRACE, PARENT)
        assert record["upstream_offset_ms"] is None


def test_without_tracing_the_record_says_only_which_trace(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        get(node.address, "/")
        assert "span_id" not in node.record()


@pytest.mark.parametrize(("sample", "flags"), [("1", "01"), ("0", "00")])
def test_of_traces_that_begin_here_the_share_is_sampled(origin: Origin, sample: str, flags: str) -> None:
    with Node(one_route(origin, "", f"tracing: {{sample: {sample}}}")) as node:
        get(node.address, "/")
        assert told(origin, "traceparent")[-2:] == flags
        assert node.record()["trace_sampled"] is (flags == "01")


def test_one_trace_in_a_hundred_is_sampled_where_nothing_else_is_said(origin: Origin) -> None:
    with Node(one_route(origin, "", "tracing: {}")) as node:
        for _ in range(50):
            get(node.address, "/")
        assert sum(record["trace_sampled"] for record in node.records(50)) <= 8


def test_a_route_has_a_share_of_its_own(origin: Origin) -> None:
    with Node(one_route(origin, "trace_sample: 1", "tracing: {sample: 0}")) as node:
        get(node.address, "/")
        assert told(origin, "traceparent")[-2:] == "01"


@pytest.mark.parametrize(("parent_based", "flags"), [("true", "01"), ("false", "00")])
def test_what_the_caller_decided_holds_where_it_is_to(origin: Origin, parent_based: str, flags: str) -> None:
    with Node(one_route(origin, "", f"tracing: {{sample: 0, parent_based: {parent_based}}}")) as node:
        get(node.address, "/", W3C)
        assert told(origin, "traceparent")[-2:] == flags


def test_b3_goes_in_and_out_in_the_forms_that_are_wanted(origin: Origin) -> None:
    with Node(one_route(origin, "", "tracing: {propagate: [b3, b3_single]}")) as node:
        get(node.address, "/", *ZIPKIN, W3C, ("tracestate", "a=b"), ("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"))
        received = origin.next_request()
        span = node.record()["span_id"]
        assert received.all("b3") == [f"{TRACE}-{span}-1-{PARENT}"]
        assert received.all("x-b3-traceid") == [TRACE]
        assert received.all("x-b3-spanid") == [span]
        assert received.all("x-b3-parentspanid") == [PARENT]
        assert received.all("x-b3-sampled") == ["1"]
        assert received.get("traceparent") is None
        assert received.get("tracestate") is None


def test_b3_that_nobody_wants_goes_on_as_any_header(origin: Origin) -> None:
    with Node(one_route(origin, "", "tracing: {propagate: w3c}")) as node:
        get(node.address, "/", *ZIPKIN)
        received = origin.next_request()
        assert received.all("x-b3-traceid") == [TRACE]
        assert TRACE not in (received.get("traceparent") or "")


def check_wait(whole: Span, deciding: Span, waiting: Span) -> None:
    assert (waiting.name, waiting.parent_span_id) == ("wait password", deciding.span_id)
    assert attributes(waiting) == {"gatewright.stage": "authenticate"}
    assert whole.start_time_unix_nano < waiting.start_time_unix_nano < waiting.end_time_unix_nano
    assert waiting.end_time_unix_nano <= deciding.end_time_unix_nano <= whole.end_time_unix_nano


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_collector_gets_the_spans_of_what_was_sampled_or_failed(
    origin: Origin, tmp_path: Path, free_port: Callable[[], int], protocol: str
) -> None:
    dead = f"127.0.0.1:{free_port()}"
    with http_collector() if protocol == "http" else grpc_collector() as collector:
        export = (
            f"url: 'http://127.0.0.1:{collector.port}', protocol: {protocol}, compression: none, "
            "headers: {x-key: k}, errors: server, service: edge, timeout: 5s, batch: {wait: 10ms}"
        )
        services = f'{{name: a, instances: ["{origin.address}"]}}, {{name: dead, instances: ["{dead}"]}}'
        route = "match: '/*', service: a, auth: none"
        kept = "match: /kept, service: a, auth: {accept: [staff]}"
        text = (
            f"services: [{services}]\n"
            f"identities: [{{name: staff, kind: basic, users: [{{user: ann, hash: '{HASH}'}}]}}]\n"
            f"routes: [{{name: a, {route}}}, {{name: kept, {kept}}}, "
            "{name: dead, match: /dead, service: dead, auth: none}]\n"
            f"tracing: {{sample: 0, export: {{{export}}}}}\n"
            "defaults: {rate_limit: none, unauthenticated_tier: none}\n"
        )
        node = RunningGateway(tmp_path, (free_port(), free_port()), text)
        node.start()
        try:
            public = ("127.0.0.1", node.public)
            assert get(public, "/passed-over").status == 200
            assert get(public, "/kept", W3C, basic("ann", "open sesame")).status == 200
            came = collector.next()
            assert attributes(came.resource)["service.name"] == "edge"
            whole, deciding, waiting, attempt, *_ = came.scope_spans[0].spans
            check_wait(whole, deciding, waiting)
            assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, PARENT)
            assert attributes(whole)["url.path"] == "/kept"
            assert attributes(attempt)["server.port"] == int(origin.address.rpartition(":")[2])
            assert get(public, "/dead").status == 502
            whole, *_ = collector.spans()
            assert attributes(whole)["http.response.status_code"] == 502
            assert collector.heads[0]["x-key"] == "k"
        finally:
            node.end()
        assert collector.is_empty

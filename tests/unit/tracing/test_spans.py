"""Spans: what a record becomes, by the messages of the OpenTelemetry project."""

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from gateway.span_collector import attributes
from gateway.traced_record import PARENT, SPAN, TRACE, record
from gatewright.tracing.spans import Glance, spans_of


def messages(**changes: Any) -> list[Message]:
    return [Message.FromString(span.encode()) for span in spans_of(record(**changes))]


def attempted(instance: str, after: int, took: int, **inputs: Any) -> dict[str, Any]:
    told = {"instance": instance, "after_ms": after, "took_ms": took, **inputs}
    return {"stage": "proxy", "verdict": "attempted", "rule": "users", "at": None, "inputs": told}


def test_a_request_is_a_span_with_what_was_decided_and_its_attempt_within() -> None:
    whole, decided, attempt = messages()
    assert [one.trace_id.hex() for one in (whole, decided, attempt)] == [TRACE] * 3
    assert (whole.span_id.hex(), whole.parent_span_id.hex()) == (SPAN, PARENT)
    assert {one.parent_span_id.hex() for one in (decided, attempt)} == {SPAN}
    assert len({one.span_id for one in (whole, decided, attempt)}) == 3
    assert (whole.name, decided.name, attempt.name) == ("GET users-v2", "decide", "GET users")
    assert whole.kind == Message.SPAN_KIND_SERVER
    assert decided.kind == Message.SPAN_KIND_INTERNAL
    assert attempt.kind == Message.SPAN_KIND_CLIENT
    began = 1_795_257_908_199_000_000
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (began, began + 10_500_000)
    assert (decided.start_time_unix_nano, decided.end_time_unix_nano) == (began, began + 1_500_000)
    assert (attempt.start_time_unix_nano, attempt.end_time_unix_nano) == (
        began + 1_500_000,
        began + 9_750_000,
    )
    assert whole.status.code == attempt.status.code == Status.STATUS_CODE_UNSET
    assert whole.flags == 0x301


def test_attributes_are_those_of_the_conventions() -> None:
    whole, decided, attempt = messages()
    told = attributes(whole)
    assert told["http.request.method"] == "GET"
    assert told["http.response.status_code"] == 200
    assert told["http.route"] == "users-v2"
    assert told["gatewright.request_id"] == "r-1"
    assert told["network.protocol.version"] == "1.1"
    assert told["gatewright.rate_limited"] is False
    assert "user_agent.original" not in told
    assert attributes(decided) == {
        "gatewright.route": "matched users-v2",
        "gatewright.limit": "admitted standard",
    }
    expected = {"server.address": "127.0.0.1", "server.port": 9001, "http.response.status_code": 200}
    assert attributes(attempt) == {"http.request.method": "GET", **expected}


def test_each_attempt_is_a_span_and_only_what_failed_is_an_error() -> None:
    steps = [
        attempted("127.0.0.1:9001", 2, 3, error="connection_refused"),
        attempted("[::1]:9002", 6, 4, status=200, race="won"),
        attempted("127.0.0.1:9003", 5, 5, error="cancelled", race="lost"),
    ]
    _, _, first, lost, won = messages(decisions=steps, attempts=3)
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert attributes(first)["error.type"] == "connection_refused"
    assert lost.status.code == won.status.code == Status.STATUS_CODE_UNSET
    assert attributes(won)["server.address"] == "::1"
    assert (attributes(won)["gatewright.race"], attributes(won)["http.request.resend_count"]) == ("won", 2)
    assert (won.end_time_unix_nano - won.start_time_unix_nano) == 4_000_000
    assert len({first.span_id, lost.span_id, won.span_id}) == 3


def test_waiting_for_a_place_and_a_connection_are_spans_of_the_attempt() -> None:
    *_, attempt, queued, connected = messages(queue_latency_ms=1.0, connect_latency_ms=2.0)
    assert (queued.name, connected.name) == ("queue", "connect")
    assert queued.parent_span_id == connected.parent_span_id == attempt.span_id
    assert queued.start_time_unix_nano == attempt.start_time_unix_nano
    assert connected.start_time_unix_nano == queued.end_time_unix_nano


def test_a_request_that_no_service_was_asked_for_has_no_attempt() -> None:
    refused = {"status": 503, "error_type": "overloaded", "error_message": "too much", "attempts": 0}
    whole, decided = messages(upstream_offset_ms=None, upstream_latency_ms=None, route_id=None, **refused)
    assert whole.name == "GET"
    assert (whole.status.code, whole.status.message) == (Status.STATUS_CODE_ERROR, "too much")
    assert decided.end_time_unix_nano == whole.end_time_unix_nano


def test_a_failed_attempt_tells_why_and_a_new_trace_has_no_parent() -> None:
    failure = {"status": 502, "error_type": "connection_refused", "error_message": "no"}
    whole, _, attempt = messages(parent_span_id=None, trace_sampled=False, **failure)
    assert (whole.parent_span_id, whole.flags) == (b"", 0x100)
    assert attributes(attempt)["error.type"] == "connection_refused"
    assert "http.response.status_code" not in attributes(attempt)


def waited(stage: str, cause: str, at: float, took: float, verdict: str = "admitted") -> dict[str, Any]:
    told = {"waited_ms": took, "waited_for": cause, "waited_at_ms": at}
    return {"stage": stage, "verdict": verdict, "rule": "one", "at": None, **told, "inputs": {}}


def test_what_was_waited_for_is_a_span_of_who_waited() -> None:
    steps = [
        waited("limit", "redis", 0.25, 0.5),
        waited("limit", "queue", 0.75, 0.5, "waited"),
        waited("proxy", "backoff", 4, 2, "attempted"),
    ]
    whole, decided, redis, queue, backoff, attempt = messages(decisions=steps)
    assert [one.name for one in (redis, queue, backoff)] == ["wait redis", "wait queue", "wait backoff"]
    assert attributes(redis) == {"gatewright.stage": "limit"}
    # Where nothing was decided there is nothing to say.
    assert attributes(decided) == {"gatewright.limit": "admitted one"}
    assert redis.parent_span_id == queue.parent_span_id == decided.span_id
    assert backoff.parent_span_id == whole.span_id
    began = whole.start_time_unix_nano
    assert (redis.start_time_unix_nano, redis.end_time_unix_nano) == (began + 250_000, began + 750_000)
    assert (backoff.start_time_unix_nano, backoff.end_time_unix_nano) == (
        began + 4_000_000,
        began + 6_000_000,
    )
    assert len({one.span_id for one in (whole, decided, redis, queue, backoff, attempt)}) == 6


def test_a_wait_ends_with_its_request() -> None:
    [span] = [one for one in messages(decisions=[waited("limit", "queue", 1, 1_000)]) if "wait" in one.name]
    assert span.end_time_unix_nano == messages()[0].end_time_unix_nano


def test_a_record_gives_the_same_spans_each_time() -> None:
    assert messages() == messages()


@pytest.mark.parametrize(
    ("status", "error", "wanted"),
    [
        (200, None, ""),
        (404, None, ""),
        (500, None, "server all"),
        (502, "connection_refused", "server all"),
        (None, "stopped", "server all"),
        (200, "connection_reset", "server all"),
        (200, "client_closed", "all"),
        (499, "client_closed", "all"),
        (429, "rate_limit_exceeded", "all"),
        (401, "authentication_required", "all"),
    ],
)
def test_errors_are_wanted_as_configured_although_nobody_sampled_them(
    status: int | None, error: str | None, wanted: str
) -> None:
    glance = Glance(status, error, TRACE, SPAN)
    assert [how for how in ("server", "all", "none") if glance.is_wanted(how)] == wanted.split()
    sampled = Glance(status, error, TRACE, SPAN, trace_sampled=True)
    assert all(sampled.is_wanted(how) for how in ("server", "all", "none"))
    assert not Glance(status, error).is_wanted("all")

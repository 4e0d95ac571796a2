"""A decision record as spans: the request, what was decided before a service was asked, and each attempt.

Everything is a function of the record, ids of spans too, so that a record which is exported twice gives the
same spans twice, which a store takes for one.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from gatewright.tracing import protobuf
from gatewright.tracing.protobuf import Value

Record = Mapping[str, Any]

INTERNAL, SERVER, CLIENT = 1, 2, 3
OK, ERROR = 0, 2
# Where the numbers of waits begin, behind those of attempts and their parts.
WAITS = 1_000_000
SAMPLED, HAS_REMOTE, IS_REMOTE = 0x01, 0x100, 0x200
MILLISECOND = 1_000_000

Errors = Literal["server", "all", "none"]

# Attributes of the request, by the field of the record; the names are those of OpenTelemetry's conventions.
REQUEST = {
    "method": "http.request.method",
    "path": "url.path",
    "query_string": "url.query",
    "scheme": "url.scheme",
    "host": "server.address",
    "client_ip": "client.address",
    "user_agent": "user_agent.original",
    "status": "http.response.status_code",
    "route_id": "http.route",
    "error_type": "error.type",
    "request_id": "gatewright.request_id",
    "backend_service": "gatewright.service",
    "backend_instance": "gatewright.instance",
    "tenant_id": "gatewright.tenant",
    "listener": "gatewright.listener",
    "config_version": "gatewright.config_version",
    "attempts": "gatewright.attempts",
    "rate_limited": "gatewright.rate_limited",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Times are nanoseconds since 1970; ids hexadecimal digits."""

    trace: str
    id: str
    parent: str | None
    name: str
    kind: int
    start: int
    end: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    # What went wrong.
    error: str | None = None
    flags: int = 0

    def child(self, number: int, name: str, kind: int, times: tuple[int, int]) -> Span:
        """A span within this one, told apart from its siblings by `number`."""
        own = (int(self.id, 16) + number + 1) % (1 << 64) or 1
        flags = self.flags & SAMPLED | HAS_REMOTE
        return Span(self.trace, f"{own:016x}", self.id, name, kind, *times, flags=flags)

    def encode(self) -> bytes:
        """A `Span` of OTLP."""
        parts = [protobuf.field(1, bytes.fromhex(self.trace)), protobuf.field(2, bytes.fromhex(self.id))]
        if self.parent is not None:
            parts.append(protobuf.field(4, bytes.fromhex(self.parent)))
        parts += [
            protobuf.text(5, self.name),
            protobuf.whole(6, self.kind),
            protobuf.fixed64(7, self.start),
            protobuf.fixed64(8, self.end),
        ]
        parts += [protobuf.attribute(9, key, value) for key, value in self.attributes.items()]
        if self.error is not None:
            parts.append(protobuf.field(15, protobuf.text(2, self.error) + protobuf.whole(3, ERROR)))
        parts.append(protobuf.fixed32(16, self.flags))
        return b"".join(parts)


class Glance(msgspec.Struct):
    """As much of a record as says whether its spans are wanted: most are not, and are not read further."""

    status: int | None = None
    error_type: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    trace_sampled: bool = False

    def is_wanted(self, errors: Errors) -> bool:
        """Somebody sampled it, or it is an error that is wanted whatever was sampled."""
        if not self.span_id or not self.trace_id:
            return False
        if self.trace_sampled or (errors != "none" and failed(self.status, self.error_type)):
            return True
        return errors == "all" and self.error_type is not None


def failed(status: int | None, error: str | None) -> bool:
    """The gateway or a service failed, or what was begun broke off. A client that left has not."""
    if status is None or status >= 500:
        return True
    return error is not None and status < 400 and error not in ("client_closed", "client_stalled")


def spans_of(record: Record) -> Iterator[Span]:
    """The spans of a record that `is_wanted`, the request's own first."""
    whole = _request(record)
    yield whole
    offset = record.get("upstream_offset_ms")
    until = whole.end if offset is None else min(_after(whole.start, offset), whole.end)
    decided = {
        f"gatewright.{step['stage']}": " ".join(filter(None, (step["verdict"], step["rule"])))
        for step in record["decisions"]
        if step["stage"] != "proxy" and step["verdict"] != "waited"
    }
    deciding = replace(whole.child(0, "decide", INTERNAL, (whole.start, until)), attributes=decided)
    yield deciding
    yield from _waits(whole, deciding, record)
    if offset is not None:
        for number, attempt in enumerate(_attempts(record), 1):
            yield from _attempt(whole, number, record, attempt)


def _waits(whole: Span, deciding: Span, record: Record) -> Iterator[Span]:
    """What a stage waited for: a part of deciding, unless a service was turned to already."""
    for place, step in enumerate(record["decisions"]):
        if "waited_ms" not in step:
            continue
        start = min(_after(whole.start, step["waited_at_ms"]), whole.end)
        end = min(_after(start, step["waited_ms"]), whole.end)
        parent = deciding if end <= deciding.end else whole
        # Numbers of two parents that are neighbours: even ones never meet.
        span = parent.child(WAITS + 2 * place, f"wait {step['waited_for']}", INTERNAL, (start, end))
        yield replace(span, attributes={"gatewright.stage": step["stage"]})


def _request(record: Record) -> Span:
    start = _nanoseconds(record["timestamp"])
    attributes = {name: record[key] for key, name in REQUEST.items() if record.get(key) not in (None, "")}
    protocol = str(record["protocol"]).partition("/")[2]
    if protocol:
        attributes["network.protocol.version"] = protocol
    parent = record.get("parent_span_id")
    has_failed = failed(record["status"], record["error_type"])
    return Span(
        trace=record["trace_id"],
        id=record["span_id"],
        parent=parent,
        name=f"{record['method'] or 'HTTP'} {record['route_id'] or ''}".strip(),
        kind=SERVER,
        start=start,
        end=_after(start, record["total_latency_ms"]),
        attributes=attributes,
        error=str(record["error_message"] or record["status"] or "") if has_failed else None,
        flags=(SAMPLED if record["trace_sampled"] else 0) | HAS_REMOTE | (IS_REMOTE if parent else 0),
    )


def _attempts(record: Record) -> list[dict[str, Any]]:
    """What the record tells of each; of one alone it says so in its own fields."""
    steps = [step for step in record["decisions"] if step["verdict"] == "attempted"]
    told = [step["inputs"] for step in steps if "after_ms" in step["inputs"]]
    if told:
        return sorted(told, key=lambda one: one["after_ms"])
    # What the gateway says of a failure is said of the attempt: an answer that came has its status.
    error, has_failed = record["error_type"], failed(record["status"], record["error_type"])
    outcome = {"error": error} if has_failed and error else {"status": record["status"]}
    return [
        {
            "instance": record["backend_instance"],
            "after_ms": record["upstream_offset_ms"],
            "took_ms": record["upstream_latency_ms"] or 0,
            "queue_ms": record.get("queue_latency_ms"),
            "connect_ms": record.get("connect_latency_ms"),
            **outcome,
        }
    ]


def _attempt(whole: Span, number: int, record: Record, told: Mapping[str, Any]) -> Iterator[Span]:
    start = _after(whole.start, told["after_ms"])
    status, error = told.get("status"), told.get("error")
    attributes: dict[str, Value] = {"http.request.method": record["method"] or "HTTP"}
    host, _, port = str(told.get("instance") or "").rpartition(":")
    if port.isdigit():
        attributes |= {"server.address": host.strip("[]"), "server.port": int(port)}
    if status is not None:
        attributes["http.response.status_code"] = status
    if "grpc_status" in told:
        attributes["rpc.grpc.status_code"] = told["grpc_status"]
    if number > 1:
        attributes["http.request.resend_count"] = number - 1
    if told.get("race"):
        attributes["gatewright.race"] = told["race"]
    if error is None and status is not None and status >= 400:
        error = str(status)
    if error is not None:
        attributes["error.type"] = error
    name = f"{record['method'] or 'HTTP'} {record['backend_service'] or ''}".strip()
    end = _after(start, told["took_ms"])
    span = whole.child(number, name, CLIENT, (start, end))
    # One that lost its race did not fail.
    span = replace(span, attributes=attributes, error=None if told.get("race") == "lost" else error)
    yield span
    at = start
    for place, part in enumerate(("queue", "connect")):
        took = told.get(f"{part}_ms")
        if took:
            until = min(_after(at, took), end)
            yield span.child(1_000 * number + place, part, INTERNAL, (at, until))
            at = until


def _after(start: int, milliseconds: float) -> int:
    return start + round(milliseconds * MILLISECOND)


def _nanoseconds(timestamp: str) -> int:
    moment = datetime.datetime.fromisoformat(timestamp)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000

"""Records as OpenTelemetry logs, by OTLP over HTTP in JSON: the body of a log record is the line, and what
people filter by are attributes under the names of OpenTelemetry's conventions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from gatewright.outgoing.posting import Answer, Message
from gatewright.records.batch import Batch, decoded, seconds_of
from gatewright.records.sinks.http_sink import Verdict
from gatewright.records.timestamps import SECOND, nanoseconds_of

# The protocol forbids a retry after these; those that are about the login or the address are not among them.
REFUSED_BY_PROTOCOL = frozenset({400, 413, 422, 500, 501})
Attribute = dict[str, Any]


class Fields(msgspec.Struct):
    """What of a record becomes attributes, and the resource."""

    timestamp: str
    gateway_instance: str = ""
    gateway_version: str = ""
    request_id: str | None = None
    method: str | None = None
    path: str | None = None
    scheme: str | None = None
    host: str | None = None
    status: int | None = None
    client_ip: str | None = None
    route_id: str | None = None
    backend_service: str | None = None
    backend_instance: str | None = None
    error_type: str | None = None
    total_latency_ms: float | None = None
    trace_id: str | None = None
    span_id: str | None = None


NAMES = {
    "method": "http.request.method",
    "status": "http.response.status_code",
    "path": "url.path",
    "scheme": "url.scheme",
    "host": "server.address",
    "client_ip": "client.address",
    "error_type": "error.type",
    "request_id": "gatewright.request_id",
    "route_id": "gatewright.route",
    "backend_service": "gatewright.service",
    "backend_instance": "gatewright.instance",
    "total_latency_ms": "gatewright.total_latency_ms",
}
"""Attributes of a log record."""

FIELDS = msgspec.json.Decoder(Fields)


class Entry(NamedTuple):
    """A log record in JSON, with the name and version of the node that it is of."""

    resource: tuple[str, str]
    log_record: msgspec.Raw


class PartialSuccess(msgspec.Struct, rename="camel"):
    # JSON of protobuf writes 64 bits as text, and some write them as a number.
    rejected_log_records: int | str = 0
    error_message: str = ""


class LogsAnswer(msgspec.Struct, rename="camel"):
    partial_success: PartialSuccess | None = None


LOGS_ANSWER = msgspec.json.Decoder(LogsAnswer)


@dataclass(frozen=True, slots=True)
class OtlpLogsEncoder:
    """`service` is the `service.name` of the resource."""

    service: str = "gatewright"
    path: str = "/v1/logs"
    refused: frozenset[int] = REFUSED_BY_PROTOCOL

    def entries(self, batch: Batch) -> list[Entry]:
        return list(entries_of(batch))

    def size(self, entry: Entry) -> int:
        return len(memoryview(entry.log_record)) + 1

    def message(self, entries: Sequence[Entry]) -> Message:
        groups: defaultdict[tuple[str, str], list[msgspec.Raw]] = defaultdict(list)
        for entry in entries:
            groups[entry.resource].append(entry.log_record)
        logs = [self._resource_logs(*resource, records) for resource, records in groups.items()]
        return Message(msgspec.json.encode({"resourceLogs": logs}), {"Content-Type": "application/json"})

    def verdict(self, answer: Answer, entries: Sequence[Entry]) -> Verdict[Entry] | None:
        """A 200 may say that some were rejected; those are not to be sent again."""
        if not answer.is_success:
            return None
        try:
            partial = LOGS_ANSWER.decode(answer.body).partial_success if answer.body else None
            rejected = int(partial.rejected_log_records) if partial else 0
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            # Accepted all the same: the status says so.
            return Verdict()
        reason = f"rejected: {partial.error_message[:300]}" if partial else ""
        return Verdict(min(max(rejected, 0), len(entries)), reason=reason)

    def _resource_logs(self, node: str, version: str, records: Sequence[msgspec.Raw]) -> dict[str, Any]:
        named = {"service.name": self.service, "service.instance.id": node, "service.version": version}
        scope = {"name": "gatewright.records", "version": version}
        return {
            "resource": {"attributes": [attribute(key, value) for key, value in named.items()]},
            "scopeLogs": [{"scope": scope, "logRecords": records}],
        }


def entries_of(batch: Batch) -> Iterator[Entry]:
    for chunk in batch.chunks:
        taken = int(seconds_of(chunk.id) * SECOND)
        for fields, line in decoded(chunk.lines, FIELDS):
            record = msgspec.json.encode(log_record(fields, line, taken))
            yield Entry((fields.gateway_instance, fields.gateway_version), msgspec.Raw(record))


def log_record(fields: Fields, line: bytes, taken: int) -> dict[str, Any]:
    """`taken` is when the gateway's record worker took it, in nanoseconds."""
    number, text = severity(fields.status)
    values = ((name, getattr(fields, field)) for field, name in NAMES.items())
    record: dict[str, Any] = {
        "timeUnixNano": str(nanoseconds_of(fields.timestamp, taken)),
        "observedTimeUnixNano": str(taken),
        "severityNumber": number,
        "severityText": text,
        "body": {"stringValue": line.decode("utf-8", "replace")},
        "attributes": [attribute(name, value) for name, value in values if value is not None],
    }
    if fields.trace_id:
        record["traceId"] = fields.trace_id
    if fields.span_id:
        record["spanId"] = fields.span_id
    return record


def severity(status: int | None) -> tuple[int, str]:
    """Failures of the gateway or a service are errors, refused requests warnings."""
    if status is None or status >= 500:
        return 17, "ERROR"
    return (13, "WARN") if status >= 400 else (9, "INFO")


def attribute(key: str, value: object) -> Attribute:
    """A pair as OTLP writes it in JSON, where an integer of 64 bits is a text."""
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    return {"key": key, "value": {"stringValue": str(value)}}

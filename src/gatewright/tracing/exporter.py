"""The sink that sends spans to a collector: OTLP over HTTP or gRPC.

It looks at every record and makes spans of those that are wanted. Like every sink it has a lane of its own,
with a bounded queue, counts of what was dropped, and a thread that may wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from typing import Protocol

import msgspec

from gatewright.config.crosschecks.tracing import SINK_NAME
from gatewright.config.models import SpanExport
from gatewright.metrics.wire import fields
from gatewright.records.batch import Batch, Record
from gatewright.records.sink import RejectedError
from gatewright.tracing import protobuf
from gatewright.tracing.spans import Errors, Glance, spans_of

# Collectors refuse messages of more than 4 MiB by default.
MOST_BYTES = 2 << 20
# Imported when they are used: the library of gRPC is an extra.
TRANSPORTS = {
    "http": ("gatewright.tracing.over_http", "build"),
    "grpc": ("gatewright.tracing.over_grpc", "build"),
}


GLANCES = msgspec.json.Decoder(Glance)
WHOLE = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class Refused:
    """What a collector did not take of a request that it answered well."""

    spans: int = 0
    why: str = ""


class Transport(Protocol):
    """How requests get to the collector."""

    def send(self, body: bytes) -> Refused:
        """Send an `ExportTraceServiceRequest`. Raises `SinkError` where another attempt may help, and
        `RejectedError` where none would."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Group:
    """A request, and of how many records its spans are."""

    body: bytes
    records: int


class SpanSink:
    """Sends the spans of wanted records. Used by one thread."""

    def __init__(self, name: str, service: str, errors: Errors, transport: Transport) -> None:
        self.name = name
        self._service = service
        self._errors: Errors = errors
        self._transport = transport
        # What is left of the batch under way, so that an attempt that failed in the middle goes on there.
        self._batch: Batch | None = None
        self._left: deque[Group] = deque()
        self._rejected, self._why = 0, ""

    def write(self, batch: Batch) -> None:
        """Send the spans of a batch. Raises `SinkError`."""
        if batch is not self._batch:
            self._left = deque(groups(wanted(batch, self._errors), self._service))
            self._batch, self._rejected, self._why = batch, 0, ""
        while self._left:
            self._send(self._left[0])
            self._left.popleft()
        self._batch = None
        if self._rejected:
            raise RejectedError(self._why, self._rejected)

    def reopen(self) -> None:
        """There is no file; nothing to do."""

    def close(self) -> None:
        self._transport.close()

    def _send(self, group: Group) -> None:
        try:
            refused = self._transport.send(group.body)
        except RejectedError as error:
            self._rejected, self._why = self._rejected + group.records, str(error)
            return
        if refused.spans:
            self._rejected += min(refused.spans, group.records)
            self._why = f"{refused.spans} spans rejected: {refused.why}"


def wanted(batch: Batch, errors: Errors) -> Iterator[Record]:
    """The records whose spans go out."""
    for glance, line in batch.pairs(GLANCES):
        if glance.is_wanted(errors):
            yield WHOLE.decode(line)


def groups(records: Iterable[Record], service: str) -> Iterator[Group]:
    """Requests of at most `MOST_BYTES`, or of one record; each of one node."""
    for node, of_node in groupby(records, lambda one: (one["gateway_instance"], one["gateway_version"])):
        spans: list[bytes] = []
        size = count = 0
        for record in of_node:
            encoded = [protobuf.field(2, span.encode()) for span in spans_of(record)]
            own = sum(map(len, encoded))
            if spans and size + own > MOST_BYTES:
                yield Group(request(spans, service, node), count)
                spans, size, count = [], 0, 0
            spans += encoded
            size, count = size + own, count + 1
        yield Group(request(spans, service, node), count)


def request(spans: Iterable[bytes], service: str, node: tuple[str, str]) -> bytes:
    """An `ExportTraceServiceRequest`; `spans` are fields of the scope."""
    instance, version = node
    named = {"service.name": service, "service.instance.id": instance, "service.version": version}
    resource = b"".join(protobuf.attribute(1, key, value) for key, value in named.items())
    scope = protobuf.text(1, "gatewright") + protobuf.text(2, version)
    scoped = protobuf.field(1, scope) + b"".join(spans)
    return protobuf.field(1, protobuf.field(1, resource) + protobuf.field(2, scoped))


def refused_in(answer: bytes) -> Refused:
    """What an `ExportTraceServiceResponse` says of spans that were not taken."""
    for number, value in fields(answer):
        if number == 1 and isinstance(value, bytes):
            inside = dict(fields(value))
            spans, why = inside.get(1, 0), inside.get(2, b"")
            if isinstance(spans, int) and isinstance(why, bytes):
                return Refused(spans, why.decode(errors="replace")[:300])
    return Refused()


def build_spans(model: SpanExport, place: object) -> SpanSink:
    """The sink that the configuration names. Raises `GatewrightError` where a library is missing."""
    module, name = TRANSPORTS[model.protocol]
    build: Callable[[SpanExport], Transport] = getattr(import_module(module), name)
    return SpanSink(model.name or SINK_NAME, model.service, model.errors, build(model))

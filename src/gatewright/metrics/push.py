"""Sends everything counted to a collector: OTLP over HTTP, as protocol buffers.

The data plane encodes; here whole metrics are packed into requests. What is sent are sums since the start, so
a push that fails loses nothing: the next one has it all.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import gatewright
from gatewright.config.models import Otlp
from gatewright.control.node import Node
from gatewright.metrics.page import exposition
from gatewright.metrics.wire import field, fields, split, text
from gatewright.outgoing.posting import Destination, Message, NoAnswerError, Poster

log = logging.getLogger("gatewright.control")

LOOK_SECONDS = 0.5
"""How soon a configuration that newly names a collector takes effect."""
MAXIMUM_ANSWER = 64 << 10


class PushError(Exception):
    """The collector did not take a request."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Metrics of one request: `body` as it is sent, and how many metrics are in it."""

    body: bytes
    metrics: int


class MetricsPush:
    """Pushes for one node. Belongs to one event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._poster: Poster | None = None

    async def run(self) -> None:
        """Push at each interval while the configuration names a collector, for ever."""
        loop = asyncio.get_running_loop()
        used, due = None, 0.0
        try:
            while True:
                settings = self._settings()
                if settings != used:
                    await self._use(settings)
                    used, due = settings, 0.0
                if self._poster is not None and settings is not None and loop.time() >= due:
                    due = loop.time() + settings.interval / 1000
                    await self.push(self._poster, settings)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._use(None)

    async def push(self, poster: Poster, settings: Otlp) -> None:
        """Send everything once. What fails is logged and counted."""
        health = self._node.pushes
        try:
            for body in await asyncio.to_thread(self._bodies, settings):
                rejected, why = await post(poster, body)
                health.requests += 1
                health.rejected += rejected
                if why:
                    log.warning(
                        "the collector of metrics objects", extra={"rejected": rejected, "error": why}
                    )
            health.answered(log, "metrics are sent to a collector")
        except (PushError, NoAnswerError) as error:
            health.failed(error, log, "the collector of metrics cannot be reached; the next push has it all")

    async def _use(self, settings: Otlp | None) -> None:
        before = self._poster
        self._poster = None if settings is None else Poster(destination_of(settings))
        if before is not None:
            await before.close()

    def _settings(self) -> Otlp | None:
        loaded = self._node.loaded()
        return None if loaded is None else loaded.gateway.metrics.otlp

    def _bodies(self, settings: Otlp) -> list[bytes]:
        page = exposition(self._node, "otlp_exponential" if settings.histograms == "exponential" else "otlp")
        resource = resource_of(self._node)
        bodies = [body(batch, resource) for batch in batches(split(page), int(settings.max_batch))]
        return [gzip.compress(one, 1) for one in bodies] if settings.compression == "gzip" else bodies


def batches(metrics: Iterator[bytes], most: int) -> Iterator[list[bytes]]:
    """As many metrics in a row as fit; one that is too large by itself goes alone."""
    batch: list[bytes] = []
    size = 0
    for metric in metrics:
        if batch and size + len(metric) > most:
            yield batch
            batch, size = [], 0
        batch.append(metric)
        size += len(metric)
    if batch:
        yield batch


def body(metrics: list[bytes], resource: bytes) -> bytes:
    """An `ExportMetricsServiceRequest`."""
    scope = field(1, text(1, "gatewright") + text(2, gatewright.__version__))
    scope_metrics = scope + b"".join(field(2, metric) for metric in metrics)
    return field(1, field(1, resource) + field(2, scope_metrics))


def resource_of(node: Node) -> bytes:
    """The `Resource`: which gateway this is."""
    loaded = node.loaded()
    name = loaded.gateway.node.name if loaded is not None else None
    attributes = {
        "service.name": "gatewright",
        "service.version": gatewright.__version__,
        "service.instance.id": name or socket.gethostname(),
    }
    pairs = (text(1, name) + field(2, text(1, value)) for name, value in attributes.items())
    return b"".join(field(1, pair) for pair in pairs)


def destination_of(settings: Otlp) -> Destination:
    """Where bodies go that are compressed already, off the event loop."""
    headers = {"content-type": "application/x-protobuf", **settings.headers}
    if settings.compression == "gzip":
        headers["content-encoding"] = "gzip"
    return Destination(settings.url, settings.timeout / 1000, MAXIMUM_ANSWER, headers)


async def post(poster: Poster, content: bytes) -> tuple[int, str]:
    """Send one request; give how many data points were rejected, and what the collector said of it.

    Raises `PushError` and `NoAnswerError`.
    """
    answer = await poster.post(Message(content))
    if not answer.is_success:
        raise PushError(f"it answered {answer.status}")
    return partial_success(answer.body)


def partial_success(answer: bytes) -> tuple[int, str]:
    """Rejected data points and the message of an `ExportMetricsServiceResponse`."""
    for number, value in fields(answer):
        if number == 1 and isinstance(value, bytes):
            inside = dict(fields(value))
            rejected, message = inside.get(1, 0), inside.get(2, b"")
            if isinstance(rejected, int) and isinstance(message, bytes):
                return rejected, message.decode(errors="replace")[:500]
    return 0, ""

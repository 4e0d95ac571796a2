"""Records for Grafana Loki: a stream for each service, class of status and node, lines as they are.

What clients choose is never a label: each combination of labels is a stream, and Loki suffers from many.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from gatewright.outgoing.posting import Answer, Message
from gatewright.records.batch import Batch, decoded, seconds_of
from gatewright.records.sinks.http_sink import REFUSED, Verdict
from gatewright.records.timestamps import SECOND, nanoseconds_of

# What the ingester says when it stored all but some entries of a stream, which were too old.
IGNORED = re.compile(r"total ignored: (\d+) out of (\d+)")
REFUSAL = 400


class Fields(msgspec.Struct):
    """What of a record makes its labels."""

    timestamp: str
    status: int | None = None
    backend_service: str | None = None
    gateway_instance: str | None = None


class Entry(NamedTuple):
    """A line of a stream, which is told by its service, class of status and node."""

    stream: tuple[str, str, str]
    timestamp: str
    line: bytes


FIELDS = msgspec.json.Decoder(Fields)


@dataclass(frozen=True, slots=True)
class LokiEncoder:
    """`labels` are added to every stream."""

    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = "/loki/api/v1/push"
    refused: frozenset[int] = REFUSED

    def entries(self, batch: Batch) -> list[Entry]:
        return list(entries_of(batch))

    def size(self, entry: Entry) -> int:
        return len(entry.line) + 64

    def message(self, entries: Sequence[Entry]) -> Message:
        streams: defaultdict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
        for entry in entries:
            streams[entry.stream].append((entry.timestamp, entry.line.decode("utf-8", "replace")))
        body = {
            "streams": [{"stream": self._labels(*key), "values": values} for key, values in streams.items()]
        }
        return Message(msgspec.json.encode(body), {"Content-Type": "application/json"})

    def verdict(self, answer: Answer, entries: Sequence[Entry]) -> Verdict[Entry] | None:
        """A 400 may mean that all was stored but what was too old."""
        if answer.status != REFUSAL:
            return None
        ignored = [int(count) for count, _ in IGNORED.findall(answer.body.decode("utf-8", "replace"))]
        if not ignored:
            return None
        return Verdict(min(sum(ignored), len(entries)), reason=answer.text)

    def _labels(self, service: str, status_class: str, node: str) -> dict[str, str]:
        own = {"job": "gatewright", "service": service, "status_class": status_class, "node": node}
        return {**own, **self.labels}


def entries_of(batch: Batch) -> Iterator[Entry]:
    for chunk in batch.chunks:
        taken = int(seconds_of(chunk.id) * SECOND)
        for fields, line in decoded(chunk.lines, FIELDS):
            status_class = f"{fields.status // 100}xx" if fields.status else "none"
            stream = (fields.backend_service or "none", status_class, fields.gateway_instance or "none")
            yield Entry(stream, str(nanoseconds_of(fields.timestamp, taken)), line)

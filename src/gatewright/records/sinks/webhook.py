"""Records for any HTTP server that takes JSON: lines, or an array. Signed where there is a secret."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gatewright.outgoing.posting import Answer, Message
from gatewright.records.batch import Batch, split
from gatewright.records.sinks.http_sink import REFUSED, Verdict, fingerprint

BATCH = "X-Gatewright-Batch"
TIMESTAMP = "X-Gatewright-Timestamp"
SIGNATURE = "X-Gatewright-Signature"


@dataclass(frozen=True, slots=True)
class WebhookEncoder:
    """Lines pass unparsed. `now` is the time of day in seconds."""

    format: Literal["ndjson", "json"] = "ndjson"
    secret: str | None = field(default=None, repr=False)
    now: Callable[[], float] = time.time
    path: str = ""
    refused: frozenset[int] = REFUSED

    def entries(self, batch: Batch) -> list[bytes]:
        return split(batch.lines)

    def size(self, entry: bytes) -> int:
        return len(entry) + 1

    def message(self, entries: Sequence[bytes]) -> Message:
        if self.format == "json":
            body, kind = b"[" + b",".join(entries) + b"]", "application/json"
        else:
            body, kind = b"\n".join(entries) + b"\n", "application/x-ndjson"
        headers = {"Content-Type": kind, BATCH: fingerprint(body)}
        return Message(body, headers, seal=self._seal if self.secret else None)

    def verdict(self, answer: Answer, entries: Sequence[bytes]) -> Verdict[bytes] | None:
        return None

    def _seal(self, body: bytes) -> Mapping[str, str]:
        moment = str(int(self.now()))
        return {TIMESTAMP: moment, SIGNATURE: f"v1={signature(self.secret or '', moment, body)}"}


def signature(secret: str, moment: str, body: bytes) -> str:
    """HMAC-SHA256 in hex over the timestamp, a dot and the body as it is sent."""
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()

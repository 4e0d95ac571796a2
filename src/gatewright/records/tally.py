"""What became of the records of one lane, counted for metrics, and alerts about those that were lost."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

alerts = logging.getLogger("gatewright.alerts")
log = logging.getLogger("gatewright.records")

# An alert about one lane and one cause comes at most this often; what was lost in between is added up.
ALERT_SECONDS = 60.0
# A sink that fails for this long is worth an alert: a restart of a store takes less.
FAILING_SECONDS = 30.0

REASONS = {
    "queue_full": "The queue in memory was full, and there was no spill that could take more.",
    "spill_full": "The spill had reached its size; the oldest records made room.",
    "spill_damaged": "What was spilled could not be read any more.",
    "rejected": "The store refused the records for good.",
    "attempts": "The batch was tried as often as `retry.attempts` allows.",
    "fault": "Storing the batch failed again and again for a reason that no sink should have.",
    "ended": "The process ended, or the sink was taken out, before they could be stored or spilled.",
}
"""Why records are dropped, as the label `reason` of `gateway_sink_dropped_total`."""


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """What became of the records of one sink. `queued` wait in memory, `spilled` on disk, `in_flight` are
    being stored.
    """

    name: str
    stored: int
    drops: Mapping[str, int]
    failures: int
    queued: int
    queued_bytes: int
    in_flight: int
    spilled: int
    spilled_bytes: int
    # Seconds since a batch was last stored, or since the lane began; and how old the oldest record is
    # that waits.
    since_success: float
    lag: float
    batches: Batches

    @property
    def dropped(self) -> int:
        return sum(self.drops.values())


@dataclass(frozen=True, slots=True)
class Batches:
    """How many batches were stored, and how long that took from their first attempts on."""

    count: int
    seconds: float


@dataclass(slots=True)
class Tally:
    """The counters of one lane. Any thread may call."""

    name: str
    stored: int = 0
    failures: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    last_success: float = field(default_factory=time.monotonic)
    failing_since: float | None = None
    _count: int = 0
    _seconds: float = 0.0
    _unsaid: Counter[str] = field(default_factory=Counter)
    _said: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def success(self, records: int, seconds: float, now: float) -> None:
        """A batch was stored, `seconds` after its first attempt."""
        with self._lock:
            self.stored += records
            self.last_success = now
            self._count += 1
            self._seconds += seconds
            was_failing, self.failing_since = self.failing_since, None
        if was_failing is not None:
            fields = {"sink": self.name, "failed_for_seconds": round(now - was_failing, 1)}
            log.info("sink works again", extra=fields)

    def failure(self, error: Exception, now: float) -> None:
        """An attempt failed."""
        with self._lock:
            self.failures += 1
            since = self.failing_since = self.failing_since if self.failing_since is not None else now
        if now - since >= FAILING_SECONDS and self._may_say("sink_failing", now):
            fields = {"alert": "sink_failing", "sink": self.name, "seconds": round(now - since)}
            alerts.error("a sink of records has failed for too long", extra=fields | {"error": str(error)})

    def lost(self, reason: str, records: int) -> None:
        """Records were dropped."""
        if not records:
            return
        now = time.monotonic()
        with self._lock:
            self.drops[reason] += records
            self._unsaid[reason] += records
        if self._may_say(reason, now):
            with self._lock:
                lost = self._unsaid.pop(reason, 0)
            fields = {"alert": "records_dropped", "sink": self.name, "reason": reason, "records": lost}
            alerts.error("records are dropped", extra=fields)

    def batches(self) -> Batches:
        with self._lock:
            return Batches(self._count, self._seconds)

    def _may_say(self, cause: str, now: float) -> bool:
        with self._lock:
            said = self._said.get(cause)
            if said is not None and now - said < ALERT_SECONDS:
                return False
            self._said[cause] = now
            return True

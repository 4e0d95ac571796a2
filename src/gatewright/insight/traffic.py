"""What came in the last hour: counts and latencies by route and service, in short slots that become minutes.

A consumer of records in a lane of its own. Memory is bounded: beyond `MOST_KEYS` pairs of route and service
in a slot, further ones count as `other`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from gatewright.insight.histogram import Histogram
from gatewright.insight.objectives import Budgets
from gatewright.records.batch import Batch

MOST_KEYS = 200
OTHER = "other"
KEPT_SECONDS = 3900.0
FINE_SECONDS = 660.0
MINUTE = 60.0
# What says of itself that it is a program. Nobody has to, so that this is a lower bound.
PROGRAMS = re.compile(
    r"bot\b|crawl|spider|scrap|curl/|wget/|python|java/|go-http|headless|okhttp|axios|libwww", re.I
)
MOST_AGENTS = 10_000
FAILED, REFUSED, NOT_FOUND, LIMITED, BAD_GATEWAY = 500, 400, 404, 429, 502


class Seen(msgspec.Struct):
    """What of a record counts here."""

    status: int | None = None
    route_id: str | None = None
    backend_service: str | None = None
    user_agent: str | None = None
    total_latency_ms: float | None = None
    gateway_overhead_ms: float | None = None
    response_bytes: int | None = None
    sampling_weight: float | None = 1


class Total:
    """What requests come to."""

    __slots__ = (
        "bad_gateways",
        "bots",
        "bytes",
        "client_errors",
        "errors",
        "latency",
        "limited",
        "not_found",
        "overhead",
        "requests",
        "successes",
    )

    def __init__(self) -> None:
        self.requests = self.errors = self.bad_gateways = self.client_errors = self.not_found = 0.0
        self.limited = self.bots = self.bytes = self.successes = 0.0
        self.latency, self.overhead = Histogram(), Histogram()

    def add(self, seen: Seen, is_program: bool) -> None:
        """Count a record as often as it says that it stands for."""
        weight, status = seen.sampling_weight or 1, seen.status or 0
        self.requests += weight
        self.bots += weight * is_program
        if status >= FAILED:
            self.errors += weight
            self.bad_gateways += weight * (status == BAD_GATEWAY)
        elif status >= REFUSED:
            self.client_errors += weight
            self.not_found += weight * (status == NOT_FOUND)
            self.limited += weight * (status == LIMITED)
        elif status >= 200:
            self.successes += weight
            self.bytes += weight * (seen.response_bytes or 0)
        times = max(1, round(weight))
        self.latency.add(seen.total_latency_ms or 0, times)
        self.overhead.add(seen.gateway_overhead_ms or 0, times)

    def merge(self, other: Total) -> None:
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latency.merge(other.latency)
        self.overhead.merge(other.overhead)


COUNTS = tuple(name for name in Total.__slots__ if name not in {"latency", "overhead"})
Key = tuple[str, str]
"""A route and a service; empty where there is none."""
Slot = dict[Key, Total]


class Traffic:
    """Counts records as they come. `write` belongs to the lane's thread, questions to any other."""

    def __init__(self, slot_seconds: float = 10.0, clock: Callable[[], float] = time.time) -> None:
        self.name = "alerts"
        self.budgets = Budgets()
        self.slot_seconds = slot_seconds
        self._clock = clock
        self._decoder = msgspec.json.Decoder(Seen)
        self._lock = threading.Lock()
        # By their start; the fine ones become minutes when they are old.
        self._fine: dict[float, Slot] = {}
        self._minutes: dict[float, Slot] = {}
        self._agents: dict[str, bool] = {}

    def write(self, batch: Batch) -> None:
        self.take(batch.read(self._decoder))

    def reopen(self) -> None:
        """No files; nothing to do."""

    def close(self) -> None:
        """Nothing is held that has to be given back."""

    def take(self, records: Iterable[Seen]) -> None:
        """Count these as having come now."""
        now = self._clock()
        start = now - now % self.slot_seconds
        with self._lock:
            slot = self._fine.get(start)
            if slot is None:
                self._age(now)
                slot = self._fine[start] = {}
            for seen in records:
                self._total(slot, seen).add(seen, self._is_program(seen.user_agent or ""))
                self.budgets.add(seen, now)

    def totals(self, since: float, until: float, by: str) -> dict[str, Total]:
        """What came in this time, by the names of routes or services, or as one with the name `gateway`."""
        place = {"route": 0, "service": 1}.get(by)
        found: dict[str, Total] = {}
        with self._lock:
            for key, total in self._within(since, until):
                name = "gateway" if place is None else key[place]
                if name:
                    found.setdefault(name, Total()).merge(total)
        return found

    def _within(self, since: float, until: float) -> Iterator[tuple[Key, Total]]:
        for slots, seconds in ((self._minutes, MINUTE), (self._fine, self.slot_seconds)):
            for start, slot in slots.items():
                if start + seconds > since and start < until:
                    yield from slot.items()

    def _total(self, slot: Slot, seen: Seen) -> Total:
        key = (seen.route_id or "", seen.backend_service or "")
        total = slot.get(key)
        if total is None:
            if len(slot) >= MOST_KEYS:
                key = (OTHER if key[0] else "", OTHER if key[1] else "")
            total = slot.setdefault(key, Total())
        return total

    def _is_program(self, agent: str) -> bool:
        known = self._agents.get(agent)
        if known is None:
            if len(self._agents) >= MOST_AGENTS:
                self._agents.clear()
            known = self._agents[agent] = not agent or PROGRAMS.search(agent) is not None
        return known

    def _age(self, now: float) -> None:
        for start in [start for start in self._fine if start < now - FINE_SECONDS]:
            minute = self._minutes.setdefault(start - start % MINUTE, {})
            for key, total in self._fine.pop(start).items():
                minute.setdefault(key, Total()).merge(total)
        for start in [start for start in self._minutes if start < now - KEPT_SECONDS]:
            del self._minutes[start]

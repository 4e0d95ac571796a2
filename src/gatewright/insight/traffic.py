"""What came in the last hour: counts and latencies by route and service, in short slots that become minutes.

Told what the data plane counted (`counts.py`). Memory is bounded: beyond `MOST_KEYS` pairs of route and
service in a slot, further ones count as `other`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from gatewright.insight.cells import FIRST_ERROR
from gatewright.insight.counts import Counted
from gatewright.insight.histogram import Histogram
from gatewright.insight.objectives import Budgets
from gatewright.insight.rollup_keys import OTHER

MOST_KEYS = 200
KEPT_SECONDS = 3900.0
FINE_SECONDS = 660.0
MINUTE = 60.0
REFUSED, NOT_FOUND, LIMITED, BAD_GATEWAY = 400, 404, 429, 502


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
        self.requests = self.errors = self.bad_gateways = self.client_errors = self.not_found = 0
        self.limited = self.bots = self.bytes = self.successes = 0
        self.latency, self.overhead = Histogram(), Histogram()

    def add(self, cell: Counted) -> None:
        """Add what the data plane counted."""
        requests, status = cell.requests, cell.status
        self.requests += requests
        self.bots += cell.programs
        if status >= FIRST_ERROR:
            self.errors += requests
            self.bad_gateways += requests * (status == BAD_GATEWAY)
        elif status >= REFUSED:
            self.client_errors += requests
            self.not_found += requests * (status == NOT_FOUND)
            self.limited += requests * (status == LIMITED)
        elif status >= 200:
            self.successes += requests
            self.bytes += cell.response_bytes
        self.latency.merge_distribution(cell.total)
        self.overhead.merge_distribution(cell.overhead)

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
    """Adds up counts as they come. Any thread may add, and any other ask."""

    def __init__(self, slot_seconds: float = 10.0, clock: Callable[[], float] = time.time) -> None:
        self.budgets = Budgets()
        self.slot_seconds = slot_seconds
        self._clock = clock
        self._lock = threading.Lock()
        # By their start; the fine ones become minutes when they are old.
        self._fine: dict[float, Slot] = {}
        self._minutes: dict[float, Slot] = {}

    def add(self, cells: Sequence[Counted]) -> None:
        """Count these as having come now; by objectives in their own minutes."""
        now = self._clock()
        start = now - now % self.slot_seconds
        with self._lock:
            slot = self._fine.get(start)
            if slot is None:
                self._age(now)
                slot = self._fine[start] = {}
            for cell in cells:
                self._total(slot, cell).add(cell)
        self.budgets.add(cells)

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

    def _total(self, slot: Slot, cell: Counted) -> Total:
        key = (cell.route_id, cell.backend_service)
        total = slot.get(key)
        if total is None:
            if len(slot) >= MOST_KEYS:
                key = (OTHER if key[0] else "", OTHER if key[1] else "")
            total = slot.setdefault(key, Total())
        return total

    def _age(self, now: float) -> None:
        for start in [start for start in self._fine if start < now - FINE_SECONDS]:
            minute = self._minutes.setdefault(start - start % MINUTE, {})
            for key, total in self._fine.pop(start).items():
                minute.setdefault(key, Total()).merge(total)
        for start in [start for start in self._minutes if start < now - KEPT_SECONDS]:
            del self._minutes[start]

"""One cell of a roll-up: what the requests of one key in one minute, hour or day come to."""

from __future__ import annotations

from gatewright.insight.counts import Counted
from gatewright.insight.histogram import Histogram

LATENCIES = {
    "total_latency_ms": "total",
    "gateway_overhead_ms": "overhead",
    "upstream_latency_ms": "upstream",
}
"""The latencies of the record whose distribution is kept, and their columns."""

FIRST_ERROR = 500


class Cell:
    """Counts and distributions. `errors` are answers of 500 and above."""

    __slots__ = ("count", "errors", "overhead", "request_bytes", "response_bytes", "total", "upstream")

    def __init__(self) -> None:
        self.count = self.errors = self.request_bytes = self.response_bytes = 0
        self.total, self.overhead, self.upstream = Histogram(), Histogram(), Histogram()

    def add(self, counted: Counted) -> None:
        """Add what the data plane counted."""
        self.count += counted.requests
        if counted.status >= FIRST_ERROR:
            self.errors += counted.requests
        self.request_bytes += counted.request_bytes
        self.response_bytes += counted.response_bytes
        self.total.merge_distribution(counted.total)
        self.overhead.merge_distribution(counted.overhead)
        self.upstream.merge_distribution(counted.upstream)

    def merge(self, other: Cell) -> None:
        """Add what another one counted."""
        self.count += other.count
        self.errors += other.errors
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.total.merge(other.total)
        self.overhead.merge(other.overhead)
        self.upstream.merge(other.upstream)

    def row(self) -> tuple[object, ...]:
        """As it is stored, in the order of `COLUMNS`."""
        return (
            self.count,
            self.errors,
            self.request_bytes,
            self.response_bytes,
            self.total.blob(),
            self.overhead.blob(),
            self.upstream.blob(),
        )


COUNTS = ("count", "errors", "request_bytes", "response_bytes")
COLUMNS = (*COUNTS, *LATENCIES.values())

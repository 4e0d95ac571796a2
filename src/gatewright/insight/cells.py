"""One cell of a roll-up: what the requests of one key in one minute, hour or day come to."""

from __future__ import annotations

import msgspec

from gatewright.insight.histogram import Histogram

LATENCIES = {
    "total_latency_ms": "total",
    "gateway_overhead_ms": "overhead",
    "upstream_latency_ms": "upstream",
}
"""The latencies of the record whose distribution is kept, and their columns."""

FIRST_ERROR = 500


class Counted(msgspec.Struct, gc=False):
    """What is counted of a record. To read these fields alone takes a fraction of what whole records take."""

    timestamp: str
    route_id: str | None = None
    backend_service: str | None = None
    backend_instance: str | None = None
    status: int | None = None
    tenant_id: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    total_latency_ms: float | None = None
    gateway_overhead_ms: float | None = None
    upstream_latency_ms: float | None = None
    sampling_weight: float = 1


class Cell:
    """Counts and distributions. `errors` are answers of 500 and above."""

    __slots__ = (
        "carried",
        "count",
        "errors",
        "overhead",
        "request_bytes",
        "response_bytes",
        "total",
        "upstream",
    )

    def __init__(self) -> None:
        self.count = self.errors = self.request_bytes = self.response_bytes = 0
        self.total, self.overhead, self.upstream = Histogram(), Histogram(), Histogram()
        self.carried = 0.0

    def add(self, record: Counted) -> None:
        """Count a record as often as it says that it stands for."""
        times = 1
        if record.sampling_weight != 1:
            # Histograms count whole requests; what is left of a weight is carried to the next record.
            self.carried += record.sampling_weight
            times = int(self.carried)
            self.carried -= times
        self.count += times
        if (record.status or 0) >= FIRST_ERROR:
            self.errors += times
        self.request_bytes += (record.request_bytes or 0) * times
        self.response_bytes += (record.response_bytes or 0) * times
        if (latency := record.total_latency_ms) is not None:
            self.total.add(latency, times)
        if (latency := record.gateway_overhead_ms) is not None:
            self.overhead.add(latency, times)
        if (latency := record.upstream_latency_ms) is not None:
            self.upstream.add(latency, times)

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

"""Counts as the data plane gives them."""

from collections.abc import Iterable, Sequence
from typing import Any

from gatewright.insight.counts import Counted
from gatewright.insight.histogram import Distribution, Histogram


def distribution(latencies: Iterable[float]) -> Distribution:
    """These milliseconds, counted."""
    counted = Histogram()
    for one in latencies:
        counted.add(one)
    return counted.zeros, counted.micros, sorted(counted.buckets.items())


def cell(minute: int, latencies: Sequence[Sequence[float]] = ((), (), ()), **fields: Any) -> Counted:
    """Requests of one kind, as many as there are latencies (whole, overhead, upstream) unless told."""
    total, overhead, upstream = map(distribution, latencies)
    known: dict[str, Any] = {
        "minute": minute,
        "route_id": "users",
        "backend_service": "users",
        "backend_instance": "127.0.0.1:9001",
        "status": 200,
        "tenant_id": "",
        "requests": len(latencies[0]),
        "programs": 0,
        "request_bytes": 0,
        "response_bytes": 0,
        "total": total,
        "overhead": overhead,
        "upstream": upstream,
    }
    return Counted(**(known | fields))

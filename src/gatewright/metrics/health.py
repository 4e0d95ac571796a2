"""What is known of the collector that metrics are sent to."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.reachability import Reachability


@dataclass(slots=True)
class PushHealth(Reachability):
    """Whether the collector answers, and what it took."""

    requests: int = 0
    """Requests that it took."""
    rejected: int = 0
    """Data points that it did not take, of requests that it took."""

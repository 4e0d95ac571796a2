"""Metrics of what is known about services beyond this node: their names in DNS, breakers of other nodes."""

from __future__ import annotations

from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter, gauge


def service_metrics(node: Node) -> list[Family]:
    health = node.sharing.health
    return [
        counter(
            "gateway_dns_failures_total",
            "Look-ups of instance names that failed.",
            node.discovery.failures,
        ),
        gauge(
            "gateway_breaker_sharing_connected",
            "1 while breakers are shared with other nodes; 0 also where that is not configured.",
            1.0 if health.connected else 0.0,
        ),
        counter(
            "gateway_breaker_sharing_failures_total",
            "Attempts to ask the store of shared breakers that failed.",
            health.failures,
        ),
        counter(
            "gateway_breaker_sharing_changes_total",
            "Changes of breakers that were told to other nodes or taken from them.",
            [({"direction": "told"}, health.pushed), ({"direction": "taken"}, health.taken)],
        ),
    ]

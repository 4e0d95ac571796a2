"""Metrics of what a node checks of itself."""

from __future__ import annotations

from gatewright.control.node import Node
from gatewright.metrics.family import Family, gauge

VALUES = {"healthy": 1.0, "unhealthy": 0.0}


def check_metrics(node: Node) -> list[Family]:
    known = [one for one in node.health.standings if one.status in VALUES]
    seconds = node.health.self_check_seconds
    return [
        gauge(
            "gateway_health_check_healthy",
            "1 while a check of the node is healthy.",
            [
                (
                    {"check": one.name, "kind": "custom" if one.custom else "built_in"},
                    VALUES[one.status],
                )
                for one in known
            ],
        ),
        gauge(
            "gateway_self_check_seconds",
            "How long the node took to answer itself, the last time.",
            [({}, seconds)] if seconds is not None else [],
        ),
    ]

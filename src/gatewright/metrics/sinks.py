"""Metrics of where records go."""

from __future__ import annotations

from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter, gauge


def sink_metrics(node: Node) -> list[Family]:
    counts = [({"sink": count.name}, count) for count in node.records.counts()]
    return [
        counter(
            "gateway_sink_records_total",
            "Records stored.",
            [(one, count.stored) for one, count in counts],
        ),
        counter(
            "gateway_sink_dropped_total",
            "Records lost because the sink was slow or failed.",
            [(one, count.dropped) for one, count in counts],
        ),
        counter(
            "gateway_sink_failures_total",
            "Attempts to store a batch that failed.",
            [(one, count.failures) for one, count in counts],
        ),
        gauge(
            "gateway_sink_queued_records",
            "Records that wait for the sink.",
            [(one, count.queued) for one, count in counts],
        ),
    ]

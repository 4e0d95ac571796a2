"""Metrics of the audit log."""

from __future__ import annotations

from gatewright.audit.entries import ACT, DECISION, LOG
from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter, gauge


def audit_metrics(node: Node) -> list[Family]:
    audit = node.audit
    written = [({"kind": kind}, audit.log.written[kind]) for kind in (ACT, DECISION, LOG)]
    return [
        counter("gateway_audit_entries_total", "Entries of the audit log.", written),
        counter(
            "gateway_audit_omitted_total",
            "Decisions that were not written one by one, but counted in an entry.",
            audit.budget.omitted,
        ),
        counter(
            "gateway_audit_failures_total", "Attempts to write to the audit log that failed.", audit.failures
        ),
        counter("gateway_audit_lost_total", "Entries that could not be written in the end.", audit.lost),
        gauge("gateway_audit_waiting_entries", "Entries that wait to be written.", audit.waiting),
    ]

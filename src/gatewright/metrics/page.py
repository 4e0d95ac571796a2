"""The metrics page of one node: what the data plane counts and, below it, what Python does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from gatewright.control.node import Node
from gatewright.metrics.alerts import alert_metrics
from gatewright.metrics.audit import audit_metrics
from gatewright.metrics.checks import check_metrics
from gatewright.metrics.configuration import certificate_metrics, configuration_metrics
from gatewright.metrics.credentials import credential_metrics
from gatewright.metrics.family import Family
from gatewright.metrics.limits import limit_metrics
from gatewright.metrics.process import host_metrics, process_metrics
from gatewright.metrics.questions import question_metrics
from gatewright.metrics.services import service_metrics
from gatewright.metrics.sinks import push_metrics, sink_metrics

Format = Literal["text", "openmetrics", "openmetrics_created", "protobuf", "otlp", "otlp_exponential"]

SUBJECTS: tuple[Callable[[Node], list[Family]], ...] = (
    configuration_metrics,
    certificate_metrics,
    sink_metrics,
    question_metrics,
    push_metrics,
    audit_metrics,
    check_metrics,
    limit_metrics,
    credential_metrics,
    service_metrics,
    process_metrics,
    host_metrics,
    alert_metrics,
)
"""Everything that Python counts; each gives the metrics of one subject."""


def exposition(node: Node, form: Format = "text") -> bytes:
    """Everything counted on this node. Blocks for as long as the data plane needs to sum up and to print."""
    loaded = node.loaded()
    if form == "openmetrics" and loaded is not None and loaded.gateway.metrics.created:
        form = "openmetrics_created"
    families = [family for subject in SUBJECTS for family in subject(node)]
    return node.engine.exposition(form, json.dumps([document(family) for family in families]).encode())


def document(family: Family) -> dict[str, object]:
    """A family as the data plane reads it. A value is text, since JSON has no infinity."""
    samples = [(labels, repr(value)) for labels, value in family.samples]
    return {"name": family.name, "kind": family.kind, "help": family.text, "samples": samples}

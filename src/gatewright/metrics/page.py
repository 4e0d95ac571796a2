"""The metrics page of one node."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gatewright.control.node import Node
from gatewright.metrics.configuration import certificate_metrics, configuration_metrics
from gatewright.metrics.credentials import credential_metrics
from gatewright.metrics.family import Family
from gatewright.metrics.limits import limit_metrics
from gatewright.metrics.process import process_metrics
from gatewright.metrics.questions import question_metrics
from gatewright.metrics.services import service_metrics
from gatewright.metrics.sinks import sink_metrics

SUBJECTS: tuple[Callable[[Node], list[Family]], ...] = (
    configuration_metrics,
    certificate_metrics,
    sink_metrics,
    question_metrics,
    limit_metrics,
    credential_metrics,
    service_metrics,
    process_metrics,
)
"""Everything that Python counts; each gives the metrics of one subject."""


def exposition(node: Node) -> str:
    """Everything counted on this node, in text format 0.0.4. Blocks for as long as the data plane needs to
    sum up.
    """
    families = [family for subject in SUBJECTS for family in subject(node)]
    lines = [line for family in families for line in printed(family)]
    return node.engine.metrics().rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def printed(family: Family) -> Iterator[str]:
    """Help, type and samples; nothing at all without samples."""
    if family.samples:
        yield f"# HELP {family.name} {family.text}"
        yield f"# TYPE {family.name} {family.kind}"
    for given, value in family.samples:
        yield f"{family.name}{labels(given)} {value:.17g}"


def labels(given: dict[str, str]) -> str:
    """`{sink="sqlite"}`, with what the format demands escaped."""
    if not given:
        return ""
    return "{" + ",".join(f'{name}="{escape(value)}"' for name, value in given.items()) + "}"


def escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""Metrics of questions about stored records."""

from __future__ import annotations

from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter


def question_metrics(node: Node) -> list[Family]:
    return [
        counter(
            "gateway_record_questions_total",
            "Questions about stored records, by what became of them.",
            [({"outcome": outcome}, count) for outcome, count in node.queries.outcomes.items()],
        )
    ]

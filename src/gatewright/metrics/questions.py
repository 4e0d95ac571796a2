"""Metrics of questions about records, and of the roll-ups that many are answered from."""

from __future__ import annotations

from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter


def question_metrics(node: Node) -> list[Family]:
    rollups = node.counting.rollups
    return [
        counter(
            "gateway_record_questions_total",
            "Questions about stored records, by what became of them.",
            [({"outcome": outcome}, count) for outcome, count in node.queries.outcomes.items()],
        ),
        counter(
            "gateway_rollup_coarsened_total",
            "Counts of roll-ups that had to be told less apart.",
            rollups.coarsened if rollups is not None else 0,
        ),
        counter(
            "gateway_rollup_dropped_total",
            "Counts of roll-ups that were given up because their files could not be written.",
            rollups.dropped if rollups is not None else 0,
        ),
    ]

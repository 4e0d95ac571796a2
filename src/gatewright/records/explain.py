"""Why a request got its answer: the decisions of a record, or of `decide`, as rows and one closing
sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One decision of one stage."""

    stage: str
    verdict: str
    rule: str
    at: str
    inputs: str
    waited_ms: float | None = None
    waited_for: str | None = None

    @property
    def refuses(self) -> bool:
        return self.verdict == "refused"

    @property
    def waited(self) -> str:
        """`4.21 ms for redis`, or nothing."""
        return "" if self.waited_ms is None else f"{self.waited_ms} ms for {self.waited_for}"


def steps_of(document: Document) -> list[Step]:
    """The decisions in the order in which they were taken."""
    return [step_of(decision) for decision in document.get("decisions") or []]


def step_of(decision: Document) -> Step:
    return Step(
        stage=str(decision.get("stage", "")),
        verdict=str(decision.get("verdict", "")),
        rule=str(decision.get("rule") or ""),
        at=str(decision.get("at") or ""),
        inputs=inputs_of(decision.get("inputs")),
        waited_ms=decision.get("waited_ms"),
        waited_for=decision.get("waited_for"),
    )


def inputs_of(inputs: object) -> str:
    """`limit=100 remaining=99`: the inputs that mattered, in order."""
    if isinstance(inputs, Mapping):
        pairs = [(str(name), value) for name, value in inputs.items()]
    elif isinstance(inputs, list):
        pairs = [(str(pair[0]), pair[1]) for pair in inputs if isinstance(pair, list) and len(pair) == 2]
    else:
        return ""
    return " ".join(f"{name}={quoted(value)}" for name, value in pairs)


def quoted(value: object) -> str:
    text = "-" if value is None else str(value)
    return f'"{text}"' if " " in text or not text else text


def recorded_outcome(record: Document) -> str:
    """What became of a recorded request, in one line."""
    parts = [f"{record.get('status')}"]
    if record.get("error_type"):
        parts.append(
            f"{record['error_type']}"
            + (f": {record['error_message']}" if record.get("error_message") else "")
        )
    elif record.get("backend_instance"):
        parts.append(f"from {record.get('backend_service')} at {record['backend_instance']}")
    else:
        parts.append("from the gateway itself")
    latency = record.get("total_latency_ms")
    if latency is not None:
        own, service = record.get("gateway_overhead_ms"), record.get("upstream_latency_ms")
        share = (
            f" (gateway {own} ms" + (f", service {service} ms)" if service is not None else ")")
            if own
            else ""
        )
        parts.append(f"in {latency} ms{share}")
    waits = [step.waited for step in steps_of(record) if step.waited]
    if waits:
        parts.append(f"waited {' and '.join(waits)}")
    return ", ".join(parts)


def expected_outcome(decision: Document) -> str:
    """What would become of a request, in one line."""
    status, error = decision.get("status"), decision.get("error")
    if error:
        return f"{status} {error}"
    if decision.get("action") == "proxy" or (decision.get("service") and decision.get("forward_path")):
        where = f"{decision.get('service')} at {decision.get('instance') or 'no instance'}"
        return f"forwarded to {where} as {decision.get('forward_path')}"
    if decision.get("action") == "file":
        return "answered with a file, if there is one"
    if decision.get("action") == "login":
        return "a step of a login with a browser"
    return f"{status} from the gateway itself ({decision.get('action')})"

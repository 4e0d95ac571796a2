"""From decision records to entries of the audit log: what the gateway refused for safety's sake, and whom
it let pass although.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright._engine import contains_any
from gatewright.audit.entries import DECISION, Draft
from gatewright.audit.service import Audit
from gatewright.records.batch import Batch, readable, split
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings
from gatewright.records.worker import RecordWorker

STAGES = frozenset({"authenticate", "authorize", "limit"})
"""Stages whose refusals are decisions about a caller."""
# What only such records have; a peer's text has its quotes escaped. Most records are not even parsed.
MARKS = (b'"verdict":"refused"', b'"verdict":"logged_', b'"verdict":"redirected"', b'"grace_period"')
# Each batch waits for the disk once.
LANE = LaneSettings(batch_wait=0.2, batch_records=10_000)
NAMES = {"client_ip": "address", "user_id": "user", "partner_id": "partner", "tenant_id": "tenant"}
FIELDS = (
    "request_id",
    "timestamp",
    "method",
    "host",
    "path",
    "route_id",
    "status",
    "listener",
    "config_version",
)
TOLD = ("stage", "rule", "at", "inputs")


class Step(msgspec.Struct):
    """What one stage decided."""

    stage: str | None = None
    verdict: str | None = None
    rule: Any = None
    at: Any = None
    inputs: dict[str, Any] = {}


class Decided(msgspec.Struct):
    """What of a record the log tells."""

    request_id: Any = None
    timestamp: Any = None
    method: Any = None
    host: Any = None
    path: Any = None
    route_id: Any = None
    status: Any = None
    listener: Any = None
    config_version: Any = None
    client_ip: Any = None
    user_id: Any = None
    partner_id: Any = None
    tenant_id: Any = None
    error_type: str | None = None
    decisions: list[Step] = []


DECODER = msgspec.json.Decoder(Decided)


def drafts_of(lines: bytes) -> list[Draft]:
    """The decisions in a batch of records."""
    # Nearly free where there are none, as in most batches: Python's own search takes seven times as long.
    if not contains_any(lines, MARKS):
        return []
    marked = [line for line in split(lines) if any(mark in line for mark in MARKS)]
    drafts = (draft_of(record) for record in readable(b"\n".join(marked), DECODER))
    return [draft for draft in drafts if draft is not None]


def draft_of(record: Decided) -> Draft | None:
    """The decision in a record; `None` where it has none that is about safety."""
    for step in record.decisions:
        told = _told(step, record)
        if told is not None:
            what, outcome = told
            return Draft(DECISION, who_of(record), what, outcome, fields_of(record, step))
    return None


def _told(step: Step, record: Decided) -> tuple[str, str] | None:
    """What a step is called in the log, and how it ended."""
    stage, verdict = step.stage, step.verdict
    if verdict == "refused" and stage in STAGES:
        return f"refused.{record.error_type or stage}", "refused"
    if stage == "listener" and verdict == "redirected":
        return "redirected.https_required", "redirected"
    if stage == "authenticate" and verdict in {"logged_in", "logged_out"}:
        return f"login.{verdict}", "done"
    if stage == "authenticate" and "grace_period" in step.inputs:
        return "passed.grace_period", "passed"
    return None


def who_of(record: Decided) -> dict[str, str]:
    named = ((name, getattr(record, field)) for field, name in NAMES.items())
    return {"principal": "caller", **{name: str(value) for name, value in named if value is not None}}


def fields_of(record: Decided, step: Step) -> dict[str, Any]:
    fields = {name: value for name in FIELDS if (value := getattr(record, name)) is not None}
    return fields | {name: value for name in TOLD if (value := getattr(step, name))}


class DecisionSink:
    """Takes decisions from records into the log."""

    name = "audit"

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def write(self, batch: Batch) -> None:
        self._audit.decided(drafts_of(batch.lines))

    def reopen(self) -> None:
        """Nothing is to be opened: the log turns its files itself."""

    def close(self) -> None:
        """The log belongs to the node."""


class DecisionLane:
    """The lane of the log: what it cannot keep up with is dropped and counted there, and delays nobody."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._lane: Lane | None = None

    def use(self, records: RecordWorker) -> None:
        """Have records, or no longer, as the settings of the log say. Blocks."""
        if self._audit.settings.decisions and self._lane is None:
            self._lane = records.attach(DecisionSink(self._audit), LANE)
        elif not self._audit.settings.decisions and self._lane is not None:
            records.detach(self._lane)
            self._lane = None

"""From decision records to entries of the audit log: what the gateway refused for safety's sake, and whom
it let pass although.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from gatewright.audit.entries import DECISION, Draft
from gatewright.audit.service import Audit
from gatewright.records.batch import Batch, split
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings
from gatewright.records.worker import RecordWorker

log = logging.getLogger("gatewright.audit")

Record = Mapping[str, Any]

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


def drafts_of(lines: bytes) -> list[Draft]:
    """The decisions in a batch of records."""
    found: list[Draft] = []
    if not any(mark in lines for mark in MARKS):
        return found
    for line in split(lines):
        draft = read(line) if any(mark in line for mark in MARKS) else None
        if draft is not None:
            found.append(draft)
    return found


def read(line: bytes) -> Draft | None:
    try:
        return draft_of(json.loads(line))
    except (ValueError, AttributeError):
        # No retry would mend it.
        log.error("a malformed record was left out")
        return None


def draft_of(record: Record) -> Draft | None:
    """The decision in a record; `None` where it has none that is about safety."""
    for step in record.get("decisions", ()):
        told = _told(step, record)
        if told is not None:
            what, outcome = told
            return Draft(DECISION, who_of(record), what, outcome, fields_of(record, step))
    return None


def _told(step: Record, record: Record) -> tuple[str, str] | None:
    """What a step is called in the log, and how it ended."""
    stage, verdict = step.get("stage"), step.get("verdict")
    if verdict == "refused" and stage in STAGES:
        return f"refused.{record.get('error_type') or stage}", "refused"
    if stage == "listener" and verdict == "redirected":
        return "redirected.https_required", "redirected"
    if stage == "authenticate" and verdict in {"logged_in", "logged_out"}:
        return f"login.{verdict}", "done"
    if stage == "authenticate" and "grace_period" in step.get("inputs", {}):
        return "passed.grace_period", "passed"
    return None


def who_of(record: Record) -> dict[str, str]:
    named = {name: str(record[field]) for field, name in NAMES.items() if record.get(field) is not None}
    return {"principal": "caller", **named}


def fields_of(record: Record, step: Record) -> dict[str, Any]:
    fields = {name: record[name] for name in FIELDS if record.get(name) is not None}
    told = {name: step[name] for name in ("stage", "rule", "at", "inputs") if step.get(name)}
    return fields | told


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

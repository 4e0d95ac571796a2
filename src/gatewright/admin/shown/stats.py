"""Everything that a node knows about itself."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from gatewright.admin.shown.records import CountsShown


class SlowShown(CountsShown):
    """A route, and what its requests come to."""

    route_id: str | None


class SinkShown(BaseModel):
    """A place where records go."""

    sink: str
    stored: int
    dropped: int
    failures: int
    queued: int


class AuditStateShown(BaseModel):
    """Where the audit log ends, and whether it can be written."""

    seq: int | None
    hash: str | None
    sealed: bool
    written: dict[str, int] = Field(description="Entries by kind.")
    waiting: int
    failures: int
    lost: int
    omitted: int
    error: str | None


class StatsShown(BaseModel):
    """Everything at once."""

    version: str
    instance: str | None
    config_version: int | None
    ready: bool
    slow_endpoints: list[SlowShown] | None = Field(description="`null` where records are not stored.")
    engine: dict[str, Any] = Field(description="The data plane's state: for people, and not promised.")
    sinks: list[SinkShown]
    audit: AuditStateShown

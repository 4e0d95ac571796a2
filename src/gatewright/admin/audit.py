"""The audit log, to be read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from gatewright.admin.answers import answer
from gatewright.admin.shown.stats import AuditStateShown
from gatewright.audit.reading import LONGEST_LIST, Wanted
from gatewright.control.node import Node

Pattern = Annotated[str | None, Query(max_length=200, description="May have `*`.")]


class EntryShown(BaseModel):
    """One entry, as it stands in its file."""

    model_config = ConfigDict(extra="allow")

    seq: int = Field(description="Its number; they count without a gap.")
    time: str
    kind: Literal["act", "decision", "log"]
    who: dict[str, str]
    what: str
    outcome: str
    fields: dict[str, Any]
    previous: str = Field(description="Hash of the entry before it.")


class AuditShown(BaseModel):
    """A page of entries, the newest first."""

    entries: list[EntryShown]
    next: int | None = Field(description="What `before` has to be for the entries that follow, if any may.")
    state: AuditStateShown


def add_audit(router: APIRouter, node: Node) -> None:
    @router.get("/audit", summary="Entries of the audit log, newest first", response_model=AuditShown)
    async def entries(  # noqa: PLR0913 - each is a parameter of the operation.
        *,
        kind: Annotated[Literal["act", "decision", "log"] | None, Query()] = None,
        what: Pattern = None,
        who: Pattern = None,
        outcome: Pattern = None,
        since: Annotated[datetime | None, Query(description="RFC 3339 time")] = None,
        before: Annotated[int | None, Query(ge=1, description="Only entries with a lower number")] = None,
        limit: Annotated[int, Query(ge=1, le=LONGEST_LIST)] = 100,
    ) -> JSONResponse:
        wanted = Wanted(kind, what, who, outcome, since, before, limit)
        page = await node.audit.read(wanted)
        return answer({"entries": page.entries, "next": page.next, "state": node.audit.state()})

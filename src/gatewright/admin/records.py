"""Questions about stored records: pages of them, one of them explained, counts by group. Answered by
processes of their own (`records/asking.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from gatewright.admin.answers import Denied, answer
from gatewright.admin.shown.records import ExplainedShown, RecordsShown, StoredShown, SummaryShown
from gatewright.config.models.recording import UserId
from gatewright.control.node import Node
from gatewright.records.asking import QueriesBusyError
from gatewright.records.fields import RecordQueryError
from gatewright.records.reader import LIMIT, LONGEST_LIMIT
from gatewright.records.user_ids import asked_spellings

MOST_CONDITIONS = 20
MOST_GROUPED = 5
MOST_SUMMARY_GROUPS = 10_000

Where = Annotated[
    list[str] | None,
    Query(
        max_length=MOST_CONDITIONS,
        description="`field=value`, also `!=` `<` `<=` `>` `>=` `~` (contains) `!~`; `null` for nothing; "
        "`decision.STAGE.PART=value` for what a stage decided. All must hold.",
    ),
]
Status = Annotated[str | None, Query(max_length=3, description="`404` or `5xx`")]
User = Annotated[
    str | None,
    Query(max_length=256, description="A user, by whatever `records.user_id` makes of one"),
]
Time = Annotated[
    str | None,
    Query(max_length=40, description="RFC 3339 time, a day, `14:00`, or how long ago: `15m`, `1h`, `7d`"),
]
Histograms = Annotated[
    bool, Query(description="With the whole distribution, as an exponential histogram of OpenTelemetry")
]


def add_records(router: APIRouter, node: Node) -> None:
    """Add the operations on records."""
    add_pages(router, node)
    add_summary(router, node)
    add_stored(router, node)

    # Last, since an id is any visible ASCII, slashes too.
    @router.get(
        "/records/{request_id:path}",
        summary="The newest record with this request id, explained",
        response_model=ExplainedShown,
    )
    async def record(request_id: str) -> JSONResponse:
        found = await ask(node, "request", {"request_id": request_id})
        if not found:
            raise Denied(404, "unknown_request", f"no record of request `{request_id}`")
        return answer(found)


def add_pages(router: APIRouter, node: Node) -> None:
    @router.get(
        "/records",
        summary="Stored decision records, newest first, page by page",
        response_model=RecordsShown,
    )
    async def records(  # noqa: PLR0913 - one argument a parameter of the query.
        *,
        where: Where = None,
        user: User = None,
        status: Status = None,
        since: Time = None,
        until: Time = None,
        cursor: Annotated[
            str | None,
            Query(max_length=100, description="`cursor` of the page before, for the one that follows"),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LONGEST_LIMIT)] = LIMIT,
    ) -> JSONResponse:
        asked = {"where": where, "status": status, "since": since, "until": until, "cursor": cursor}
        asked |= named(node, user, since, until)
        return answer(await ask(node, "page", asked | {"limit": limit}))


def add_summary(router: APIRouter, node: Node) -> None:
    @router.get(
        "/records/summary",
        summary="Records counted by group, with percentiles of a latency",
        response_model=SummaryShown,
    )
    async def summary(  # noqa: PLR0913 - one argument a parameter of the query.
        *,
        where: Where = None,
        user: User = None,
        status: Status = None,
        since: Time = None,
        until: Time = None,
        group: Annotated[
            list[str] | None,
            Query(max_length=MOST_GROUPED, description="Fields to group by, several in order"),
        ] = None,
        of: Annotated[str, Query(max_length=40, description="The latency whose percentiles are told")] = (
            "total_latency_ms"
        ),
        source: Annotated[
            Literal["auto", "rollups", "records"],
            Query(description="Roll-ups where they know the fields, else records"),
        ] = "auto",
        histograms: Histograms = False,
        limit: Annotated[int, Query(ge=1, le=MOST_SUMMARY_GROUPS)] = 1000,
    ) -> JSONResponse:
        asked = {"where": where, "status": status, "since": since, "until": until, "group": group}
        asked |= named(node, user, since, until)
        asked |= {"of": of, "source": source, "limit": limit, "histograms": histograms}
        return answer(await ask(node, "summary", asked))


def add_stored(router: APIRouter, node: Node) -> None:
    @router.get(
        "/records/stored",
        summary="Records in the order in which they are stored, for whoever follows",
        response_model=StoredShown,
    )
    async def stored(
        where: Where = None,
        user: User = None,
        status: Status = None,
        shown: Annotated[
            str | None, Query(max_length=100, description="`shown` of the answer before; without it, the end")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LONGEST_LIMIT)] = 1000,
    ) -> JSONResponse:
        asked = {"where": where, "status": status, "limit": limit, "shown": shown_of(shown)}
        asked |= named(node, user, None, None)
        given = await ask(node, "newer", asked)
        return answer(given | {"shown": ",".join(f"{hour}:{row}" for hour, row in given["shown"].items())})


def named(node: Node, user: str | None, since: str | None, until: str | None) -> dict[str, Any]:
    """What records may call a user. Raises `Denied` for a time that is none."""
    if user is None:
        return {}
    loaded = node.loaded()
    settings = UserId() if loaded is None else loaded.gateway.records.user_id
    try:
        return {"user_ids": asked_spellings(settings, user, since, until)}
    except RecordQueryError as error:
        raise Denied(400, "bad_request", str(error)) from error


def shown_of(text: str | None) -> dict[str, int] | None:
    """How far somebody who follows has come. Raises `Denied` for what no answer said."""
    if text is None:
        return None
    pairs = [part.partition(":") for part in text.split(",") if part]
    if not all(hour.isdigit() and row.isdigit() for hour, _, row in pairs):
        raise Denied(400, "bad_request", "`shown` is none that an answer of this node gave")
    return {hour: int(row) for hour, _, row in pairs}


async def ask(node: Node, kind: str, asked: dict[str, Any]) -> Any:
    """The answer of a process that reads. Raises `Denied` where records are not stored or too many ask."""
    places = {
        "records": str(record_directory(node)),
        "rollups": str(node.state.rollups),
        "state": str(node.state.path),
    }
    try:
        return await node.queries.ask({"kind": kind} | asked | places)
    except QueriesBusyError as error:
        raise Denied(503, "busy", str(error)) from error


def record_directory(node: Node) -> Path:
    """Where the SQLite sink of this node writes. Raises `Denied` when there is none."""
    for sink in node.sinks:
        if sink.directory is not None:
            return sink.directory
    raise Denied(404, "no_record_store", "records are not stored here; add a sink of kind `sqlite`")

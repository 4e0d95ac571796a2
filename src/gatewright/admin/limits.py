"""Rate limits by hand: counters forgotten, limits set for a while, bans shown and lifted."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from gatewright.admin import views
from gatewright.admin.answers import Denied, answer
from gatewright.admin.audited import acted, acting
from gatewright.admin.breakers import address
from gatewright.admin.limit_store import add_limit_store
from gatewright.admin.shown.limits import (
    BansShown,
    LiftedShown,
    LimitSetShown,
    LimitsShown,
    LimitUnsetShown,
    ResetShown,
)
from gatewright.control.node import Node
from gatewright.control.shared_store import StoreError
from gatewright.errors import EngineError

LONGEST_SECONDS = 7 * 86_400

Limit = Annotated[
    int, Query(ge=0, description="Requests in a window, or whatever the tier counts; 0 for none.")
]
Seconds = Annotated[int, Query(ge=1, le=LONGEST_SECONDS, description="How long it holds.")]
By = Annotated[str | None, Query(max_length=100, description="Who does it; else the address of the client.")]
Why = Annotated[str | None, Query(max_length=300, description="For the audit.")]


def add_limits(router: APIRouter, node: Node, under: str = "") -> None:
    """Add the operations on rate limits, below a path."""

    _add_looks(router, node, under)

    @router.post(
        f"{under}/rate-limits/reset",
        summary="Forget counters of a tier, of a caller, or all",
        response_model=ResetShown,
    )
    async def reset_limits(tier: str | None = None, caller: str | None = None) -> JSONResponse:
        # The caller's name is personal; that counters were reset is what the audit needs.
        acting("limits.reset", tier=tier, one_caller=caller is not None)
        # First, and told: what is forgotten here must not come back from elsewhere.
        await node.bans.lift(tier, caller)
        count = await asyncio.to_thread(node.engine.reset_limits, tier, caller)
        try:
            count += await node.limit_store.reset(tier, caller)
        except StoreError as error:
            raise Denied(503, "limit_store_unavailable", str(error)) from error
        acted(count=count)
        return answer({"reset": count})

    @router.post(
        f"{under}/rate-limits/bans/lift",
        summary="End bans of a tier, of a caller, or all",
        response_model=LiftedShown,
    )
    async def lift_bans(tier: str | None = None, caller: str | None = None) -> JSONResponse:
        acting("bans.lift", tier=tier, one_caller=caller is not None)
        count = await node.bans.lift(tier, caller)
        acted(count=count)
        return answer({"lifted": count})

    _add_emergencies(router, node, under)
    add_limit_store(router, node, under)


def _add_looks(router: APIRouter, node: Node, under: str) -> None:
    @router.get(
        f"{under}/rate-limits",
        summary="Tiers, limits that were set by hand, busiest callers",
        response_model=LimitsShown,
    )
    async def limits() -> JSONResponse:
        return answer(await views.limits(node))

    @router.get(
        f"{under}/rate-limits/bans",
        summary="Callers that are banned, the longest bans first",
        response_model=BansShown,
    )
    async def bans() -> JSONResponse:
        listed = json.loads(await asyncio.to_thread(node.engine.bans))
        return answer({"bans": listed, "sharing": node.bans.state()})


def _add_emergencies(router: APIRouter, node: Node, under: str) -> None:
    @router.post(
        under + "/rate-limits/{tier}/set",
        summary="Set the limit of a tier at once and for a while, in place of the configuration's",
        response_model=LimitSetShown,
    )
    async def set_limit(  # noqa: PLR0913 - each is a parameter of the operation.
        request: Request, tier: str, *, limit: Limit, seconds: Seconds, by: By = None, why: Why = None
    ) -> JSONResponse:
        who = by or address(request)
        acting("limit.set", tier=tier, limit=limit, seconds=seconds, by=who, why=why)
        await change(node, tier, limit, seconds)
        return answer({"tier": tier, "limit": limit, "seconds": seconds})

    @router.post(
        under + "/rate-limits/{tier}/unset",
        summary="Give the limit of a tier back to the configuration",
        response_model=LimitUnsetShown,
    )
    async def unset_limit(request: Request, tier: str, by: By = None, why: Why = None) -> JSONResponse:
        acting("limit.unset", tier=tier, by=by or address(request), why=why)
        await change(node, tier, None, 0)
        return answer({"tier": tier, "limit": None})


async def change(node: Node, tier: str, limit: int | None, seconds: int) -> None:
    """Set or unset a limit. Raises `Denied` for unknown tiers, and for what a tier cannot count."""
    names = [one["name"] for one in (await views.limits(node))["tiers"]]
    if tier not in names:
        raise Denied(404, "unknown_tier", f"unknown tier `{tier}`; known: {', '.join(names)}")
    try:
        await asyncio.to_thread(node.engine.set_limit, tier, limit, seconds * 1000)
    except EngineError as error:
        raise Denied(400, "bad_request", str(error)) from error

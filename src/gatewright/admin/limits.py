"""Rate limits by hand: counters forgotten, bans shown and lifted."""

from __future__ import annotations

import asyncio
import json
import logging

from fastapi import APIRouter
from starlette.responses import JSONResponse

from gatewright.admin import views
from gatewright.admin.answers import answer
from gatewright.control.node import Node

log = logging.getLogger("gatewright.audit")


def add_limits(router: APIRouter, node: Node, under: str = "") -> None:
    """Add the operations on rate limits, below a path."""

    @router.get(f"{under}/rate-limits", summary="Tiers and their busiest callers")
    async def limits() -> JSONResponse:
        return answer(await views.limits(node))

    @router.post(f"{under}/rate-limits/reset", summary="Forget counters of a tier, of a caller, or all")
    async def reset_limits(tier: str | None = None, caller: str | None = None) -> JSONResponse:
        # First, and told: what is forgotten here must not come back from elsewhere.
        await node.bans.lift(tier, caller)
        count = await asyncio.to_thread(node.engine.reset_limits, tier, caller)
        # The caller's name is personal; that counters were reset is what the audit needs.
        log.warning("limits reset", extra={"tier": tier, "one_caller": caller is not None, "count": count})
        return answer({"reset": count})

    @router.get(f"{under}/rate-limits/bans", summary="Callers that are banned, the longest bans first")
    async def bans() -> JSONResponse:
        listed = json.loads(await asyncio.to_thread(node.engine.bans))
        return answer({"bans": listed, "sharing": node.bans.state()})

    @router.post(f"{under}/rate-limits/bans/lift", summary="End bans of a tier, of a caller, or all")
    async def lift_bans(tier: str | None = None, caller: str | None = None) -> JSONResponse:
        count = await node.bans.lift(tier, caller)
        log.warning("bans lifted", extra={"tier": tier, "one_caller": caller is not None, "count": count})
        return answer({"lifted": count})

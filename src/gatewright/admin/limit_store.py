"""The Redis of shared limits: how the node stands with it, and going on without it for a time."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from gatewright.admin.answers import answer
from gatewright.admin.audited import acting
from gatewright.admin.shown.limits import BypassedShown, ResumedShown, StoreShown
from gatewright.control.node import Node

MOST_SECONDS = 86_400


def add_limit_store(router: APIRouter, node: Node, under: str = "") -> None:
    """Add the operations on the Redis of shared limits, below a path."""

    @router.get(
        f"{under}/rate-limits/store",
        summary="How the node stands with the Redis of shared limits",
        response_model=StoreShown,
    )
    async def store() -> JSONResponse:
        return answer({"store": json.loads(await asyncio.to_thread(node.engine.limit_store))})

    @router.post(
        f"{under}/rate-limits/store/bypass",
        summary="Ask Redis about no limit for a time",
        response_model=BypassedShown,
    )
    async def bypass(
        seconds: Annotated[int, Query(ge=1, le=MOST_SECONDS)], counting: Literal["node", "none"] = "node"
    ) -> JSONResponse:
        acting("limit_store.bypass", seconds=seconds, counting=counting)
        await asyncio.to_thread(node.engine.bypass_limits, seconds * 1000, counting == "node")
        return answer({"bypassed_seconds": seconds, "counting": counting})

    @router.post(
        f"{under}/rate-limits/store/resume",
        summary="Ask Redis about limits again",
        response_model=ResumedShown,
    )
    async def resume() -> JSONResponse:
        acting("limit_store.resume")
        await asyncio.to_thread(node.engine.bypass_limits, 0, True)
        return answer({"bypassed_seconds": 0})

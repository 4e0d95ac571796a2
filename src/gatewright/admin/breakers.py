"""Circuit breakers by hand: held open or closed, or given back to their rules."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from gatewright.admin import views
from gatewright.admin.answers import Denied, answer
from gatewright.admin.audited import acted, acting
from gatewright.admin.shown.breakers import BreakersShown, ChangedShown
from gatewright.control.node import Node

Action = Literal["open", "close", "reset"]
By = Annotated[str | None, Query(max_length=100, description="Who does it; else the address of the client.")]
Why = Annotated[str | None, Query(max_length=300, description="Shown as long as it holds.")]


def add_breakers(router: APIRouter, node: Node, under: str = "") -> None:
    """Add the operations on circuit breakers, below a path."""

    @router.get(
        f"{under}/circuit-breakers",
        summary="State of every circuit breaker, its last changes, and whether they are shared",
        response_model=BreakersShown,
    )
    async def shown() -> JSONResponse:
        return answer(await views.breakers(node))

    @router.post(
        under + "/circuit-breakers/{action}",
        summary="Open, close or reset every circuit breaker by hand",
        response_model=ChangedShown,
    )
    async def change_all(request: Request, action: Action, by: By = None, why: Why = None) -> JSONResponse:
        return await change(node, None, action, (by or address(request), why))

    # The name of an instance may be any address, and a route's name follows a slash.
    @router.post(
        under + "/circuit-breakers/{name:path}/{action}",
        summary="Open, close or reset the breaker of a service, of a route of its own, or of an instance",
        response_model=ChangedShown,
    )
    async def change_one(
        request: Request, name: str, action: Action, by: By = None, why: Why = None
    ) -> JSONResponse:
        return await change(node, name, action, (by or address(request), why))


def address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


async def change(node: Node, name: str | None, action: Action, who: tuple[str, str | None]) -> JSONResponse:
    """Change one breaker, or all for `None`; tells how many it changed. Raises `Denied` for unknown names."""
    by, why = who
    acting(f"breaker.{action}", breaker=name or "all", by=by, why=why)
    if name is not None:
        await known(node, name)
    document = {"action": action} if action == "reset" else {"action": action, "by": by, "why": why}
    count = await asyncio.to_thread(node.engine.set_breaker, name, json.dumps(document).encode())
    acted(changed=count)
    return answer({"changed": count})


async def known(node: Node, name: str) -> None:
    listed = (await views.breakers(node))["circuit_breakers"]
    names = list(dict.fromkeys([one["name"] for one in listed] + [one["service"] for one in listed]))
    if name not in names:
        raise Denied(404, "unknown_breaker", f"unknown circuit breaker `{name}`; known: {', '.join(names)}")

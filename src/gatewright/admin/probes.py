"""Operations at fixed paths that balancers, Prometheus and people know by heart."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from gatewright.admin import views
from gatewright.admin.answers import answer
from gatewright.admin.breakers import add_breakers
from gatewright.admin.limits import add_limits
from gatewright.admin.shown.health import HealthShown, LivenessShown, ReadinessShown, ServicesShown
from gatewright.admin.shown.stats import StatsShown
from gatewright.control.node import Node
from gatewright.metrics.negotiation import negotiate
from gatewright.metrics.page import exposition

Deep = Annotated[bool, Query(description="Run every check now, as often as `health.deep_interval` allows.")]


def probes(node: Node) -> APIRouter:
    """The routes outside `/api/v1`."""
    router = APIRouter()

    @router.get(
        "/healthz",
        summary="Is the process alive? 503 only as `health.healthz` says.",
        response_model=LivenessShown,
        responses=unavailable(LivenessShown, "It is not as `health.healthz` wants it."),
    )
    async def healthz() -> JSONResponse:
        told = views.liveness(node)
        return answer(told, 200 if told["status"] == "ok" else 503)

    @router.get(
        "/readyz",
        summary="May traffic be sent here? 503 before a configuration is live, while draining, and as "
        "`health.readiness` says.",
        response_model=ReadinessShown,
        responses=unavailable(ReadinessShown, "It may not."),
    )
    async def readyz() -> JSONResponse:
        told = views.readiness(node)
        return answer(told, 200 if told["status"] == "ready" else 503)

    @router.get("/metrics", summary="Metrics: Prometheus text, OpenMetrics or protocol buffers, by `Accept`")
    async def metrics(request: Request) -> Response:
        offer = negotiate(request.headers.get("accept", ""))
        page = await asyncio.to_thread(exposition, node, offer.form)
        return Response(page, headers={"content-type": offer.content_type, "vary": "Accept"})

    add_views(router, node)
    add_breakers(router, node, "/gateway")
    add_limits(router, node, "/gateway")
    return router


def unavailable(shown: type[BaseModel], when: str) -> dict[int | str, dict[str, Any]]:
    """The answer of 503 has the same form."""
    return {503: {"model": shown, "description": when}}


def add_views(router: APIRouter, node: Node) -> None:
    @router.get(
        "/health",
        summary="Health of the gateway, its dependencies and its configuration",
        response_model=HealthShown,
        responses=unavailable(HealthShown, "It is `unhealthy`."),
    )
    async def health(deep: Deep = False) -> JSONResponse:
        told = await views.health(node, deep=deep)
        return answer(told, 503 if told["status"] == "unhealthy" else 200)

    @router.get(
        "/health/services", summary="Health of every service and instance", response_model=ServicesShown
    )
    async def services() -> JSONResponse:
        return answer(await views.services(node))

    @router.get(
        "/gateway/stats", summary="Everything that the node knows about itself", response_model=StatsShown
    )
    async def stats() -> JSONResponse:
        return answer(await views.stats(node))

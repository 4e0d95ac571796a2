"""The versioned API: what the commands of the CLI call."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import JSONResponse

from gatewright.admin import views
from gatewright.admin.addresses import add_addresses
from gatewright.admin.alerts import add_alerts
from gatewright.admin.answers import Denied, answer
from gatewright.admin.audit import add_audit
from gatewright.admin.audited import acted, acting
from gatewright.admin.breakers import add_breakers
from gatewright.admin.keys import add_keys
from gatewright.admin.limits import add_limits
from gatewright.admin.probes import Deep
from gatewright.admin.records import add_records
from gatewright.admin.shown.drains import DrainingShown, InstancesDrainedShown
from gatewright.admin.shown.health import ConfigShown, HealthShown, ServicesShown
from gatewright.admin.shown.stats import StatsShown
from gatewright.admin.tokens import add_tokens
from gatewright.control.node import Node


def operations(node: Node) -> APIRouter:
    """The routes under `/api/v1`."""
    router = APIRouter()
    add_views(router, node)
    add_breakers(router, node)
    add_keys(router, node)
    add_limits(router, node)
    add_tokens(router, node)
    add_addresses(router, node)
    add_records(router, node)
    add_audit(router, node)
    add_alerts(router, node)
    add_actions(router, node)
    return router


def add_views(router: APIRouter, node: Node) -> None:
    @router.get(
        "/status",
        summary="Health of the gateway, its dependencies and its configuration",
        response_model=HealthShown,
    )
    async def status(deep: Deep = False) -> JSONResponse:
        return answer(await views.health(node, deep=deep))

    @router.get(
        "/config",
        summary="The live configuration: version, files, errors of the files as they are now",
        response_model=ConfigShown,
    )
    async def config() -> JSONResponse:
        return answer(views.configuration(node))

    @router.get("/services", summary="Every service with its instances", response_model=ServicesShown)
    async def services() -> JSONResponse:
        return answer(await views.services(node))

    @router.get("/stats", summary="Everything that the node knows about itself", response_model=StatsShown)
    async def stats() -> JSONResponse:
        return answer(await views.stats(node))


def add_actions(router: APIRouter, node: Node) -> None:
    @router.post(
        "/services/{service}/instances/{instance:path}/drain",
        summary="Send an instance no new requests",
        response_model=InstancesDrainedShown,
    )
    async def drain_instance(service: str, instance: str) -> JSONResponse:
        return await drain_one_instance(node, service, instance, wanted=True)

    @router.post(
        "/services/{service}/instances/{instance:path}/undrain",
        summary="Send an instance requests again, as `slow_start` says",
        response_model=InstancesDrainedShown,
    )
    async def undrain_instance(service: str, instance: str) -> JSONResponse:
        return await drain_one_instance(node, service, instance, wanted=False)

    @router.post(
        "/drain",
        summary="Stop accepting, finish what is under way, end the process",
        status_code=202,
        response_model=DrainingShown,
    )
    async def drain() -> JSONResponse:
        acting("node.drain")
        node.drain_wanted.set()
        return answer({"status": "draining"}, 202)


async def drain_one_instance(node: Node, service: str, instance: str, *, wanted: bool) -> JSONResponse:
    """Start or end the draining of an instance; tells how many addresses of that name it changed. Raises
    `Denied` for one that does not exist.
    """
    acting("instance.drain" if wanted else "instance.undrain", service=service, instance=instance)
    count = await asyncio.to_thread(node.engine.drain_instance, service, instance, wanted)
    if count is None:
        known = {one["name"]: one["instances"] for one in views.services_of(await views.engine_state(node))}
        if service not in known:
            raise Denied(404, "unknown_service", f"unknown service `{service}`; known: {', '.join(known)}")
        names = ", ".join(dict.fromkeys(str(one["name"]) for one in known[service]))
        raise Denied(404, "unknown_instance", f"no instance `{instance}` of `{service}`; known: {names}")
    acted(count=count)
    return answer({"changed": count})

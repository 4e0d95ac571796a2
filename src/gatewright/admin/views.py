"""What the admin listener shows, made from the data plane's state. No HTTP in here."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gatewright import __version__
from gatewright.admin.slow import slow_endpoints
from gatewright.control.expiry import ending, expiries, utc_now
from gatewright.control.node import Node

Document = dict[str, Any]

MOST_PENALTIES = 100


async def engine_state(node: Node) -> Document:
    """What is live, from the data plane. Waits in a thread: the loop has signals to take meanwhile."""
    return json.loads(await asyncio.to_thread(node.engine.state))


def configuration(node: Node) -> Document:
    """The live version, its files, and what is wrong with the files now."""
    files = [str(path) for path in node.configuration.files] if node.configuration else []
    return {**node.status.document(), "files": files}


async def health(node: Node, *, deep: bool = False) -> Document:
    """One word, and what it is made of (AD-1): critical checks that fail make the gateway `unhealthy`,
    others `degraded`. `deep` asks everything anew, as often as the settings allow.
    """
    is_new = await node.health.deep() if deep else False
    state = await engine_state(node)
    await node.health.look(state)
    services = [{"name": one["name"], **counted(one)} for one in services_of(state)]
    return {
        "status": word(node),
        "version": __version__,
        "instance": state.get("node"),
        "uptime_seconds": round(state.get("uptime_ms", 0) / 1000),
        "config": configuration(node),
        "checks": [one.document() for one in node.health.standings],
        **({"deep": "new" if is_new else "known"} if deep else {}),
        "dependencies": {
            "services": services,
            "key_sets": node.key_sets.state(),
            "key_store": node.stored_keys.state(),
            "limit_store": state.get("limit_store"),
            "logins": node.logins.state(),
        },
        **warnings(node),
    }


def warnings(node: Node) -> Document:
    """Certificates that end soon; nothing where none does. They make nothing unready."""
    now = utc_now()
    due = [one.document(now) for one in ending(expiries(node.loaded()), now)]
    return {"certificates": due} if due else {}


def word(node: Node) -> str:
    if node.is_draining:
        return "draining"
    if not node.is_ready:
        return "starting"
    if node.health.failing(critical=True):
        return "unhealthy"
    return "degraded" if node.health.failing() else "healthy"


def readiness(node: Node) -> Document:
    """One word for a balancer, and what keeps it from being `ready`. Asks nobody, so it cannot hang."""
    failing = node.health.keeping_unready() if node.is_ready else []
    ready = "unready" if failing else "ready"
    told = {"status": ready if node.is_ready else word(node)}
    return told | ({"failing": failing} if failing else {}) | warnings(node)


def liveness(node: Node) -> Document:
    """What `/healthz` says, from what was last known: words alone, since nobody has to prove who asks."""
    known = {one.name: one.status for one in node.health.standings if not one.custom}
    services = [counted(one)["healthy"] for one in node.health.services]
    has_backend = not services or any(services)
    asked = node.health.settings.healthz
    backends = "healthy" if all(services) else "some" if any(services) else "none"
    is_well = {
        "alive": True,
        "ready": readiness(node)["status"] == "ready",
        "backends": has_backend and node.status.state == "valid" and not node.is_draining,
    }[asked]
    return {
        "status": "ok" if is_well else "failing",
        "configuration": node.status.state,
        "backends": backends,
        **({"self_check": known["self_check"]} if "self_check" in known else {}),
    }


def services_of(state: Document) -> list[Document]:
    return state.get("services", [])


def counted(service: Document) -> Document:
    instances = service.get("instances", [])
    states = [one.get("state", "healthy" if one.get("healthy", True) else "unhealthy") for one in instances]
    return {
        "instances": len(instances),
        "healthy": states.count("healthy"),
        "ejected": states.count("ejected"),
        "draining": states.count("draining"),
        "panic": bool(service.get("panic", False)),
    }


async def services(node: Node) -> Document:
    """Every service with its instances and their health (AD-2)."""
    found = services_of(await engine_state(node))
    return {"services": [{**one, **{"summary": counted(one)}} for one in found]}


async def breakers(node: Node) -> Document:
    """Every breaker: of services, of instances, of routes with one of their own (AD-6)."""
    found = services_of(await engine_state(node))
    listed = [breaker for service in found for breaker in service.get("breakers", [])]
    return {"circuit_breakers": listed, "sharing": node.sharing.state()}


async def limits(node: Node) -> Document:
    """The tiers, their busiest callers, who is under a penalty, and what is shared (AD-7)."""
    state = await engine_state(node)
    penalties = json.loads(await asyncio.to_thread(node.engine.bans))
    return {
        "tiers": state.get("tiers", []),
        "keys": state.get("limit_keys", 0),
        "penalties": penalties[:MOST_PENALTIES],
        "penalized": len(penalties),
        "store": state.get("limit_store"),
    }


async def stats(node: Node) -> Document:
    """Everything at once (AD-5)."""
    state = await engine_state(node)
    sinks = [
        {
            "sink": one.name,
            "stored": one.stored,
            "dropped": one.dropped,
            "failures": one.failures,
            "queued": one.queued,
        }
        for one in node.records.counts()
    ]
    return {
        "version": __version__,
        "instance": state.get("node"),
        "config_version": node.status.version,
        "ready": readiness(node)["status"] == "ready",
        "slow_endpoints": await slow_endpoints(node),
        "engine": state,
        "sinks": sinks,
        "audit": node.audit.state(),
    }

"""What the admin listener shows, made from the data plane's state. No HTTP in here."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gatewright import __version__
from gatewright.control.expiry import ending, expiries, utc_now
from gatewright.control.node import Node

Document = dict[str, Any]


async def engine_state(node: Node) -> Document:
    """What is live, from the data plane. Waits in a thread: the loop has signals to take meanwhile."""
    return json.loads(await asyncio.to_thread(node.engine.state))


def configuration(node: Node) -> Document:
    """The live version, its files, and what is wrong with the files now."""
    files = [str(path) for path in node.configuration.files] if node.configuration else []
    return {**node.status.document(), "files": files}


async def health(node: Node) -> Document:
    """One word, and what it is made of (AD-1). A gateway that serves is `degraded` at worst, never
    `unhealthy`.
    """
    state = await engine_state(node)
    services = [{"name": one["name"], **counted(one)} for one in services_of(state)]
    key_sets = node.key_sets.state()
    faults = [one["name"] for one in services if one["healthy"] == 0]
    faults += [str(one["identity"]) for one in key_sets if one["stale"] or not one["has_keys"]]
    key_store = node.stored_keys.state()
    limit_store = state.get("limit_store")
    logins = node.logins.state()
    faults += [str(one["identity"]) for one in logins if not one["is_known"]]
    faults += ["key_store"] if key_store is not None and not key_store["connected"] else []
    faults += ["limit_store"] if not node.limit_store.is_well else []
    return {
        "status": word(node, bool(faults) or node.status.state == "invalid"),
        "version": __version__,
        "config": configuration(node),
        "dependencies": {
            "services": services,
            "key_sets": key_sets,
            "key_store": key_store,
            "limit_store": limit_store,
            "logins": logins,
        },
        **warnings(node),
    }


def warnings(node: Node) -> Document:
    """Certificates that end soon; nothing where none does. They make nothing unready."""
    now = utc_now()
    due = [one.document(now) for one in ending(expiries(node.loaded()), now)]
    return {"certificates": due} if due else {}


def word(node: Node, is_degraded: bool) -> str:
    if node.is_draining:
        return "draining"
    if not node.is_ready:
        return "starting"
    return "degraded" if is_degraded else "healthy"


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
    """The tiers and their busiest callers (AD-7)."""
    state = await engine_state(node)
    return {"tiers": state.get("tiers", []), "keys": state.get("limit_keys", 0)}


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
    return {"version": __version__, "ready": node.is_ready, "engine": state, "sinks": sinks}

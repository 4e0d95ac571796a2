"""The slowest routes of the last minutes, for `/gateway/stats`."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gatewright.errors import GatewrightError

if TYPE_CHECKING:
    from gatewright.control.node import Node

log = logging.getLogger("gatewright.admin")

MINUTES = "15m"
MOST = 10
SECONDS = 3.0
# A question takes a process of its own; whoever asks for statistics each second shall not cost one each time.
KEPT_SECONDS = 10.0

Document = dict[str, Any]
_kept: WeakKeyDictionary[Node, tuple[float, list[Document] | None]] = WeakKeyDictionary()


async def slow_endpoints(node: Node) -> list[Document] | None:
    """Routes by the 99th percentile of their latency, the slowest first; `None` where nobody knows."""
    at, known = _kept.get(node, (float("-inf"), None))
    if time.monotonic() - at > KEPT_SECONDS:
        known = await asked(node)
        _kept[node] = (time.monotonic(), known)
    return known


async def asked(node: Node) -> list[Document] | None:
    question = {
        "kind": "summary",
        "since": MINUTES,
        "group": ["route_id"],
        "of": "total_latency_ms",
        "source": "auto",
        "limit": 1000,
        "rollups": str(node.state.rollups),
        "state": str(node.state.path),
    }
    directory = next((one.directory for one in node.sinks if one.directory is not None), None)
    if directory is None:
        return None
    try:
        async with asyncio.timeout(SECONDS):
            found = await node.queries.ask(question | {"records": str(directory)})
    except (GatewrightError, TimeoutError) as error:
        log.warning("slow endpoints cannot be told", extra={"error": str(error) or type(error).__name__})
        return None
    return slowest(found.get("groups", []))


def slowest(groups: list[Document]) -> list[Document]:
    return sorted(groups, key=lambda one: one.get("p99_ms") or 0.0, reverse=True)[:MOST]

"""Grace periods of authentication: who still comes without a credential, told in the log."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Protocol

from gatewright.config import Loaded

log = logging.getLogger("gatewright.control")

# A line of the log for each route at most this often, however many requests there are; each has its record.
LOOK_SECONDS = 10.0

_SERIES = re.compile(r'^gateway_authentication_grace_total\{route="([^"]+)"\} (\d+)$', re.MULTILINE)


class Counters(Protocol):
    """Where requests are counted: the engine."""

    def metrics(self) -> str: ...


class GraceWatch:
    """Warns of requests that a grace period let pass, where some route has one (AU-24)."""

    def __init__(self, counters: Counters, loaded: Callable[[], Loaded | None]) -> None:
        self._counters = counters
        self._loaded = loaded
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """Look every 10 seconds, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.is_needed():
                self.look(await asyncio.to_thread(self._counters.metrics))

    def is_needed(self) -> bool:
        loaded = self._loaded()
        routes = loaded.gateway.routes if loaded is not None else ()
        return any(route.auth is not None and route.auth.grace_period for route in routes)

    def look(self, metrics: str) -> None:
        """Say what has come since the last look."""
        counted = {route: int(requests) for route, requests in _SERIES.findall(metrics)}
        for route, requests in counted.items():
            # A route that was away for a while counts from nothing again.
            before = self._seen.get(route, 0)
            new = requests - before if requests >= before else requests
            if new:
                log.warning(
                    "requests without a credential were let through", extra={"route": route, "requests": new}
                )
        self._seen = counted

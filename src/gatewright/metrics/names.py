"""Says in the log when names share the series of `other`: a dashboard would not show what is missing."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Protocol

log = logging.getLogger("gatewright.control")

LOOK_SECONDS = 60.0
_SERIES = re.compile(r'^gateway_metric_names_shared\{kind="(\w+)"\} (\d+)$', re.MULTILINE)


class Counted(Protocol):
    """Where it is counted: the data plane."""

    def metrics(self) -> str: ...


class NamesWatch:
    """Says it once for each kind, and again when it has not been so in between."""

    def __init__(self, engine: Counted) -> None:
        self._engine = engine
        self._sharing: set[str] = set()

    async def run(self) -> None:
        """Look every minute, for ever. What the configuration names was said when it was read."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look(await asyncio.to_thread(self._engine.metrics))

    def look(self, page: str) -> None:
        """Say what has not been said."""
        counts = {kind: int(names) for kind, names in _SERIES.findall(page)}
        sharing = {kind for kind, names in counts.items() if names}
        for kind in sorted(sharing - self._sharing):
            message = "more names than have metrics of their own; raise `metrics.max_names`"
            log.warning(message, extra={"kind": kind, "names": counts[kind]})
        self._sharing = sharing

"""Joins alerting with the node: what it counts of requests, its metrics and its configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatewright.insight.alerting import Alerting, AlertSettings, Sources

if TYPE_CHECKING:
    from gatewright.control.node import Node


class Watching:
    """The alerting of a node, with requests counted for it for as long as anything is watched."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._counts = node.counting.counts
        sources = Sources(self._page, self._counts.take, node.counting.fill)
        self.alerting = Alerting(node.state.silences, sources)

    async def use(self, settings: AlertSettings) -> None:
        """Watch this from now on."""
        traffic, is_wanted = self.alerting.traffic, settings.enabled and settings.counts_requests
        if is_wanted:
            # First: a budget that is filled before misses what comes until then.
            await asyncio.to_thread(self._counts.attach, traffic)
        await self.alerting.use(settings)
        if not is_wanted:
            await asyncio.to_thread(self._counts.detach, traffic)

    def _page(self) -> str:
        from gatewright.metrics.page import exposition  # noqa: PLC0415 - it knows the node.

        return exposition(self._node).decode()

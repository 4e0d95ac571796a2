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
        await self.alerting.use(settings)
        is_wanted = settings.enabled and settings.counts_requests
        change = self._counts.attach if is_wanted else self._counts.detach
        await asyncio.to_thread(change, self.alerting.traffic)

    def _page(self) -> str:
        from gatewright.metrics.page import exposition  # noqa: PLC0415 - it knows the node.

        return exposition(self._node).decode()

"""Joins alerting with the node: its records, its metrics and its configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatewright.insight.alerting import Alerting, AlertSettings, Places
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings

if TYPE_CHECKING:
    from gatewright.control.node import Node

# Alerts may be a moment late; a batch costs less than its records one by one.
LANE = LaneSettings(batch_wait=0.2)


class Watching:
    """The alerting of a node, with a lane of records for as long as anything is watched."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lane: Lane | None = None
        self.alerting = Alerting(Places(node.state.silences, node.state.objectives), self._page)

    async def use(self, settings: AlertSettings) -> None:
        """Watch this from now on."""
        await self.alerting.use(settings)
        if settings.enabled and self._lane is None:
            self._lane = self._node.records.attach(self.alerting.traffic, LANE)
        elif not settings.enabled and self._lane is not None:
            lane, self._lane = self._lane, None
            await asyncio.to_thread(self._node.records.detach, lane)

    def _page(self) -> str:
        from gatewright.metrics.page import exposition  # noqa: PLC0415 - it knows the node.

        return exposition(self._node).decode()

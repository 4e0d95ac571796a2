"""Lets a node count its records: roll-ups as the live configuration wants them, in a lane of their own."""

from __future__ import annotations

from gatewright.insight.rollups import RollupSettings, RollupSink
from gatewright.records.lane import Lane
from gatewright.records.worker import RecordWorker


class Counting:
    """The lane of roll-ups, or none. Used by one thread at a time."""

    def __init__(self, worker: RecordWorker) -> None:
        self._worker = worker
        self._lane: Lane | None = None
        self.sink: RollupSink | None = None

    def use(self, settings: RollupSettings | None) -> None:
        """Count as these say from now on; with `None` not at all. Blocks while what is there is written."""
        if settings is not None and self.sink is not None:
            # In place: with two of them at one time, records would be counted twice or not at all.
            self.sink.use(settings)
        elif settings is not None:
            self.sink = RollupSink(settings)
            self._lane = self._worker.attach(self.sink)
        elif self._lane is not None:
            self._worker.detach(self._lane)
            self._lane = self.sink = None

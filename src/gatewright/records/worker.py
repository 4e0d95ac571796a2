"""The record worker: takes chunks of records from the data plane and offers each to every lane, none waiting
for another.

One thread takes; each sink has a lane of its own (`lane.py`), so that a dead sink costs memory and disk up to
a bound and nothing else. Lanes are those of `records.sinks`, and those that parts of the gateway attach.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gatewright.records.batch import Chunk
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings
from gatewright.records.sink import Sink
from gatewright.records.tally import SinkCounts

log = logging.getLogger("gatewright.records")

CHUNK_BYTES = 1 << 20
# What lanes share is cut once for all of them; a lane with smaller batches cuts for itself.
CHUNK_RECORDS = 1000
TAKE_SECONDS = 0.5


class RecordSource(Protocol):
    """Where records come from: the engine."""

    def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Outlet:
    """A sink of the configuration, with how it is delivered to. `key` says whether two are the same."""

    key: str
    sink: Sink
    settings: LaneSettings


class RecordWorker:
    """Moves records from the data plane to the sinks until it is closed."""

    def __init__(self, source: RecordSource) -> None:
        self._source = source
        # By key; and those that are attached. Replaced as a whole, so that the taking thread needs no lock.
        self._configured: dict[str, Lane] = {}
        self._attached: tuple[Lane, ...] = ()
        self._lanes: tuple[Lane, ...] = ()
        self._changing = threading.Lock()
        self._ending = threading.Event()
        # What is taken before there are sinks would be lost, and requests come as soon as a node listens.
        self._has_sinks = threading.Event()
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def keys(self) -> frozenset[str]:
        """Which sinks of the configuration have a lane."""
        return frozenset(self._configured)

    def use(self, kept: Iterable[str], added: Sequence[Outlet], seconds: float = 5.0) -> None:
        """Send from now on to the lanes of the keys `kept` and to those `added`; the others get up to
        `seconds`, all together, to store what they hold. Attached ones stay. Blocks.
        """
        wanted = set(kept)
        with self._changing:
            before = [lane for key, lane in self._configured.items() if key not in wanted]
            configured = {key: lane for key, lane in self._configured.items() if key in wanted}
            self._configured = configured | {one.key: Lane(one.sink, one.settings) for one in added}
            self._lanes = (*self._configured.values(), *self._attached)
        self._has_sinks.set()
        close_all(before, seconds)

    def attach(self, sink: Sink, settings: LaneSettings = LaneSettings()) -> Lane:  # noqa: B008 - frozen.
        """Send records from now on to a sink of the gateway's own too, whatever `records.sinks` says."""
        lane = Lane(sink, settings)
        with self._changing:
            self._attached = (*self._attached, lane)
            self._lanes = (*self._configured.values(), *self._attached)
        return lane

    def detach(self, lane: Lane, seconds: float = 5.0) -> None:
        """Take an attached sink out again, once it has stored what it holds. Blocks."""
        with self._changing:
            self._attached = tuple(one for one in self._attached if one is not lane)
            self._lanes = (*self._configured.values(), *self._attached)
        lane.close(seconds)

    def reopen(self) -> None:
        """Ask every sink to open its files anew (after a rotation)."""
        for lane in self._lanes:
            lane.sink.reopen()

    def close(self, seconds: float) -> None:
        """Take what the data plane still holds, store it, end. Call after the data plane has drained.
        Blocks.
        """
        self._ending.set()
        self._has_sinks.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        close_all(self._lanes, seconds)

    def sinks(self) -> list[Sink]:
        return [lane.sink for lane in self._lanes]

    def counts(self) -> list[SinkCounts]:
        return [lane.counts() for lane in self._lanes]

    def _run(self) -> None:
        self._has_sinks.wait()
        while True:
            # Read before taking: only an empty take that began after the end was asked for proves that all
            # is taken.
            ending = self._ending.is_set()
            try:
                lines = self._source.next_records(CHUNK_BYTES, TAKE_SECONDS)
            except Exception:
                log.exception("records cannot be taken")
                if self._ending.wait(TAKE_SECONDS):
                    return
                continue
            if lines is None:
                if ending:
                    return
                continue
            for chunk in Chunk(lines).cut(CHUNK_RECORDS):
                for lane in self._lanes:
                    lane.offer(chunk)


def close_all(lanes: Sequence[Lane], seconds: float) -> None:
    """Close lanes at one time, so that several dead ones take no longer than one."""
    for lane in lanes:
        lane.finish()
    until = time.monotonic() + seconds
    for lane in lanes:
        lane.close(max(0.0, until - time.monotonic()))

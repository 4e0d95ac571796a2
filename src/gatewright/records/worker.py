"""The record worker: takes batches from the data plane and hands each to every sink, none waiting for
another.

One thread takes; each sink has a thread and a bounded queue of its own (a lane). A lane whose queue is
full drops its oldest batch and counts it, so that a dead sink costs memory up to a bound and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gatewright.records.sink import Sink, SinkError

log = logging.getLogger("gatewright.records")

BATCH_BYTES = 1 << 20
TAKE_SECONDS = 0.5
# Bytes and not batches: at low rates a batch holds one record, and a second of a slow sink must not lose any.
QUEUED_BYTES = 32 << 20
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 10.0
ATTEMPTS = 20


class RecordSource(Protocol):
    """Where batches come from: the engine."""

    def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """What became of the records of one sink."""

    name: str
    stored: int
    dropped: int
    failures: int
    queued: int


class Lane:
    """One sink with its queue and its thread."""

    def __init__(self, sink: Sink, queued_bytes: int = QUEUED_BYTES) -> None:
        self.sink = sink
        self._limit = queued_bytes
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._finishing = False
        self._stored = self._dropped = self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        self._thread.start()

    def offer(self, lines: bytes) -> None:
        """Queue a batch; the oldest ones are dropped and counted when the queue is full. Never waits."""
        with self._changed:
            while self._queue and self._bytes + len(lines) > self._limit:
                self._dropped += count(self._taken())
            self._queue.append(lines)
            self._bytes += len(lines)
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Store what is queued, for at most `seconds`; what is left then is dropped and counted."""
        with self._changed:
            self._finishing = True
            self._changed.notify()
        self._thread.join(seconds)
        # From here on a retry no longer waits, so the thread ends after the attempt that is under way.
        self._ending.set()
        self._thread.join(1.0)

    def counts(self) -> SinkCounts:
        with self._changed:
            queued = sum(map(count, self._queue))
            return SinkCounts(self.sink.name, self._stored, self._dropped, self._failures, queued)

    def _run(self) -> None:
        while (lines := self._next()) is not None:
            stored = self._store(lines)
            with self._changed:
                self._stored += count(lines) if stored else 0
                self._dropped += 0 if stored else count(lines)
        self.sink.close()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._finishing)
            return self._taken() if self._queue else None

    def _taken(self) -> bytes:
        lines = self._queue.popleft()
        self._bytes -= len(lines)
        return lines

    def _store(self, lines: bytes) -> bool:
        delay = FIRST_RETRY_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.sink.write(lines)
            except SinkError as error:
                self._failed(error, attempt)
            except Exception as error:
                self._failed(error, attempt)
            else:
                return True
            if self._ending.wait(delay):
                return False
            delay = min(delay * 2, LONGEST_RETRY_SECONDS)
        return False

    def _failed(self, error: Exception, attempt: int) -> None:
        with self._changed:
            self._failures += 1
        level = logging.WARNING if isinstance(error, SinkError) else logging.ERROR
        fields = {"sink": self.sink.name, "attempt": attempt, "error": str(error)}
        log.log(level, "sink failed", extra=fields)


class RecordWorker:
    """Moves records from the data plane to the sinks until it is closed."""

    def __init__(self, source: RecordSource) -> None:
        self._source = source
        self._lanes: tuple[Lane, ...] = ()
        self._ending = threading.Event()
        # What is taken before there are sinks would be lost, and requests come as soon as a node listens.
        self._has_sinks = threading.Event()
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def use(self, sinks: Sequence[Sink], seconds: float = 5.0) -> None:
        """Send from now on to `sinks` alone; earlier ones get up to `seconds` each to store what they
        hold. Blocks.
        """
        before, self._lanes = self._lanes, tuple(Lane(sink) for sink in sinks)
        self._has_sinks.set()
        for lane in before:
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
        for lane in self._lanes:
            lane.close(seconds)

    def counts(self) -> list[SinkCounts]:
        return [lane.counts() for lane in self._lanes]

    def _run(self) -> None:
        self._has_sinks.wait()
        while True:
            # Read before taking: only an empty take that began after the end was asked for proves that all
            # is taken.
            ending = self._ending.is_set()
            try:
                lines = self._source.next_records(BATCH_BYTES, TAKE_SECONDS)
            except Exception:
                log.exception("records cannot be taken")
                if self._ending.wait(TAKE_SECONDS):
                    return
                continue
            if lines is None:
                if ending:
                    return
                continue
            for lane in self._lanes:
                lane.offer(lines)


def count(lines: bytes) -> int:
    """How many records a batch holds."""
    return lines.count(b"\n")

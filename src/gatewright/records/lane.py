"""A lane: one sink with its queue, its thread and its spill.

Records are stored in the order in which they come. What is in flight is older than what is spilled, and that
older than what waits in memory: a second thread, the spiller, moves the oldest from memory to disk when the
sink is slow or dead. So the thread that offers never waits for a disk, and the sink never for the spiller.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque

from gatewright.records.batch import Batch, Chunk, seconds_of
from gatewright.records.settings import LaneSettings
from gatewright.records.sink import RejectedError, Sink, SinkError
from gatewright.records.spill import Spill
from gatewright.records.tally import SinkCounts, Tally

log = logging.getLogger("gatewright.records")

# What waits for longer than this although its batch is due is spilled: a process that is killed loses memory.
PATIENCE_SECONDS = 2.0
# At most this much is moved at a time, so that a sink that has come back waits little.
MOVED_BYTES = 4 << 20
# How long after a failure to spill another attempt is made, and between two looks whether the directory is
# free.
SPILL_PAUSE_SECONDS = 1.0
# An error that is no `SinkError` is a fault of ours, and mostly comes again with the same batch.
FAULT_ATTEMPTS = 5
STUCK_SECONDS = 1.0
# How long it may take at the end to have on disk what is left.
LEAVING_SECONDS = 10.0


class Lane:
    """One sink with its queue and its threads, which begin at once."""

    def __init__(self, sink: Sink, settings: LaneSettings = LaneSettings()) -> None:  # noqa: B008 - frozen.
        self.sink = sink
        self.settings = settings
        self.tally = Tally(sink.name)
        self._queue: deque[Chunk] = deque()
        self._bytes = self._records = 0
        # Guards all that follows.
        self._changed = threading.Condition()
        self._in_flight: Batch | None = None
        # What the spiller has taken from the queue and not spilled yet.
        self._moving: deque[Chunk] = deque()
        self._is_moving = self._is_finishing = False
        # Whether the thread sees to what is left, or whoever closes where it is stuck; and whether that was
        # taken.
        self._is_leaving = self._is_abandoned = self._has_left = False
        self._left = threading.Event()
        self._ending = threading.Event()
        self._spill = Spill(settings.spill, self.tally.lost) if settings.spill is not None else None
        self._spill_pause_until = 0.0
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        self._spiller = threading.Thread(target=self._run_spiller, name=f"spill-{sink.name}", daemon=True)
        self._thread.start()
        if self._spill is not None:
            self._spiller.start()

    def offer(self, chunk: Chunk) -> None:
        """Queue a chunk; the oldest ones are dropped and counted when the queue is full. Never waits."""
        lost = 0
        with self._changed:
            for part in chunk.cut(self.settings.batch_records):
                while self._queue and self._bytes + len(part.lines) > self.settings.queue_bytes:
                    lost += self._taken().count
                self._put(part)
            self._changed.notify_all()
        self.tally.lost("queue_full", lost)

    def finish(self) -> None:
        """Ask for the end: what is queued is stored first. Does not wait."""
        with self._changed:
            self._is_finishing = True
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Store what is queued, for at most `seconds`; what is left then stays in the spill, or is dropped
        and counted.
        """
        self.finish()
        self._thread.join(seconds)
        # From here on a retry no longer waits, so the thread ends after the attempt that is under way.
        self._ending.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(STUCK_SECONDS)
        if not self._thread.is_alive():
            return
        with self._changed:
            is_leaving, batch = self._is_leaving, None
            if not is_leaving:
                batch, self._in_flight, self._is_abandoned = self._in_flight, None, True
        if is_leaving:
            self._left.wait(LEAVING_SECONDS)
        else:
            self._leave(batch)

    def counts(self) -> SinkCounts:
        now, tally, spill = time.monotonic(), self.tally, self._spill
        with self._changed:
            queued, queued_bytes = self._records, self._bytes
            in_flight = self._in_flight.count if self._in_flight else 0
            waiting = self._in_flight.chunks[0] if self._in_flight else None
            if waiting is None and not (spill and spill.records) and self._queue:
                waiting = self._queue[0]
        oldest = seconds_of(waiting.id) if waiting else spill.oldest if spill else None
        return SinkCounts(
            name=self.sink.name,
            stored=tally.stored,
            drops=dict(tally.drops),
            failures=tally.failures,
            queued=queued,
            queued_bytes=queued_bytes,
            in_flight=in_flight,
            spilled=spill.records if spill else 0,
            spilled_bytes=spill.size if spill else 0,
            since_success=now - tally.last_success,
            lag=max(0.0, time.time() - oldest) if oldest is not None else 0.0,
            batches=tally.batches(),
        )

    def _run(self) -> None:
        self._open_spill()
        while (batch := self._next()) is not None and self._store(batch):
            pass
        self._ending.set()
        with self._changed:
            self._changed.notify_all()
            batch, self._in_flight = self._in_flight, None
            self._is_leaving = not self._is_abandoned
        if self._is_leaving:
            self._leave(batch)
        self.sink.close()

    def _next(self) -> Batch | None:
        while (chunks := self._chunks()) is not None:
            if not chunks:
                continue
            batch = Batch(chunks)
            with self._changed:
                self._in_flight = batch
            return batch
        return None

    def _chunks(self) -> list[Chunk] | None:
        """The oldest chunks that are due; none when it is time to look again, `None` at the end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_moving)
            if self._ending.is_set():
                return None
            if not self._has_spilled():
                wait = self._until_due()
                if wait is None and self._is_finishing:
                    return None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    return []
                return self._group()
        return self._unspilled()

    def _until_due(self) -> float | None:
        """Seconds until the next batch is due; `None` while nothing waits."""
        if not self._queue:
            return None
        settings = self.settings
        is_full = self._records >= settings.batch_records or self._bytes >= settings.batch_bytes
        if is_full or self._is_finishing:
            return 0.0
        return self._queue[0].arrived + settings.batch_wait - time.monotonic()

    def _group(self) -> list[Chunk]:
        chunks, settings = [self._taken()], self.settings
        records, size = chunks[0].count, len(chunks[0].lines)
        while self._queue:
            records, size = records + self._queue[0].count, size + len(self._queue[0].lines)
            if records > settings.batch_records or size > settings.batch_bytes:
                break
            chunks.append(self._taken())
        return chunks

    def _unspilled(self) -> list[Chunk]:
        spill = self._spill
        if spill is None:
            return []
        try:
            chunks = spill.take(self.settings.batch_records, self.settings.batch_bytes)
        except OSError as error:
            self._spill_failed("spilled records cannot be read", error)
            self._ending.wait(SPILL_PAUSE_SECONDS)
            return []
        if not chunks:
            spill.commit()
        return chunks

    def _put(self, chunk: Chunk) -> None:
        self._queue.append(chunk)
        self._bytes += len(chunk.lines)
        self._records += chunk.count

    def _taken(self) -> Chunk:
        chunk = self._queue.popleft()
        self._bytes -= len(chunk.lines)
        self._records -= chunk.count
        return chunk

    def _store(self, batch: Batch) -> bool:
        """Try until the batch is stored or given up; `False` when the lane ends before."""
        began, delay, attempt = time.monotonic(), self.settings.retry.first, 1
        while (asked := self._attempt(batch, attempt, began)) is not None:
            self._secure(batch)
            # A sink that fails now is not waited for at the end when the spill keeps its records.
            if self._is_finishing and self._has_spill():
                return False
            spread = random.uniform(0.75, 1.25)  # noqa: S311 - keeps lanes from trying in step.
            if self._ending.wait(max(delay * spread, asked)):
                return False
            delay, attempt = min(delay * 2, self.settings.retry.longest), attempt + 1
        return True

    def _attempt(self, batch: Batch, attempt: int, began: float) -> float | None:
        """How long the store wants to be left alone before the batch is tried again; `None` when the batch
        is done with, for better or worse.
        """
        try:
            self.sink.write(batch)
        except RejectedError as error:
            self._failed(error, attempt)
            self._done(batch, began, {"rejected": min(error.records, batch.count)})
            return None
        except Exception as error:
            self._failed(error, attempt)
            is_fault = not isinstance(error, SinkError)
            most = FAULT_ATTEMPTS if is_fault else self.settings.retry.attempts
            if most is None or attempt < most:
                return getattr(error, "wait", None) or 0.0
            self._done(batch, began, {"fault" if is_fault else "attempts": batch.count})
            return None
        self._done(batch, began, {})
        return None

    def _failed(self, error: Exception, attempt: int) -> None:
        self.tally.failure(error, time.monotonic())
        if attempt & (attempt - 1):
            # Attempts 1, 2, 4, 8, ...: a store that is down for a day must not fill the log.
            return
        level = logging.WARNING if isinstance(error, SinkError) else logging.ERROR
        fields = {"sink": self.sink.name, "attempt": attempt, "error": str(error)}
        log.log(level, "sink failed", extra=fields)

    def _done(self, batch: Batch, began: float, lost: dict[str, int]) -> None:
        with self._changed:
            if self._is_abandoned:
                return
            self._in_flight = None
        now, stored = time.monotonic(), batch.count - sum(lost.values())
        if stored or not lost:
            self.tally.success(stored, now - began, now)
        for reason, records in lost.items():
            self.tally.lost(reason, records)
        if self._spill is not None:
            self._spill.commit()

    def _has_spill(self) -> bool:
        return self._spill is not None and self._spill.is_open

    def _has_spilled(self) -> bool:
        return self._spill is not None and self._spill.is_open and self._spill.records > 0

    def _open_spill(self) -> bool:
        try:
            return self._spill is not None and self._spill.open()
        except OSError as error:
            self._spill_failed("spill cannot be opened", error)
            return False

    def _secure(self, batch: Batch) -> None:
        """Have what failed once on disk, so that it outlives this process."""
        if self._spill is None or not self._spill.is_open:
            return
        try:
            self._spill.secure(batch.chunks)
        except OSError as error:
            self._spill_failed("records cannot be spilled", error)

    def _spill_failed(self, event: str, error: OSError) -> None:
        self._spill_pause_until = time.monotonic() + SPILL_PAUSE_SECONDS
        log.warning(event, extra={"sink": self.sink.name, "error": error.strerror or str(error)})

    def _run_spiller(self) -> None:
        while not self._ending.is_set():
            pause = self._spill_pause_until - time.monotonic()
            if pause > 0:
                self._ending.wait(pause)
            elif not self._has_spill():
                # Another process, from which this one takes over, may have it still.
                if not self._open_spill():
                    self._ending.wait(SPILL_PAUSE_SECONDS)
                with self._changed:
                    self._changed.notify_all()
            else:
                self._take_excess()
                self._move()

    def _take_excess(self) -> None:
        """Take what is to be spilled, the oldest first; waits where that is nothing."""
        with self._changed:
            if self._ending.is_set():
                return
            if not self._queue:
                self._changed.wait()
                return
            until = self._queue[0].arrived + self.settings.batch_wait + PATIENCE_SECONDS
            wait = until - time.monotonic()
            if self._bytes <= self.settings.queue_bytes // 2 and wait > 0:
                self._changed.wait(wait)
                return
            self._is_moving = True
            size = 0
            while self._queue and size < MOVED_BYTES:
                self._moving.append(self._taken())
                size += len(self._moving[-1].lines)

    def _move(self) -> None:
        while self._spill is not None and (chunk := self._next_to_move()) is not None:
            try:
                self._spill.append(chunk)
            except OSError as error:
                self._spill_failed("records cannot be spilled", error)
                self._put_back(chunk)
                break
        with self._changed:
            while self._moving:
                chunk = self._moving.pop()
                self._queue.appendleft(chunk)
                self._bytes += len(chunk.lines)
                self._records += chunk.count
            self._is_moving = False
            self._changed.notify_all()

    def _next_to_move(self) -> Chunk | None:
        with self._changed:
            return self._moving.popleft() if self._moving else None

    def _put_back(self, chunk: Chunk) -> None:
        with self._changed:
            if not self._has_left:
                self._moving.appendleft(chunk)
                return
        # Nobody sees to it any more.
        self.tally.lost("ended", chunk.count)

    def _leave(self, batch: Batch | None) -> None:
        """At the end: what is not stored stays on disk for the next process; what cannot is dropped."""
        if self._spill is not None:
            self._spiller.join(STUCK_SECONDS)
        with self._changed:
            left = deque([*self._moving, *self._queue])
            self._moving.clear()
            self._queue.clear()
            self._bytes = self._records = 0
            self._has_left = True
        is_secure = batch is None
        if self._spill is not None and self._open_spill():
            try:
                if batch is not None:
                    self._spill.secure(batch.chunks)
                is_secure = True
                while left:
                    self._spill.append(left[0])
                    left.popleft()
            except OSError as error:
                self._spill_failed("records cannot be spilled", error)
        if self._spill is not None:
            self._spill.close()
        lost = sum(chunk.count for chunk in left)
        self.tally.lost("ended", lost + (batch.count if batch is not None and not is_secure else 0))
        self._left.set()

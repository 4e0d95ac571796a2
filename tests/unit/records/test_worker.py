"""The record worker: no sink waits for another, nothing grows without bound, everything lost is counted."""

import queue
import threading

import pytest

from gatewright.records.sink import SinkError
from gatewright.records.worker import Lane, RecordWorker


class Stored:
    """Keeps what it is given."""

    name = "stored"

    def __init__(self) -> None:
        self.batches: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.closed = threading.Event()

    def write(self, lines: bytes) -> None:
        self.batches.put(lines)

    def reopen(self) -> None: ...

    def close(self) -> None:
        self.closed.set()


class Stuck(Stored):
    """Stores nothing until it is let go."""

    name = "stuck"

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def write(self, lines: bytes) -> None:
        self.entered.set()
        self.let_go.wait(10)
        super().write(lines)


class Failing(Stored):
    """Fails a number of times, then stores."""

    name = "failing"

    def __init__(self, failures: int, error: Exception) -> None:
        super().__init__()
        self.left = failures
        self.error = error

    def write(self, lines: bytes) -> None:
        if self.left:
            self.left -= 1
            raise self.error
        super().write(lines)


def test_a_stuck_sink_delays_no_other_sink(engine) -> None:
    worker, stuck, stored = RecordWorker(engine), Stuck(), Stored()
    worker.use([stuck, stored])
    worker.start()
    engine.records.put(b'{"a":1}\n')
    assert stored.batches.get(timeout=5) == b'{"a":1}\n'
    assert stuck.batches.empty()
    stuck.let_go.set()
    worker.close(5)
    assert stuck.batches.get(timeout=5) == b'{"a":1}\n'


def test_a_full_lane_drops_its_oldest_batch_and_counts_its_records() -> None:
    sink = Stuck()
    lane = Lane(sink, queued_bytes=7)
    lane.offer(b"taken\n")
    assert sink.entered.wait(5)
    for batch in (b"1\n2\n3\n", b"4\n", b"5\n"):
        lane.offer(batch)
    assert lane.counts().dropped == 3
    assert lane.counts().queued == 2
    sink.let_go.set()
    lane.close(5)
    assert [sink.batches.get(timeout=1) for _ in range(3)] == [b"taken\n", b"4\n", b"5\n"]
    assert lane.counts().stored == 3


@pytest.mark.parametrize("error", [SinkError("full"), ValueError("a fault of ours")])
def test_a_failed_batch_is_tried_again(error: Exception) -> None:
    sink = Failing(1, error)
    lane = Lane(sink)
    lane.offer(b"1\n")
    assert sink.batches.get(timeout=5) == b"1\n"
    lane.close(5)
    counts = lane.counts()
    assert (counts.stored, counts.failures, counts.dropped) == (1, 1, 0)


def test_closing_ends_a_sink_that_keeps_failing_and_counts_what_is_lost() -> None:
    sink = Failing(1000, SinkError("down"))
    lane = Lane(sink)
    lane.offer(b"1\n2\n")
    lane.close(0.01)
    assert sink.closed.wait(5)
    assert lane.counts().dropped == 2


def test_everything_the_data_plane_still_holds_is_stored_on_close(engine) -> None:
    worker, sink = RecordWorker(engine), Stored()
    worker.use([sink])
    for number in range(20):
        engine.records.put(b"%d\n" % number)
    worker.start()
    worker.close(5)
    assert sink.batches.qsize() == 20
    assert worker.counts()[0].stored == 20


def test_without_sinks_records_are_taken_and_forgotten(engine) -> None:
    worker = RecordWorker(engine)
    worker.use([])
    engine.records.put(b"1\n")
    worker.start()
    worker.close(5)
    assert engine.records.empty()


def test_replaced_sinks_store_what_they_hold_and_close(engine) -> None:
    worker, before, after = RecordWorker(engine), Stored(), Stored()
    worker.use([before])
    worker.start()
    engine.records.put(b"1\n")
    assert before.batches.get(timeout=5)
    worker.use([after])
    assert before.closed.is_set()
    engine.records.put(b"2\n")
    assert after.batches.get(timeout=5) == b"2\n"
    worker.close(5)


class Late:
    """Gives its only batch in the take after the one during which the end was asked for."""

    def __init__(self) -> None:
        self.worker: RecordWorker | None = None
        self.takes = iter([None, b"late\n"])

    def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None:
        if self.worker is not None:
            self.worker._ending.set()
        return next(self.takes, None)


def test_a_take_that_began_before_the_end_does_not_prove_that_all_is_taken() -> None:
    source, sink = Late(), Stored()
    source.worker = worker = RecordWorker(source)
    worker.use([sink])
    worker.start()
    assert sink.batches.get(timeout=5) == b"late\n"
    worker.close(5)


def test_nothing_is_taken_before_there_are_sinks() -> None:
    taken = threading.Event()

    class Source:
        def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None:
            taken.set()
            return None

    worker = RecordWorker(Source())
    worker.start()
    assert not taken.wait(0.05)
    worker.use([])
    assert taken.wait(5)
    worker.close(5)

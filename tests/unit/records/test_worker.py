"""The record worker: no sink waits for another, nothing grows without bound, everything lost is counted."""

import threading

from gatewright.records.settings import LaneSettings
from gatewright.records.sink import Sink
from gatewright.records.worker import Outlet, RecordWorker


def outlet(sink: Sink, key: str = "") -> Outlet:
    return Outlet(key or sink.name, sink, LaneSettings(batch_wait=0.0))


def test_a_stuck_sink_delays_no_other_sink(engine, stuck, stored) -> None:
    worker = RecordWorker(engine)
    worker.use([], [outlet(stuck), outlet(stored)])
    worker.start()
    engine.records.put(b'{"a":1}\n')
    assert stored.got() == b'{"a":1}\n'
    assert stuck.batches.empty()
    stuck.let_go.set()
    worker.close(5)
    assert stuck.got() == b'{"a":1}\n'


def test_everything_the_data_plane_still_holds_is_stored_on_close(engine, stored) -> None:
    worker = RecordWorker(engine)
    worker.use([], [outlet(stored)])
    for number in range(20):
        engine.records.put(b"%d\n" % number)
    worker.start()
    worker.close(5)
    assert stored.all() == b"".join(b"%d\n" % number for number in range(20))
    assert worker.counts()[0].stored == 20


def test_several_dead_sinks_take_no_longer_to_close_than_one(engine, failing) -> None:
    worker, sinks = RecordWorker(engine), [failing() for _ in range(8)]
    worker.use([], [outlet(sink, str(number)) for number, sink in enumerate(sinks)])
    worker.start()
    engine.records.put(b"1\n")
    assert all(sink.failed.wait(30) for sink in sinks)
    worker.close(0.2)
    assert all(sink.closed.wait(30) for sink in sinks)
    assert [counts.drops for counts in worker.counts()] == [{"ended": 1}] * 8


def test_without_sinks_records_are_taken_and_forgotten(engine) -> None:
    worker = RecordWorker(engine)
    worker.use([], [])
    engine.records.put(b"1\n")
    worker.start()
    worker.close(5)
    assert engine.records.empty()


def test_replaced_sinks_store_what_they_hold_and_close_and_others_stay(engine, failing) -> None:
    before, kept, after = (failing(failures=0) for _ in range(3))
    worker = RecordWorker(engine)
    worker.use([], [outlet(before, "before"), outlet(kept, "kept")])
    worker.start()
    engine.records.put(b"1\n")
    assert before.got() == kept.got() == b"1\n"
    worker.use(["kept"], [outlet(after, "after")])
    assert before.closed.is_set()
    assert not kept.closed.is_set()
    assert worker.keys() == {"kept", "after"}
    engine.records.put(b"2\n")
    assert after.got() == kept.got() == b"2\n"
    worker.close(5)


def test_an_attached_sink_stays_whatever_the_configuration_says_until_it_is_detached(engine, stored) -> None:
    worker = RecordWorker(engine)
    lane = worker.attach(stored, LaneSettings(batch_wait=0.0))
    worker.start()
    worker.use([], [])
    engine.records.put(b"1\n")
    assert stored.got() == b"1\n"
    worker.use([], [])
    assert not stored.closed.is_set()
    assert [counts.name for counts in worker.counts()] == ["stored"]
    worker.detach(lane)
    assert stored.closed.is_set()
    assert worker.counts() == []
    worker.close(5)


def test_lanes_share_chunks_of_a_bounded_number_of_records(engine, stored) -> None:
    worker = RecordWorker(engine)
    worker.use([], [Outlet("a", stored, LaneSettings(batch_wait=0.0, batch_records=100_000))])
    engine.records.put(b"1\n" * 2500)
    worker.start()
    worker.close(5)
    assert stored.all() == b"1\n" * 2500
    assert worker.counts()[0].stored == 2500


class Late:
    """Gives its only batch in the take after the one during which the end was asked for."""

    def __init__(self) -> None:
        self.worker: RecordWorker | None = None
        self.takes = iter([None, b"late\n"])

    def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None:
        if self.worker is not None:
            self.worker._ending.set()
        return next(self.takes, None)


def test_a_take_that_began_before_the_end_does_not_prove_that_all_is_taken(stored) -> None:
    source = Late()
    source.worker = worker = RecordWorker(source)
    worker.use([], [outlet(stored)])
    worker.start()
    assert stored.got() == b"late\n"
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
    worker.use([], [])
    assert taken.wait(30)
    worker.close(5)

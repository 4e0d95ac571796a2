"""A lane: bounded, in order, and everything that it does not store is spilled or counted."""

import dataclasses
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright.records import lane as module
from gatewright.records import tally
from gatewright.records.batch import Chunk
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings, RetrySettings, SpillSettings
from gatewright.records.sink import RejectedError, SinkError
from gatewright.records.spill import Spill

QUICK = RetrySettings(first=0.005, longest=0.01)


def spilling(directory: Path, **changes: Any) -> LaneSettings:
    plain = LaneSettings(batch_wait=0.0, retry=QUICK, spill=SpillSettings(directory))
    return dataclasses.replace(plain, **changes)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever waits is spilled at once."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.2)


def told(event: logging.LogRecord, *names: str) -> tuple[object, ...]:
    return tuple(getattr(event, name) for name in names)


def offer(lane: Lane, *lines: bytes) -> None:
    for line in lines:
        lane.offer(Chunk(line))


def settled(lane: Lane, is_so: Callable[[Any], bool]) -> Any:
    """The counts once they are as wanted."""
    until = module.time.monotonic() + 60
    while not is_so(counts := lane.counts()):
        assert module.time.monotonic() < until, counts
        module.time.sleep(0.002)
    return counts


def test_a_full_lane_drops_its_oldest_batch_and_counts_its_records(stuck) -> None:
    lane = Lane(stuck, LaneSettings(queue_bytes=7, batch_wait=0.0, batch_records=3))
    offer(lane, b"taken\n")
    assert stuck.entered.wait(5)
    offer(lane, b"1\n2\n3\n", b"4\n", b"5\n")
    counts = lane.counts()
    assert counts.drops == {"queue_full": 3}
    assert (counts.queued, counts.queued_bytes, counts.in_flight) == (2, 4, 1)
    stuck.let_go.set()
    lane.close(5)
    assert stuck.all() == b"taken\n4\n5\n"
    assert lane.counts().stored == 3


@pytest.mark.parametrize("error", [SinkError("full"), ValueError("a fault of ours")])
def test_a_failed_batch_is_tried_again(failing, error: Exception) -> None:
    sink = failing(error, failures=2)
    lane = Lane(sink, LaneSettings(retry=QUICK))
    offer(lane, b"1\n")
    assert sink.got() == b"1\n"
    lane.close(5)
    counts = lane.counts()
    assert (counts.stored, counts.failures, counts.dropped) == (1, 2, 0)


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        (SinkError("down"), 3, "attempts"),
        (ValueError("ours"), None, "fault"),
        (RejectedError("no", 1), None, "rejected"),
    ],
)
def test_what_is_given_up_is_counted_and_the_next_batch_is_stored(
    failing, error: Exception, attempts: int | None, reason: str
) -> None:
    tried = {"attempts": 3, "fault": module.FAULT_ATTEMPTS, "rejected": 1}[reason]
    sink = failing(error, failures=tried)
    lane = Lane(sink, LaneSettings(batch_records=1, retry=RetrySettings(0.001, 0.001, attempts)))
    offer(lane, b"1\n", b"2\n")
    assert sink.got() == b"2\n"
    lane.close(5)
    counts = lane.counts()
    assert (counts.drops, counts.stored, counts.failures) == ({reason: 1}, 1, tried)


def test_a_partly_rejected_batch_counts_what_was_stored(failing) -> None:
    lane = Lane(failing(RejectedError("one of three", 1), failures=1))
    offer(lane, b"1\n2\n3\n")
    lane.close(5)
    assert (lane.counts().stored, lane.counts().drops) == (2, {"rejected": 1})


def test_closing_ends_a_sink_that_keeps_failing_and_counts_what_is_lost(failing) -> None:
    sink = failing()
    lane = Lane(sink, LaneSettings(batch_wait=0.0))
    offer(lane, b"1\n2\n")
    assert sink.failed.wait(5)
    offer(lane, b"3\n")
    lane.close(0.01)
    assert sink.closed.wait(5)
    assert lane.counts().drops == {"ended": 3}
    assert lane.counts().queued == 0


def test_records_are_batched_by_number_bytes_and_wait(stored) -> None:
    lane = Lane(stored, LaneSettings(batch_records=3, batch_bytes=100, batch_wait=30.0))
    offer(lane, b"1\n", b"2\n", b"3\n")
    assert stored.got() == b"1\n2\n3\n"
    offer(lane, b"1\n2\n3\n4\n")
    assert stored.got() == b"1\n2\n3\n"
    offer(lane, b"x" * 60 + b"\n", b"y" * 60 + b"\n")
    # The fourth record and one of the long ones; both would be more than 100 bytes.
    assert stored.got() == b"4\n" + b"x" * 60 + b"\n"
    lane.close(5)
    assert stored.got() == b"y" * 60 + b"\n"
    waiting = Lane(stored, LaneSettings(batch_records=1000, batch_wait=0.02))
    offer(waiting, b"1\n")
    assert stored.got() == b"1\n"
    waiting.close(5)


@pytest.mark.usefixtures("impatient")
def test_a_dead_sink_gets_everything_in_order_once_it_is_back(failing, tmp_path: Path) -> None:
    sink = failing()
    lane = Lane(sink, spilling(tmp_path, batch_records=7))
    lines = [b"%05d\n" % number for number in range(2000)]
    offer(lane, *lines[:1000])
    spilled = settled(lane, lambda counts: counts.spilled > 900)
    assert spilled.spilled_bytes > 6000
    assert spilled.lag > 0
    sink.works.set()
    offer(lane, *lines[1000:])
    counts = settled(lane, lambda counts: counts.stored == 2000)
    lane.close(5)
    assert sink.all() == b"".join(lines)
    assert counts.dropped == 0
    assert lane.counts().spilled_bytes == 0


@pytest.mark.usefixtures("impatient")
def test_what_a_dead_sink_did_not_take_is_stored_after_a_restart(failing, tmp_path: Path) -> None:
    dead = failing()
    lane = Lane(dead, spilling(tmp_path))
    lines = [b"%05d\n" % number for number in range(500)]
    offer(lane, *lines)
    assert dead.failed.wait(5)
    lane.close(5)
    assert lane.counts().dropped == 0
    again = failing(failures=0)
    after = Lane(again, spilling(tmp_path))
    settled(after, lambda counts: counts.stored == 500)
    after.close(5)
    assert again.all() == b"".join(lines)


@pytest.mark.usefixtures("impatient")
def test_a_sink_that_hangs_at_the_end_leaves_its_batch_and_the_rest_on_disk(
    stuck, stored, tmp_path: Path
) -> None:
    lane = Lane(stuck, spilling(tmp_path))
    offer(lane, b"1\n")
    assert stuck.entered.wait(5)
    offer(lane, b"2\n", b"3\n")
    lane.close(0.01)
    assert lane.counts().dropped == 0
    after = Lane(stored, spilling(tmp_path))
    settled(after, lambda counts: counts.stored == 3)
    after.close(5)
    assert stored.all() == b"1\n2\n3\n"
    stuck.let_go.set()


def test_a_sink_that_hangs_without_a_spill_loses_what_waits_and_says_so(stuck, monkeypatch) -> None:
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.05)
    lane = Lane(stuck, LaneSettings(batch_wait=0.0))
    offer(lane, b"1\n2\n")
    assert stuck.entered.wait(5)
    offer(lane, b"3\n")
    lane.close(0.01)
    assert lane.counts().drops == {"ended": 3}
    stuck.let_go.set()
    lane._thread.join(5)
    assert (lane.counts().stored, lane.counts().dropped) == (0, 3)
    assert stuck.closed.is_set()


class Held:
    """Makes the spill wait for a test around one append of a thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
        self.thread: threading.Thread | None = None
        self.begun, self.go_on = threading.Event(), threading.Event()
        append = Spill.append

        def held(spill: Spill, chunk: Chunk) -> None:
            if after:
                append(spill, chunk)
            if threading.current_thread() is self.thread:
                self.begun.set()
                assert self.go_on.wait(30)
            if not after:
                append(spill, chunk)

        monkeypatch.setattr(Spill, "append", held)


def test_a_lane_that_takes_long_to_leave_its_records_on_disk_loses_none(
    failing, stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.05)
    held, sink = Held(monkeypatch, after=True), failing()
    lane = Lane(sink, spilling(tmp_path))
    held.thread = lane._thread
    offer(lane, b"1\n")
    assert sink.failed.wait(30)
    offer(lane, b"2\n", b"3\n", b"4\n")
    closing = threading.Thread(target=lane.close, args=[0.01])
    closing.start()
    assert held.begun.wait(30)
    # Longer than whoever closes waits for one that is stuck.
    closing.join(0.3)
    held.go_on.set()
    closing.join(30)
    after = Lane(stored, spilling(tmp_path))
    settled(after, lambda counts: counts.stored == 4)
    after.close(5)
    assert stored.all() == b"1\n2\n3\n4\n"


@pytest.mark.usefixtures("impatient")
def test_what_a_stuck_spiller_holds_at_the_end_is_on_disk_or_counted(
    failing, stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch, after=False)
    lane = Lane(failing(), spilling(tmp_path, batch_records=1))
    held.thread = lane._spiller
    lines = [b"%02d\n" % number for number in range(20)]
    offer(lane, *lines)
    assert held.begun.wait(30)
    lane.close(0.01)
    held.go_on.set()
    lane._spiller.join(30)
    lane._thread.join(30)
    lost = lane.counts().dropped
    assert lane.counts().drops == {"ended": lost} == {"ended": 1}
    after = Lane(stored, spilling(tmp_path))
    settled(after, lambda counts: counts.stored + lost == 20)
    after.close(5)
    assert stored.all() in [b"".join(lines[:number] + lines[number + 1 :]) for number in range(20)]


@pytest.mark.usefixtures("impatient")
def test_a_batch_that_failed_once_outlives_a_kill(failing, stored, tmp_path: Path) -> None:
    lane = Lane(failing(), spilling(tmp_path / "a"))
    offer(lane, b"1\n")
    settled(lane, lambda counts: counts.spilled_bytes > 0)
    (tmp_path / "b").mkdir()
    # What a process that was killed leaves is what is on disk now.
    for path in (tmp_path / "a").iterdir():
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    after = Lane(stored, spilling(tmp_path / "b"))
    assert stored.got() == b"1\n"
    after.close(5)
    lane.close(0)


@pytest.mark.usefixtures("impatient")
def test_without_room_on_disk_memory_fills_and_the_oldest_are_dropped(failing, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sink = failing()
    lane = Lane(sink, spilling(tmp_path / "file", queue_bytes=60))
    offer(lane, b"00000\n")
    assert sink.failed.wait(5)
    offer(lane, *[b"%05d\n" % number for number in range(1, 21)])
    assert lane.counts().drops == {"queue_full": 10}
    sink.works.set()
    settled(lane, lambda counts: counts.stored == 11)
    lane.close(5)


@pytest.mark.usefixtures("impatient")
def test_above_the_size_of_the_spill_the_oldest_are_dropped_and_sent_is_stored_plus_dropped(
    failing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.records.spill.SMALLEST_SEGMENT", 0)
    sink = failing()
    lane = Lane(sink, spilling(tmp_path, spill=SpillSettings(tmp_path, 10_000)))
    lines = [b"%05d\n" % number for number in range(2000)]
    offer(lane, *lines)
    settled(lane, lambda counts: counts.queued == 0 and counts.drops.get("spill_full", 0) > 0)
    sink.works.set()
    # Not the end yet: an attempt that failed before leaves all that is spilled to the next process.
    settled(lane, lambda counts: counts.stored > 0)
    lane.close(10)
    counts, got = lane.counts(), sink.all().splitlines(keepends=True)
    assert counts.stored + counts.dropped == 2000
    assert len(got) == counts.stored
    assert got == sorted(got)
    assert got[-1] == lines[-1]


def test_a_spill_of_another_process_is_taken_over_when_it_is_free(
    failing, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "SPILL_PAUSE_SECONDS", 0.01)
    before, sink = Lane(failing(), spilling(tmp_path)), failing(failures=0)
    offer(before, b"1\n")
    settled(before, lambda counts: counts.spilled_bytes > 0)
    after = Lane(sink, spilling(tmp_path))
    offer(after, b"2\n")
    assert sink.got() == b"2\n"
    before.close(5)
    assert sink.got() == b"1\n"
    after.close(5)


def test_lost_records_raise_one_alert_a_minute_with_what_was_lost(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(tally.time, "monotonic", lambda: now[0])
    counting = tally.Tally("database")
    with caplog.at_level(logging.ERROR, "gatewright.alerts"):
        for at in (100.0, 110.0, 159.0, 161.0):
            now[0] = at
            counting.lost("queue_full", 10)
    said = [told(one, "alert", "sink", "reason", "records") for one in caplog.records]
    assert said == [
        ("records_dropped", "database", "queue_full", 10),
        ("records_dropped", "database", "queue_full", 30),
    ]
    assert counting.drops == {"queue_full": 40}


def test_a_sink_that_fails_for_long_raises_an_alert_and_one_that_stumbles_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counting, error = tally.Tally("database"), SinkError("refused")
    with caplog.at_level(logging.ERROR, "gatewright.alerts"):
        counting.failure(error, 100.0)
        counting.failure(error, 129.0)
        counting.success(1, 0.1, 130.0)
        counting.failure(error, 131.0)
        assert caplog.records == []
        counting.failure(error, 161.0)
        counting.failure(error, 170.0)
    assert [told(one, "alert", "sink", "seconds") for one in caplog.records] == [
        ("sink_failing", "database", 30)
    ]


def test_every_reason_to_drop_records_is_one_that_metrics_know() -> None:
    folder = Path(module.__file__).parent
    text = "".join((folder / name).read_text() for name in ("lane.py", "spill.py"))
    assert [reason for reason in tally.REASONS if f'"{reason}"' not in text] == []

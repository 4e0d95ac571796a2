"""Roll-ups: what they count, what they keep, and what they never count twice."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.counted import cell
from gatewright.insight import rollups
from gatewright.insight.counts import Counted
from gatewright.insight.lost import LostTimes
from gatewright.insight.rollup_files import HOURS, MINUTES, expire, open_file
from gatewright.insight.rollup_queries import count_rollups
from gatewright.insight.rollups import RollupSettings, RollupWriter
from gatewright.records.conditions import parse_condition
from gatewright.records.summary import Summary, SummaryQuestion, count_records

NOW = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
LATE = datetime(2026, 11, 26, 9, 15, tzinfo=UTC)


def counted_in(moment: datetime = NOW, total: float = 10.0, **changes: Any) -> Counted:
    """One request that began then."""
    bytes_of = {"request_bytes": 100, "response_bytes": 1000}
    start = int(moment.timestamp()) // 60 * 60
    return cell(start, ((total,), (1.0,), (9.0,)), **(bytes_of | changes))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[..., RollupWriter]]:
    """Makes writers that write when they are told to."""
    made: list[RollupWriter] = []

    def make(**changes: Any) -> RollupWriter:
        settings = replace(RollupSettings(tmp_path), **changes)
        made.append(RollupWriter(settings, lambda: None, lambda: NOW))
        return made[-1]

    yield make
    for one in made:
        one.close()


def counted(directory: Path, *group: str, where: tuple[str, ...] = (), **changes: Any) -> Summary:
    conditions = tuple(map(parse_condition, where))
    question = SummaryQuestion(NOW - timedelta(hours=1), NOW + timedelta(minutes=1), conditions, group)
    found = count_rollups(directory, replace(question, **changes))
    assert found is not None
    return found


def counts(summary: Summary) -> dict[tuple[object, ...], int]:
    return {group: total.count for group, total in summary.groups.items()}


def test_requests_are_counted_by_key_with_errors_bytes_and_latencies(writer, tmp_path: Path) -> None:
    one = writer()
    one.add([
        counted_in(),
        counted_in(status=503, total=90.0),
        counted_in(route_id="", backend_service=""),
    ])
    one.flush()
    total = counted(tmp_path, "route_id").groups["users",]
    assert (total.count, total.errors, total.request_bytes, total.response_bytes) == (2, 1, 200, 2000)
    assert total.latency.percentile(0.99) == pytest.approx(90, rel=0.022)
    assert counts(counted(tmp_path, "route_id")) == {("users",): 2, (None,): 1}
    assert counts(counted(tmp_path, "status")) == {(200,): 2, (503,): 1}
    assert counts(counted(tmp_path, where=("status>=500", "backend_service=users"))) == {(): 1}


def test_hours_and_days_are_written_less_often_and_miss_nothing(writer, tmp_path: Path) -> None:
    one = writer()
    for _ in range(3):
        one.add([counted_in()])
        one.flush(everything=False)
    assert counts(counted(tmp_path)) == {(): 3}
    assert counts(counted(tmp_path, since=NOW - timedelta(hours=24))) == {}
    one.add([counted_in()])
    one.close()
    for hours in (1, 24, 24 * 60):
        assert counts(counted(tmp_path, since=NOW - timedelta(hours=hours))) == {(): 4}


def test_a_late_request_counts_in_its_own_minute(writer, tmp_path: Path) -> None:
    one = writer()
    one.add([counted_in(LATE), counted_in()])
    one.flush()
    early = counted(tmp_path, since=LATE, until=LATE + timedelta(minutes=1))
    assert (counts(early), early.resolution) == ({(): 1}, "1m")
    assert counts(counted(tmp_path, since=LATE - timedelta(minutes=1), until=LATE)) == {}


@pytest.mark.parametrize(("length", "resolution"), [(1, "1m"), (6, "1m"), (24, "1h"), (24 * 60, "1d")])
def test_every_resolution_counts_the_same(writer, tmp_path: Path, length: int, resolution: str) -> None:
    one = writer()
    for minutes in range(0, 60, 7):
        one.add([counted_in(NOW - timedelta(minutes=minutes), total=minutes + 1.0)])
        one.flush()
    found = counted(tmp_path, "route_id", since=NOW - timedelta(hours=length))
    assert (counts(found), found.resolution) == ({("users",): 9}, resolution)
    assert found.groups["users",].latency.percentile(1.0) == pytest.approx(57, rel=0.022)


def test_processes_that_write_at_one_time_count_everything_once(tmp_path: Path) -> None:
    script = """
import json, sys
from datetime import timedelta
from pathlib import Path
from gatewright.insight.counts import Counted
from gatewright.insight.rollups import RollupSettings, RollupWriter
writer = RollupWriter(RollupSettings(Path(sys.argv[1]), timedelta(days=36500), interval=0.001), lambda: None)
writer.start()
for line in sys.stdin:
    writer.add([Counted._make(json.loads(line))] * 10)
    writer.flush()
writer.close()
"""
    lines = "".join(json.dumps(counted_in(route_id=f"r{number % 3}")) + "\n" for number in range(30))
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.close()
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert counts(counted(tmp_path, "route_id")) == {("r0",): 300, ("r1",): 300, ("r2",): 300}


def test_keys_that_another_process_made_are_found_at_once(writer, tmp_path: Path, caplog) -> None:
    one, two = writer(), writer()
    for each, route in ((one, "users"), (two, "new"), (one, "new"), (two, "users")):
        each.add([counted_in(route_id=route)])
        each.flush()
    assert counts(counted(tmp_path, "route_id")) == {("users",): 2, ("new",): 2}
    assert caplog.text == ""


def test_a_restart_in_the_middle_of_a_minute_goes_on_counting(writer, tmp_path: Path) -> None:
    first = writer()
    first.add([counted_in()])
    first.close()
    second = writer()
    second.add([counted_in()])
    second.flush()
    assert counts(counted(tmp_path)) == {(): 2}


def test_what_cannot_be_written_is_written_later_and_once(writer, tmp_path: Path, monkeypatch) -> None:
    one = writer()
    monkeypatch.setattr("gatewright.insight.rollup_files.BUSY_SECONDS", 0.01)
    one.add([counted_in()])
    one.flush()
    blocker = sqlite3.connect(tmp_path / "rollups-20261127.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    one.close()
    two = writer()
    two.add([counted_in(), counted_in()])
    assert not two.flush()
    assert counts(counted(tmp_path)) == {(): 1}
    # Hours are in another file, which nobody holds: they have it already, and do not get it again.
    assert counts(counted(tmp_path, since=NOW - timedelta(hours=24))) == {(): 3}
    blocker.execute("ROLLBACK")
    blocker.close()
    assert two.flush()
    assert counts(counted(tmp_path)) == {(): 3}
    assert counts(counted(tmp_path, since=NOW - timedelta(hours=24))) == {(): 3}


class HeldUp:
    """The lock of those who write, at whose door the first one waits until it may go on."""

    def __init__(self) -> None:
        self.lock, self.arrived, self.go_on = threading.Lock(), threading.Event(), threading.Event()

    def __enter__(self) -> None:
        if not self.arrived.is_set():
            self.arrived.set()
            assert self.go_on.wait(30)
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_who_has_written_finds_all_in_the_files_although_another_writes_too(
    writer, tmp_path: Path, monkeypatch
) -> None:
    one, door = writer(), HeldUp()
    monkeypatch.setattr(one, "_writing", door)
    one.add([counted_in()])
    other = threading.Thread(target=one.flush)
    other.start()
    assert door.arrived.wait(30)
    assert one.flush()
    found = count_rollups(tmp_path, SummaryQuestion(NOW - timedelta(hours=1), NOW + timedelta(minutes=1)))
    door.go_on.set()
    other.join()
    assert found is not None
    assert counts(found) == counts(counted(tmp_path)) == {(): 1}


def test_what_cannot_be_written_for_long_is_dropped_and_counted(writer, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(rollups, "MOST_UNWRITTEN", 10)
    (tmp_path / "rollups-20261127.sqlite").mkdir()
    one = writer()
    one.add([counted_in(route_id=f"r{number}") for number in range(30)])
    # Dropped is not written.
    assert not one.flush()
    assert one.dropped == 30
    minute = int(NOW.timestamp()) // 60 * 60
    assert one.lost.all(tmp_path) == [("minutes", minute, minute + 60)]
    assert (tmp_path / "lost").read_text() == f"minutes {minute} {minute + 60}\n"


def test_who_hands_over_counts_waits_for_no_file_and_what_waits_too_long_is_dropped_and_counted(
    writer, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(rollups, "MOST_CELLS", 5)
    monkeypatch.setattr(rollups, "MOST_WAITING", 20)
    one = writer()
    with one._writing:
        adding = threading.Thread(
            target=lambda: [
                one.add([counted_in(NOW - timedelta(minutes=ago), route_id=f"r{each}") for each in range(8)])
                for ago in (2, 1, 0)
            ],
            daemon=True,
        )
        adding.start()
        adding.join(10)
        assert not adding.is_alive()
        assert not one.flush_briefly()
    assert one.dropped == 8
    assert {lost.table for lost in one.lost.all(tmp_path)} == {"minutes", "hours", "days"}
    assert one.flush_briefly()
    assert counts(counted(tmp_path)) == {(): 16}


def test_many_counts_are_written_at_once_by_the_thread(writer, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(rollups, "MOST_CELLS", 5)
    one, written = writer(interval=3600.0), threading.Event()
    flush = one.flush

    def flushed(everything: bool = True) -> bool:
        is_whole = flush(everything)
        written.set()
        return is_whole

    monkeypatch.setattr(one, "flush", flushed)
    one.start()
    one.add([counted_in(route_id=f"r{number}") for number in range(8)])
    assert written.wait(30)
    assert counts(counted(tmp_path)) == {(): 8}


def test_times_that_are_lost_are_told_together_where_they_meet_and_are_bounded(tmp_path: Path) -> None:
    lost = LostTimes()
    for start in (0, 60, 7200, 120):
        lost.add(MINUTES, start, start + 60)
    lost.add(HOURS, 0, 3600)
    assert lost.all(tmp_path) == [("minutes", 0, 180), ("minutes", 7200, 7260), ("hours", 0, 3600)]
    for start in range(10_000, 10_000 + 1200 * 120, 120):
        lost.add(MINUTES, start, start + 60)
    found = lost.all(tmp_path)
    assert (len(found), found[0].since, found[999].until) == (1001, 0, 10_000 + 1199 * 120 + 60)
    (tmp_path / "lost").write_text("nonsense\n")
    assert lost.all(tmp_path) == found


def test_names_beyond_the_bound_are_told_less_apart_and_lose_no_count(writer, tmp_path: Path) -> None:
    one = writer(max_keys=20)
    floods = [
        counted_in(backend_instance=f"10.0.0.{number}:80", tenant_id=f"t{number}") for number in range(200)
    ]
    # In portions, as they come in life: the file has to hold the bound that no portion reaches.
    for first in range(0, 200, 10):
        one.add(floods[first : first + 10])
        one.add([counted_in(route_id="payments", status=500)])
        one.flush()
    assert counts(counted(tmp_path)) == {(): 220}
    found = counts(counted(tmp_path, "route_id", "tenant_id", "backend_instance"))
    assert len(found) <= 36
    assert found["users", "other", "other"] > 150
    assert counts(counted(tmp_path, "route_id", where=("status=500",))) == {("payments",): 20}
    assert one.coarsened > 150


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.endswith(("-wal", "-shm")))


def test_files_are_private_and_old_ones_are_deleted(writer, tmp_path: Path) -> None:
    old = ("rollups-20251001.sqlite", "rollups-202509.sqlite", "rollups-2024.sqlite")
    for name in (*old, "rollups-20261101.sqlite", "other"):
        (tmp_path / name).touch()
    one = writer()
    one.add([counted_in()])
    one.flush()
    kept = [
        "rollups-2026.sqlite",
        "rollups-202611.sqlite",
        "rollups-20261101.sqlite",
        "rollups-20261127.sqlite",
    ]
    assert names(tmp_path) == ["other", *kept]
    assert (tmp_path / "rollups-202611.sqlite").stat().st_mode & 0o777 == 0o600


def test_beyond_their_size_the_finest_go_first_and_late_requests_do_not_make_them_anew(
    writer, tmp_path: Path
) -> None:
    early = datetime(2026, 10, 26, 9, 15, tzinfo=UTC)
    one = writer()
    one.add([counted_in(early), counted_in()])
    one.flush()
    one.close()
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert expire(tmp_path, NOW, timedelta(days=395), size) == []
    gone = [
        *expire(tmp_path, NOW, timedelta(days=395), size - 1),
        *expire(tmp_path, NOW, timedelta(days=395), 1),
    ]
    assert [path.name for path in gone] == ["rollups-20261026.sqlite", "rollups-202610.sqlite"]
    again = writer()
    again.add([counted_in(early)])
    again.flush()
    kept = ["rollups-2026.sqlite", "rollups-202611.sqlite", "rollups-20261127.sqlite"]
    assert names(tmp_path) == ["hours-from", "minutes-from", *kept]
    # What is left of that time is asked of days, also where minutes would be fine enough.
    found = counted(tmp_path, since=early, until=early + timedelta(hours=1))
    assert (counts(found), found.resolution) == ({(): 2}, "1d")


def test_requests_older_than_the_retention_make_no_file(writer, tmp_path: Path) -> None:
    one = writer(retention=timedelta(days=30))
    one.add([counted_in(NOW - timedelta(days=40))])
    one.flush()
    assert list(tmp_path.glob("rollups-*")) == []


def test_roll_ups_and_records_say_the_same(writer, tmp_path: Path, store_records) -> None:
    stored, one = [], writer()
    for number in range(300):
        moment, latency = NOW - timedelta(seconds=number * 11), round(number**1.7 / 13, 3)
        key = {"route_id": f"r{number % 3}" if number % 7 else None, "status": 200 + number % 5 * 100}
        more = {"timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "request_bytes": 100}
        named = {"request_id": f"r{number}", "method": "GET", "path": "/", "total_latency_ms": latency}
        stored.append(json.dumps(key | more | named) + "\n")
        one.add([counted_in(moment, latency, **(key | {"route_id": key["route_id"] or ""}))])
    store_records(tmp_path / "records", "".join(stored).encode())
    one.flush()
    question = SummaryQuestion(
        NOW - timedelta(hours=1), NOW + timedelta(minutes=1), group=("route_id", "status")
    )
    rolled, raw = count_rollups(tmp_path, question), count_records(tmp_path / "records", question, 10.0)
    assert rolled is not None
    assert len(raw.groups) == 20

    def told(summary: Summary) -> dict[object, object]:
        return {
            group: (one.count, one.errors, one.request_bytes, one.latency.buckets, one.latency.micros)
            for group, one in summary.groups.items()
        }

    assert told(rolled) == told(raw)


def test_without_any_there_is_no_answer(tmp_path: Path) -> None:
    assert count_rollups(tmp_path, SummaryQuestion(NOW - timedelta(hours=1), NOW)) is None
    open_file(tmp_path / "rollups-20261127.sqlite").close()
    assert counts(counted(tmp_path)) == {}

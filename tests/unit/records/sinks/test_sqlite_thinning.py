"""Hours of records that are over their time, of which rules keep something."""

import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatewright.records import segments
from gatewright.records.batch import Batch
from gatewright.records.conditions import parse_condition
from gatewright.records.reader import Question, find_request, opened, page
from gatewright.records.sinks import sqlite_thinning
from gatewright.records.sinks.sqlite import SqliteSink
from gatewright.records.sinks.thinning import KeepRule, Retention

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def rule(days: int, *conditions: str) -> KeepRule:
    return KeepRule(tuple(map(parse_condition, conditions)), days * DAY)


class Store:
    """A sink whose clock a test sets."""

    def __init__(self, directory: Path, line: Callable[..., bytes], *rules: KeepRule) -> None:
        self.now = NOON
        self.directory = directory
        self._line = line
        self.sink = SqliteSink(directory, Retention(7 * DAY, rules), now=lambda: self.now)

    def write(self, at: datetime, **fields: object) -> None:
        text = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self.sink.write(Batch.of(self._line(timestamp=text, **fields)))

    def close_hour(self) -> None:
        """Let so much come that the hour is written no more."""
        for hours in (1, 2):
            self.write(NOON + hours * HOUR, request_id="new", status=503)

    def pass_to(self, days: float) -> None:
        """Let it be so many days after the hour, something be written, and everything due be thinned."""
        self.settle()
        self.now = NOON + HOUR + days * DAY
        self.write(self.now, request_id="new", status=503)
        self.settle()

    def settle(self) -> None:
        """Wait for what is under way: nothing is begun beside it."""
        thread = self.sink.thinner._thread
        if thread is not None:
            thread.join(30)
            assert not thread.is_alive()

    def ids(self) -> set[str]:
        found = page(self.directory, Question()).records
        assert len({one["request_id"] for one in found if one["request_id"] != "new"}) == sum(
            one["request_id"] != "new" for one in found
        )
        return {one["request_id"] for one in found} - {"new"}

    def names(self) -> list[str]:
        """The files of the hour."""
        return sorted(path.name for path in self.directory.glob("records-2026112112*"))


@pytest.fixture
def store(tmp_path: Path, record_line) -> Store:
    rules = rule(30, "status>=500"), rule(90, "status=4xx", "rate_limited=true")
    made = Store(tmp_path, record_line, *rules)
    made.write(NOON, request_id="good")
    made.write(NOON, request_id="bad", status=503)
    made.write(NOON, request_id="limited", status=429, rate_limited=True)
    made.write(NOON, request_id="missing", status=404)
    # A record without a status is nobody's.
    made.write(NOON, request_id="gone", status=None)
    made.close_hour()
    return made


def test_of_an_hour_that_is_over_only_what_rules_name_is_left_and_each_for_its_time(store: Store) -> None:
    everything = {"good", "bad", "limited", "missing", "gone"}
    for days, left in (
        (6.9, everything),
        (7, {"bad", "limited"}),
        (29.9, {"bad", "limited"}),
        (30, {"limited"}),
        (89.9, {"limited"}),
        (90, set()),
    ):
        store.pass_to(days)
        assert store.ids() == left, days
    assert store.names() == []
    assert store.sink.thinner.counts.failures == 0


def test_what_is_kept_is_in_a_private_file_of_its_own_and_found_as_before(store: Store) -> None:
    store.pass_to(8)
    assert store.names() == ["records-2026112112-kept.sqlite"]
    kept = segments.kept_path_of(store.directory, "2026112112")
    assert kept.stat().st_mode & 0o777 == 0o600
    found = find_request(store.directory, "limited")
    assert found is not None
    assert found["status"] == 429
    page_of = Question((parse_condition("status=503"),), NOON, NOON + HOUR)
    assert [one["request_id"] for one in page(store.directory, page_of).records] == ["bad"]
    before = kept.stat().st_mtime_ns
    store.pass_to(9)
    # Once for each limit.
    assert kept.stat().st_mtime_ns == before


def test_an_hour_of_which_nothing_is_kept_leaves_nothing(tmp_path: Path, record_line) -> None:
    store = Store(tmp_path, record_line, rule(30, "status>=500"))
    store.write(NOON, request_id="good")
    store.close_hour()
    store.pass_to(8)
    assert (store.names(), store.ids()) == ([], set())


def test_records_that_come_late_are_thinned_once_they_are_closed(store: Store) -> None:
    store.pass_to(8)
    store.write(NOON, request_id="late", status=500)
    store.write(NOON, request_id="late and good")
    assert store.ids() == {"bad", "limited", "late", "late and good"}
    store.pass_to(8.1)
    store.pass_to(8.2)
    assert store.ids() == {"bad", "limited", "late"}
    assert store.names() == ["records-2026112112-kept.sqlite"]


def test_what_was_copied_before_a_process_ended_is_not_copied_again(store: Store, tmp_path: Path) -> None:
    own = segments.path_of(tmp_path, "2026112112")
    copy = own.read_bytes()
    changed = own.stat()
    store.pass_to(8)
    own.write_bytes(copy)
    os.utime(own, ns=(changed.st_atime_ns, changed.st_mtime_ns))
    (tmp_path / "thinning-1.half").write_bytes(b"half")
    os.utime(tmp_path / "thinning-1.half", (0, 0))
    store.pass_to(8.1)
    assert store.ids() == {"bad", "limited"}
    assert store.names() == ["records-2026112112-kept.sqlite"]
    assert list(tmp_path.glob("*.half")) == []


def test_who_reads_meanwhile_reads_what_was_there(store: Store, tmp_path: Path) -> None:
    with opened(segments.path_of(tmp_path, "2026112112")) as reading:
        assert reading is not None
        store.pass_to(8)
        assert reading[1].execute("SELECT count(*) FROM records").fetchone() == (5,)


def test_nobody_who_writes_waits_for_it_and_its_end_does_not_either(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    copied = sqlite_thinning.copied

    def slowly(*given: Any) -> int:
        begun.set()
        assert go_on.wait(30)
        return copied(*given)

    monkeypatch.setattr(sqlite_thinning, "copied", slowly)
    store.settle()
    store.now = NOON + HOUR + 8 * DAY
    store.write(store.now, request_id="new")
    assert begun.wait(30)
    # In the very hour, which is then left as it is.
    store.write(NOON, request_id="late")
    go_on.set()
    store.settle()
    assert "late" in store.ids()
    assert "good" in store.ids()


def test_a_file_that_cannot_be_read_is_left_counted_and_tried_again_later(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = segments.path_of(tmp_path, "2026112111")
    broken.write_bytes(b"no database at all, and longer than a header" * 9)
    store.pass_to(8)
    store.pass_to(8.01)
    assert (store.sink.thinner.counts.failures, store.names()) == (1, ["records-2026112112-kept.sqlite"])
    assert caplog.text.count("an hour of records cannot be thinned") == 1
    assert list(tmp_path.glob("*.half*")) == []
    store.pass_to(8.1)
    assert store.sink.thinner.counts.failures == 2
    assert broken.exists()


def test_closing_gives_up_what_is_under_way(tmp_path: Path, record_line, monkeypatch) -> None:
    monkeypatch.setattr(sqlite_thinning, "LOOK_STEPS", 1)
    store = Store(tmp_path, record_line, rule(30, "status>=500"))
    store.write(NOON, request_id="bad", status=500)
    store.sink.thinner._ending.set()
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        sqlite_thinning.copied(
            store.sink.thinner.due(NOON + 9 * DAY)[0],
            [rule(30, "status>=500")],
            tmp_path / "half",
            store.sink.thinner._ending.is_set,
        )

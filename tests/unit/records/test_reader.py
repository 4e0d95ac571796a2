"""Pages of stored records."""

import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.records import reader, segments
from gatewright.records.conditions import parse_condition
from gatewright.records.reader import (
    Place,
    Question,
    RecordQueryError,
    find_request,
    newer,
    newest_rows,
    page,
)

HOUR = datetime(2026, 11, 21, 10, tzinfo=UTC)


def ids(found) -> list[str]:
    return [record["request_id"] for record in found]


def asked(*conditions: str, **changes) -> Question:
    return Question(tuple(map(parse_condition, conditions)), **changes)


@pytest.fixture
def stored(tmp_path: Path, record_line, store_records) -> Path:
    """Four records over three hours."""
    limit = {"stage": "limit", "verdict": "refused", "rule": "few", "inputs": {"limit": 3, "key": "user:u"}}
    store_records(
        tmp_path,
        record_line(request_id="a", timestamp="2026-11-21T10:59:59.900Z")
        + record_line(request_id="b", timestamp="2026-11-21T11:00:00.100Z", status=503, route_id="orders")
        + record_line(
            request_id="c",
            timestamp="2026-11-21T12:30:00.000Z",
            status=429,
            user_id="u",
            path="/x",
            user_agent="curl/8",
            rate_limited=True,
            decisions=[limit | {"waited_ms": 4.21, "waited_for": "redis"}],
        )
        + record_line(request_id="d", timestamp="2026-11-21T12:31:00.000Z", status=500, total_latency_ms=90),
    )
    return tmp_path


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (asked(), ["d", "c", "b", "a"]),
        (asked(limit=3), ["d", "c", "b"]),
        (asked("status=5xx"), ["d", "b"]),
        (asked("status!=5xx"), ["c", "a"]),
        (asked("status=429"), ["c"]),
        (asked("route_id=orders"), ["b"]),
        (asked("route_id!=orders"), ["d", "c", "a"]),
        (asked("user_id!=u"), ["d", "b", "a"]),
        (asked("user_id=null"), ["d", "b", "a"]),
        (asked("user_id!=null"), ["c"]),
        (asked("total_latency_ms>9"), ["d"]),
        (asked("status<=503", "path=/x"), ["c"]),
        (asked("rate_limited=true"), ["c"]),
        (asked("user_agent~curl"), ["c"]),
        (asked("user_agent!~curl"), ["d", "b", "a"]),
        (asked("path~users"), ["d", "b", "a"]),
        (asked("decision.limit.verdict=refused"), ["c"]),
        (asked("decision.*.verdict=refused"), ["c"]),
        (asked("decision.limit.verdict!=refused"), ["d", "b", "a"]),
        (asked("decision.limit.rule=few", "decision.limit.limit>=3"), ["c"]),
        (asked("decision.limit.limit>3"), []),
        (asked("decision.limit.key~user:"), ["c"]),
        (asked("decision.*.waited_ms>4.2", "decision.limit.waited_for=redis"), ["c"]),
        (asked("decision.*.waited_ms>4.3"), []),
        (asked("decision.limit.verdict=null"), ["d", "b", "a"]),
        (asked("decision.route.at~gateway.yaml:9"), ["d", "b", "a"]),
        (asked(since=HOUR + timedelta(hours=1)), ["d", "c", "b"]),
        (asked(since=HOUR + timedelta(hours=2, minutes=31)), ["d"]),
        (asked(until=HOUR + timedelta(hours=2, minutes=31)), ["c", "b", "a"]),
    ],
)
def test_every_filter_holds(stored: Path, question: Question, expected: list[str]) -> None:
    assert ids(page(stored, question).records) == expected


def test_a_filter_value_is_never_sql(stored: Path) -> None:
    assert page(stored, asked("path=' OR 1=1 --")).records == []


def test_pages_show_every_record_once_while_others_are_stored(
    tmp_path: Path, record_line, store_records
) -> None:
    def moment(number: int) -> str:
        # Five have one and the same millisecond, and the hour turns in between.
        return reader.text_of(HOUR + timedelta(minutes=59, seconds=number // 5 * 30))

    for number in range(20):
        store_records(tmp_path, record_line(request_id=f"r{number}", timestamp=moment(number)))
    found, cursor = [], None
    while True:
        before = Place.of_text(cursor) if cursor else None
        given = page(tmp_path, Question(limit=3, before=before))
        found += ids(given.records)
        # At the newest end, and in the middle of the very millisecond that was read last.
        store_records(tmp_path, record_line(request_id="late", timestamp=moment(99)))
        if given.records:
            store_records(tmp_path, record_line(request_id="late", timestamp=given.records[-1]["timestamp"]))
        cursor = given.cursor
        if cursor is None:
            break
    assert [one for one in found if one != "late"] == [f"r{number}" for number in reversed(range(20))]


def test_a_page_that_is_late_says_where_to_go_on(stored: Path) -> None:
    given = page(stored, asked("path=/x"), seconds=-1.0)
    assert given.records == []
    assert given.scanned == (0, 3)
    assert given.cursor is not None
    following = page(stored, asked("path=/x", before=Place.of_text(given.cursor)))
    assert ids(following.records) == ["c"]
    assert following.cursor is None


def test_a_cursor_of_somebody_else_is_refused() -> None:
    for text in ("", "x", "!!!", "MjAyNg"):
        with pytest.raises(RecordQueryError, match="cursor"):
            Place.of_text(text)


def test_the_whole_record_comes_back(stored: Path) -> None:
    record = find_request(stored, "a")
    assert record is not None
    assert "gateway.yaml:9:5" in str(record["decisions"])
    assert find_request(stored, "unknown") is None


def test_who_follows_is_shown_what_is_stored_later_and_nothing_twice(
    stored: Path, record_line, store_records
) -> None:
    shown = newest_rows(stored)
    assert newer(stored, asked(), shown)[0] == []
    # Two come late, one begins a new hour.
    late, later = "2026-11-21T12:01:00.000Z", "2026-11-21T13:00:00.000Z"
    for request_id, moment in (("e", late), ("f", late), ("g", later)):
        store_records(stored, record_line(request_id=request_id, timestamp=moment))
    found, shown = newer(stored, asked(limit=1), shown)
    assert ids(found) == ["e"]
    found, shown = newer(stored, asked("route_id=users"), shown)
    assert ids(found) == ["f", "g"]
    assert newer(stored, asked(), shown)[0] == []


def test_a_broken_segment_is_an_error_and_not_an_empty_answer(tmp_path: Path) -> None:
    segments.path_of(tmp_path, "2026112110").write_bytes(b"no database" * 100)
    with pytest.raises(RecordQueryError, match="cannot be read"):
        page(tmp_path, Question())


def test_a_segment_that_is_deleted_meanwhile_is_passed_over(stored: Path, monkeypatch) -> None:
    gone = [segments.path_of(stored, "2026112109"), *segments.newest_first(stored)]
    monkeypatch.setattr(segments, "newest_first", lambda *_: iter(gone))
    assert ids(page(stored, Question()).records)[-1] == "a"


def test_a_reader_cannot_write(stored: Path) -> None:
    with (
        pytest.raises(RecordQueryError, match="readonly"),
        reader.opened(next(stored.glob("*.sqlite"))) as given,
    ):
        assert given is not None
        given[1].execute("DELETE FROM records")


def test_fields_are_read_from_older_segments_without_their_column(tmp_path: Path, record_line) -> None:
    line = record_line(tenant_id="acme", timestamp="2026-11-21T10:00:00.000Z").decode()
    with sqlite3.connect(segments.path_of(tmp_path, "2026112110")) as connection:
        connection.execute("CREATE TABLE records (timestamp TEXT, request_id TEXT, record TEXT)")
        connection.execute("INSERT INTO records VALUES (?, ?, ?)", ("2026-11-21T10:00:00.000Z", "one", line))
    connection.close()
    assert ids(page(tmp_path, asked("tenant_id=acme", "status=200")).records) == ["one"]
    assert json.loads(line)["status"] == 200


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_reader_without_the_right_to_write_reads_closed_segments(stored: Path) -> None:
    stored.chmod(0o500)
    assert len(page(stored, Question()).records) == 4

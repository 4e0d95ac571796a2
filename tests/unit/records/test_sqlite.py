"""SQLite segments and the questions that they answer."""

import asyncio
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.records import query, segments
from gatewright.records.query import ask
from gatewright.records.reader import (
    Condition,
    Question,
    RecordQueryError,
    find,
    find_request,
    parse_condition,
    parse_status,
)
from gatewright.records.sink import SinkError
from gatewright.records.sqlite import SqliteSink


def ids(found) -> list[str]:
    return [record["request_id"] for record in found]


@pytest.fixture
def stored(tmp_path: Path, record_line) -> Path:
    """Four records over three hours."""
    sink = SqliteSink(tmp_path, now=lambda: datetime(2026, 11, 21, 13, tzinfo=UTC))
    sink.write(
        record_line(request_id="a", timestamp="2026-11-21T10:59:59.900Z")
        + record_line(request_id="b", timestamp="2026-11-21T11:00:00.100Z", status=503, route_id="orders")
    )
    sink.write(
        record_line(request_id="c", timestamp="2026-11-21T12:30:00.000Z", status=404, user_id="u", path="/x")
    )
    sink.write(
        record_line(request_id="d", timestamp="2026-11-21T12:31:00.000Z", status=500, total_latency_ms=90)
    )
    sink.close()
    return tmp_path


def test_each_hour_has_its_own_segment(stored: Path) -> None:
    names = sorted(path.name for path in stored.glob("*.sqlite"))
    assert names == [f"records-20261121{hour}.sqlite" for hour in ("10", "11", "12")]


def test_closed_segments_leave_no_log_behind_and_are_private(stored: Path) -> None:
    assert list(stored.glob("*-wal")) == []
    assert {path.stat().st_mode & 0o777 for path in stored.iterdir()} == {0o600}


def test_records_come_newest_first_over_segments(stored: Path) -> None:
    assert ids(find(stored, Question())) == ["d", "c", "b", "a"]
    assert ids(find(stored, Question(limit=3))) == ["d", "c", "b"]


def test_the_whole_record_comes_back(stored: Path) -> None:
    record = find_request(stored, "a")
    assert record is not None
    assert "gateway.yaml:9:5" in str(record["decisions"])
    assert find_request(stored, "unknown") is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question(status=(500, 599)), ["d", "b"]),
        (Question(status=(404, 404)), ["c"]),
        (Question((Condition("route_id", "=", "orders"),)), ["b"]),
        (Question((Condition("user_id", "!=", "u"),)), ["d", "b", "a"]),
        (Question((Condition("total_latency_ms", ">", "9"),)), ["d"]),
        (Question((Condition("status", "<=", "404"), Condition("path", "=", "/x"))), ["c"]),
        (Question(since=datetime(2026, 11, 21, 11, tzinfo=UTC)), ["d", "c", "b"]),
        (Question(since=datetime(2026, 11, 21, 12, 31, tzinfo=UTC)), ["d"]),
    ],
)
def test_every_filter_holds(stored: Path, question: Question, expected: list[str]) -> None:
    assert ids(find(stored, question)) == expected


def test_a_filter_value_is_never_sql(stored: Path) -> None:
    assert ids(find(stored, Question((Condition("path", "=", "' OR 1=1 --"),)))) == []


@pytest.mark.parametrize("name", ["record", "1=1 OR status", "sqlite_version()"])
def test_only_known_fields_can_be_filtered(stored: Path, name: str) -> None:
    with pytest.raises(RecordQueryError, match="known: timestamp"):
        list(find(stored, Question((Condition(name, "=", "1"),))))


def test_filters_are_read_from_text() -> None:
    assert parse_condition("total_latency_ms>=10") == Condition("total_latency_ms", ">=", "10")
    assert parse_condition("path=/a=b") == Condition("path", "=", "/a=b")
    assert parse_status("5xx") == (500, 599)
    for text in ("nothing", "=x", "a b=c"):
        with pytest.raises(RecordQueryError):
            parse_condition(text)
    for text in ("6xx", "40", "abc", "4ax"):
        with pytest.raises(RecordQueryError):
            parse_status(text)


def test_a_number_that_is_none_is_refused(stored: Path) -> None:
    with pytest.raises(RecordQueryError, match="is a number"):
        list(find(stored, Question((Condition("status", "=", "many"),))))


def test_a_record_is_found_while_the_writer_has_the_segment_open(tmp_path: Path, record_line) -> None:
    sink = SqliteSink(tmp_path)
    sink.write(record_line())
    assert find_request(tmp_path, "one") is not None
    sink.close()


def test_expired_segments_are_deleted_with_their_logs(tmp_path: Path, record_line) -> None:
    for name in (
        "records-2026102009.sqlite",
        "records-2026102009.sqlite-wal",
        "records-2026102110.sqlite",
        "other",
    ):
        (tmp_path / name).touch()
    sink = SqliteSink(tmp_path, timedelta(days=31), now=lambda: datetime(2026, 11, 21, 10, 30, tzinfo=UTC))
    sink.write(record_line())
    sink.close()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["other", "records-2026102110.sqlite", "records-2026112110.sqlite"]


def test_malformed_lines_are_left_out_and_the_rest_is_stored(tmp_path: Path, record_line) -> None:
    sink = SqliteSink(tmp_path)
    sink.write(b'{"half\n[]\n{}\n{"timestamp": "../../../../x"}\n' + record_line())
    sink.close()
    assert ids(find(tmp_path, Question())) == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == ["records-2026112110.sqlite"]


def test_a_directory_that_cannot_be_written_is_a_sink_error(tmp_path: Path, record_line) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="2026112110"):
        SqliteSink(tmp_path / "file").write(record_line())


def test_a_broken_segment_is_an_error_and_not_an_empty_answer(tmp_path: Path) -> None:
    segments.path_of(tmp_path, "2026112110").write_bytes(b"no database" * 100)
    with pytest.raises(RecordQueryError, match="cannot be read"):
        list(find(tmp_path, Question()))


def test_a_reader_cannot_write(stored: Path) -> None:
    path = next(stored.glob("*.sqlite"))
    with pytest.raises((sqlite3.OperationalError, RecordQueryError), match=r"readonly|cannot be read"):
        query.find.__globals__["read"](path, "DELETE FROM records RETURNING record", [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_reader_without_the_right_to_write_reads_closed_segments(stored: Path) -> None:
    stored.chmod(0o500)
    assert len(ids(find(stored, Question()))) == 4


async def test_a_question_is_answered_by_another_process(stored: Path) -> None:
    found = await ask(stored, {"where": ["route_id=orders"], "status": "5xx"})
    assert ids(found) == ["b"]
    assert ids(await ask(stored, {"request_id": "a"})) == ["a"]


async def test_a_wrong_question_says_what_is_wrong(stored: Path) -> None:
    with pytest.raises(RecordQueryError, match="no status"):
        await ask(stored, {"status": "blue"})


async def test_a_question_that_takes_too_long_ends_its_process(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "SECONDS", 0.0)
    with pytest.raises(RecordQueryError, match="no answer within"):
        await asyncio.wait_for(ask(stored, {}), 10)

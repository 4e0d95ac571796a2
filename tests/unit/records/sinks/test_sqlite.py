"""SQLite segments as they are written."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.records.batch import Batch
from gatewright.records.reader import Question, find_request, page
from gatewright.records.sink import SinkError
from gatewright.records.sinks.sqlite import SqliteSink


def ids(found) -> list[str]:
    return [record["request_id"] for record in found]


@pytest.fixture
def stored(tmp_path: Path, record_line) -> Path:
    """Four records over three hours."""
    sink = SqliteSink(tmp_path, now=lambda: datetime(2026, 11, 21, 13, tzinfo=UTC))
    later = "2026-11-21T12:30:00.000Z"
    for lines in (
        record_line(request_id="a", timestamp="2026-11-21T10:59:59.900Z")
        + record_line(request_id="b", timestamp="2026-11-21T11:00:00.100Z", status=503, route_id="orders"),
        record_line(request_id="c", timestamp=later, status=404, user_id="u", path="/x"),
        record_line(request_id="d", timestamp="2026-11-21T12:31:00.000Z", status=500, total_latency_ms=90),
    ):
        sink.write(Batch.of(lines))
    sink.close()
    return tmp_path


def test_each_hour_has_its_own_segment(stored: Path) -> None:
    names = sorted(path.name for path in stored.glob("*.sqlite"))
    assert names == [f"records-20261121{hour}.sqlite" for hour in ("10", "11", "12")]


def test_closed_segments_leave_no_log_behind_and_are_private(stored: Path) -> None:
    assert list(stored.glob("*-wal")) == []
    assert {path.stat().st_mode & 0o777 for path in stored.iterdir()} == {0o600}


def test_a_record_is_found_while_the_writer_has_the_segment_open(tmp_path: Path, record_line) -> None:
    sink = SqliteSink(tmp_path)
    sink.write(Batch.of(record_line()))
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
    sink.write(Batch.of(record_line()))
    sink.close()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["other", "records-2026102110.sqlite", "records-2026112110.sqlite"]


def test_above_the_size_the_oldest_hours_are_deleted_and_the_one_that_is_written_stays(
    tmp_path: Path, record_line
) -> None:
    now = [datetime(2026, 11, 21, 10, 30, tzinfo=UTC)]
    for hour in ("06", "07", "08"):
        (tmp_path / f"records-20261121{hour}.sqlite").write_bytes(b"x" * 40_000)
        (tmp_path / f"records-20261121{hour}.sqlite-wal").write_bytes(b"x" * 10_000)
    sink = SqliteSink(tmp_path, now=lambda: now[0], max_size=120_000)
    sink.write(Batch.of(record_line()))
    assert not (tmp_path / "records-2026112106.sqlite").exists()
    assert not (tmp_path / "records-2026112106.sqlite-wal").exists()
    assert (tmp_path / "records-2026112107.sqlite-wal").exists()
    now[0] += timedelta(minutes=1)
    sink.write(Batch.of(b"".join(record_line(path="x" * 2000) for _ in range(100))))
    now[0] += timedelta(minutes=1)
    sink.write(Batch.of(record_line()))
    sink.close()
    assert [path.name for path in tmp_path.glob("*.sqlite")] == ["records-2026112110.sqlite"]


def test_malformed_lines_are_left_out_and_the_rest_is_stored(tmp_path: Path, record_line) -> None:
    sink = SqliteSink(tmp_path)
    malformed = b'{"half\n[]\n{}\n{"timestamp": "../../../../x"}\n'
    sink.write(Batch.of(malformed + record_line() + malformed))
    sink.close()
    assert ids(page(tmp_path, Question()).records) == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == ["records-2026112110.sqlite"]


def test_a_directory_that_cannot_be_written_is_a_sink_error(tmp_path: Path, record_line) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="2026112110"):
        SqliteSink(tmp_path / "file").write(Batch.of(record_line()))

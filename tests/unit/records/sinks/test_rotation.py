"""Rotation: no line is lost or torn, the oldest files go, and what cannot be renamed is written on."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatewright.records.batch import Batch
from gatewright.records.sinks.lines import FileSink
from gatewright.records.sinks.rotation import Rotation, RotationSettings


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 10, 59, 50, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: int) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sink_of(path: Path, clock: Clock, **settings: Any) -> FileSink:
    return FileSink(path, rotation=Rotation(path, RotationSettings(**settings), clock))


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.name: gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in sorted(directory.iterdir())
    }


def test_a_file_is_renamed_once_it_has_its_size(tmp_path: Path, clock: Clock) -> None:
    sink = sink_of(tmp_path / "a.log", clock, size=8)
    for number in range(5):
        clock.pass_by(seconds=1)
        sink.write(Batch.of(b"%03d\n" % number))
    sink.close()
    assert contents(tmp_path) == {
        "a.log": b"004\n",
        "a.log.20261121T105953.000000Z": b"000\n001\n",
        "a.log.20261121T105955.000000Z": b"002\n003\n",
    }


def test_a_file_is_renamed_when_its_hour_is_over_and_an_empty_one_is_not(
    tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "a.log").touch()
    sink = sink_of(tmp_path / "a.log", clock, every=3600)
    sink.write(Batch.of(b"first\n"))
    clock.pass_by(seconds=5)
    sink.write(Batch.of(b"second\n"))
    clock.pass_by(seconds=6)
    sink.write(Batch.of(b"third\n"))
    clock.pass_by(minutes=59)
    sink.write(Batch.of(b"fourth\n"))
    sink.close()
    assert contents(tmp_path) == {
        "a.log": b"third\nfourth\n",
        "a.log.20261121T110001.000000Z": b"first\nsecond\n",
    }


def test_a_file_of_an_earlier_process_belongs_to_the_hour_of_its_last_line(
    tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "a.log").write_bytes(b"old\n")
    clock.now = datetime.now(UTC) + timedelta(hours=2)
    sink = sink_of(tmp_path / "a.log", clock, every=3600)
    sink.write(Batch.of(b"new\n"))
    sink.write(Batch.of(b"newer\n"))
    sink.close()
    assert sorted(contents(tmp_path).values()) == [b"new\nnewer\n", b"old\n"]


def test_the_oldest_files_are_deleted_and_those_of_others_stay(tmp_path: Path, clock: Clock) -> None:
    for name in ("a.log.1", "a.log.20261121T105953.000000Z.half", "b.log.20261121T105953.000000Z"):
        (tmp_path / name).write_bytes(b"other\n")
    sink = sink_of(tmp_path / "a.log", clock, size=1, keep=2)
    for number in range(6):
        clock.pass_by(seconds=1)
        sink.write(Batch.of(b"%d\n" % number))
    sink.close()
    ours = [data for data in contents(tmp_path).values() if data != b"other\n"]
    assert ours == [b"5\n", b"3\n", b"4\n"]
    assert len(contents(tmp_path)) == 6


def test_renamed_files_are_compressed_and_as_private_as_they_were(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "a.log"
    rotation = Rotation(path, RotationSettings(size=1, compress=True), clock)
    sink = FileSink(path, rotation=rotation)
    for number in range(3):
        clock.pass_by(seconds=1)
        sink.write(Batch.of(b"%d\n" % number))
        rotation.close()
    sink.close()
    assert contents(tmp_path) == {
        "a.log": b"2\n",
        "a.log.20261121T105952.000000Z.gz": b"0\n",
        "a.log.20261121T105953.000000Z.gz": b"1\n",
    }
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_what_cannot_be_renamed_is_written_on(tmp_path: Path, clock: Clock, caplog) -> None:
    sink = sink_of(tmp_path / "a.log", clock, size=1)
    sink.write(Batch.of(b"1\n"))
    (tmp_path / "a.log.20261121T105950.000000Z").mkdir()
    sink.write(Batch.of(b"2\n"))
    assert (tmp_path / "a.log").read_bytes() == b"1\n2\n"
    clock.pass_by(seconds=9)
    sink.write(Batch.of(b"3\n"))
    assert caplog.text.count("cannot be renamed") == 1
    clock.pass_by(seconds=1)
    sink.write(Batch.of(b"4\n"))
    sink.close()
    assert (tmp_path / "a.log").read_bytes() == b"4\n"

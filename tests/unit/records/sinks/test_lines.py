"""Sinks for JSON lines: appended as they are, whole lines whatever happens, reopened after a rotation."""

import errno
import os
from pathlib import Path

import pytest

from gatewright.records.batch import Batch
from gatewright.records.sink import SinkError
from gatewright.records.sinks import lines
from gatewright.records.sinks.lines import FileSink, StandardOutputSink


def test_batches_are_appended_unchanged(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "logs" / "access.jsonl")
    sink.write(Batch.of(b'{"a":1}\n'))
    sink.write(Batch.of(b'{"b":2}\n'))
    sink.close()
    assert (tmp_path / "logs" / "access.jsonl").read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_reopen_writes_to_the_new_file_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    sink = FileSink(path)
    sink.write(Batch.of(b"1\n"))
    path.rename(tmp_path / "access.jsonl.1")
    sink.write(Batch.of(b"2\n"))
    sink.reopen()
    sink.write(Batch.of(b"3\n"))
    sink.close()
    assert (tmp_path / "access.jsonl.1").read_bytes() == b"1\n2\n"
    assert path.read_bytes() == b"3\n"


def test_a_file_that_cannot_be_opened_is_a_sink_error(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    with pytest.raises(SinkError, match="cannot be opened"):
        sink.write(Batch.of(b"1\n"))


class FullDisk:
    """Takes a number of bytes in all, then none until there is room again."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "no space")
        part = bytes(data)[: self.room]
        self.room -= len(part)
        return real_write(descriptor, part)


real_write = os.write


def test_a_retry_goes_on_where_the_disk_was_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(5)
    monkeypatch.setattr(lines.os, "write", disk.write)
    sink, batch = FileSink(tmp_path / "a"), Batch.of(b"first\nsecond\n")
    with pytest.raises(SinkError):
        sink.write(batch)
    disk.room = 100
    sink.write(batch)
    assert (tmp_path / "a").read_bytes() == batch.lines


def test_a_batch_given_up_half_way_does_not_tear_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(8)
    monkeypatch.setattr(lines.os, "write", disk.write)
    sink = FileSink(tmp_path / "a")
    with pytest.raises(SinkError):
        sink.write(Batch.of(b"first\nsecond\n"))
    disk.room = 100
    sink.write(Batch.of(b"third\n"))
    assert (tmp_path / "a").read_bytes() == b"first\nse\nthird\n"


def test_standard_output_takes_batches_as_they_are() -> None:
    read, write = os.pipe()
    StandardOutputSink(descriptor=write).write(Batch.of(b"1\n"))
    os.close(write)
    with os.fdopen(read, "rb") as output:
        assert output.read() == b"1\n"

"""The spill: order is kept over restarts, the bound holds, and damage costs what is damaged."""

import errno
import os
from collections import Counter
from pathlib import Path

import pytest

from gatewright.records import spill as module
from gatewright.records.batch import Chunk
from gatewright.records.settings import SpillSettings
from gatewright.records.spill import HEADER, Spill


class Opened:
    """A spill of a test, and what it lost."""

    def __init__(self, directory: Path, size: int = 1 << 20) -> None:
        self.lost: Counter[str] = Counter()
        self.spill = Spill(SpillSettings(directory, size), self._count)
        assert self.spill.open()

    def _count(self, reason: str, records: int) -> None:
        self.lost[reason] += records

    def append(self, *lines: bytes) -> list[Chunk]:
        chunks = [Chunk(line) for line in lines]
        for chunk in chunks:
            self.spill.append(chunk)
        return chunks

    def take(self, records: int = 1) -> list[bytes]:
        return [chunk.lines for chunk in self.spill.take(records, 1 << 30)]

    def rest(self) -> list[bytes]:
        found = []
        while part := self.take(1000):
            found += part
            self.spill.commit()
        return found


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_chunks_come_back_in_their_order_with_their_ids(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    given = opened.append(b"1\n", b"2\n3\n", b"4\n")
    assert opened.spill.records == 4
    taken = [*opened.spill.take(3, 100), *opened.spill.take(3, 100)]
    assert [(one.id, one.lines, one.count) for one in taken] == [
        (one.id, one.lines, one.count) for one in given
    ]
    assert opened.spill.records == 0


def test_what_was_taken_and_not_committed_comes_again_after_a_restart(tmp_path: Path) -> None:
    before = Opened(tmp_path)
    given = before.append(b"1\n", b"2\n", b"3\n")
    assert before.take() == [b"1\n"]
    before.spill.commit()
    assert before.take() == [b"2\n"]
    before.spill.close()
    after = Opened(tmp_path)
    assert after.spill.records == 2
    assert [chunk.id for chunk in after.spill.take(9, 100)] == [chunk.id for chunk in given[1:]]


def test_an_empty_spill_leaves_no_segments(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.append(b"1\n", b"2\n")
    assert opened.rest() == [b"1\n", b"2\n"]
    assert files(tmp_path) == ["lock"]
    opened.append(b"3\n")
    assert opened.rest() == [b"3\n"]


def test_only_its_owner_may_read_a_spill(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "spill")
    opened.append(b"1\n", b"2\n")
    opened.spill.secure([Chunk(b"0\n")])
    opened.take()
    opened.spill.commit()
    assert (tmp_path / "spill").stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "spill").iterdir()}
    assert set(modes.values()) == {0o600}
    assert "cursor" in modes


def test_above_its_size_the_oldest_records_make_room_and_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALLEST_SEGMENT", 0)
    line = b"x" * (1000 - HEADER.size - 1) + b"\n"
    opened = Opened(tmp_path, size=16_000)
    opened.append(*[line] * 20)
    assert opened.lost == {"spill_full": 4}
    assert opened.spill.records == 16
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spill")) == opened.spill.size == 16_000
    assert len(opened.rest()) == 16


def test_what_was_taken_is_not_lost_when_its_segment_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALLEST_SEGMENT", 0)
    opened = Opened(tmp_path, size=1600)
    opened.append(b"a" * 99 + b"\n")
    taken = opened.spill.take(1, 100)
    opened.append(*[b"b" * 99 + b"\n"] * 13)
    assert opened.lost["spill_full"] == 1
    opened.spill.secure(taken)
    opened.spill.close()
    assert Opened(tmp_path, size=1600).rest()[0] == b"a" * 99 + b"\n"


def test_what_failed_is_put_before_all_that_came_later(tmp_path: Path) -> None:
    before = Opened(tmp_path)
    before.append(b"2\n")
    before.spill.secure([Chunk(b"0\n"), Chunk(b"1\n")])
    before.spill.secure([Chunk(b"0\n"), Chunk(b"1\n")])
    assert before.spill.records == 1
    before.spill.close()
    after = Opened(tmp_path)
    assert after.spill.records == 3
    assert after.rest() == [b"0\n", b"1\n", b"2\n"]


def test_what_failed_and_was_stored_then_is_forgotten(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.spill.secure([Chunk(b"1\n")])
    opened.spill.commit()
    assert files(tmp_path) == ["lock"]


@pytest.mark.parametrize("cut", [1, HEADER.size - 1, HEADER.size, HEADER.size + 1])
def test_a_torn_tail_costs_the_frame_that_it_tore(tmp_path: Path, cut: int) -> None:
    before = Opened(tmp_path)
    before.append(b"first\n", b"second\n")
    before.spill.close()
    path = next(tmp_path.glob("*.spill"))
    os.truncate(path, HEADER.size + len(b"first\n") + cut)
    after = Opened(tmp_path)
    after.append(b"third\n")
    assert after.rest() == [b"first\n", b"third\n"]
    assert after.lost == {}


def test_a_damaged_frame_costs_the_rest_of_its_segment_which_is_counted(tmp_path: Path) -> None:
    before = Opened(tmp_path)
    before.append(b"first\n", b"second\n", b"third\nfourth\n")
    before.spill.close()
    path = next(tmp_path.glob("*.spill"))
    data = bytearray(path.read_bytes())
    data[data.index(b"second")] ^= 1
    path.write_bytes(data)
    after = Opened(tmp_path)
    after.append(b"fifth\n")
    assert after.take(1000) == [b"first\n"]
    assert after.lost == {"spill_damaged": 3}
    after.spill.commit()
    assert after.rest() == [b"fifth\n"]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.spill").write_bytes(b"mine")
    (tmp_path / "cursor").write_bytes(b"garbage")
    opened = Opened(tmp_path)
    opened.append(b"1\n")
    assert opened.rest() == [b"1\n"]
    assert (tmp_path / "notes.spill").read_bytes() == b"mine"


def test_one_process_at_a_time_has_a_spill(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    second = Spill(SpillSettings(tmp_path), lambda reason, records: None)
    assert not second.open()
    first.spill.close()
    assert second.open()


def test_a_spill_that_was_closed_writes_nothing_over_what_is_there(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.append(b"1\n")
    opened.spill.close()
    with pytest.raises(OSError, match="closed"):
        opened.append(b"2\n")
    with pytest.raises(OSError, match="closed"):
        opened.spill.secure([Chunk(b"3\n")])
    assert not opened.spill.open()
    assert Opened(tmp_path).rest() == [b"1\n"]


def test_a_full_disk_is_an_error_and_tears_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(tmp_path)
    opened.append(b"1\n")
    real, room = os.write, [40]

    def write(descriptor: int, data: bytes | memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space")
        part = bytes(data)[: room[0]]
        room[0] -= len(part)
        return real(descriptor, part)

    monkeypatch.setattr(module.os, "write", write)
    with pytest.raises(OSError, match="no space"):
        opened.append(b"x" * 100 + b"\n")
    room[0] = 1000
    opened.append(b"2\n")
    assert opened.rest() == [b"1\n", b"2\n"]

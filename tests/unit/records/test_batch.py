"""Batches: parsed once for all who ask, within bounded memory, and named for ever."""

import threading
from typing import Any

import msgspec
import pytest

from gatewright.records import batch as module
from gatewright.records.batch import Batch, Chunk, new_id, seconds_of


class Counting:
    """Counts how often lines are decoded."""

    def __init__(self) -> None:
        self.decoder = msgspec.json.Decoder(dict[str, Any])
        self.times = 0

    def decode_lines(self, lines: bytes) -> list[dict[str, Any]]:
        self.times += 1
        return self.decoder.decode_lines(lines)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    decoder = Counting()
    monkeypatch.setattr(module, "_WHOLE", decoder)
    return decoder


def test_records_are_parsed_once_for_all_lanes(counting: Counting) -> None:
    chunk = Chunk(b'{"a":1}\n{"a":2}\n')
    batches = [Batch([chunk]) for _ in range(8)]
    threads = [threading.Thread(target=lambda one=one: one.records) for one in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [list(one.records) for one in batches] == [[{"a": 1}, {"a": 2}]] * 8
    assert counting.times == 1


def test_what_was_parsed_is_forgotten_above_the_bound_and_parsed_again(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_shared", module._Shared(20))
    chunks = [Chunk(b'{"a":%d}\n' % number) for number in range(4)]
    for chunk in chunks:
        assert chunk.records
    assert [chunk._parsed is None for chunk in chunks] == [True, True, False, False]
    assert chunks[0].records == [{"a": 0}]
    assert counting.times == 5


def test_several_chunks_are_one_batch_in_their_order() -> None:
    batch = Batch([Chunk(b'{"a":1}\n'), Chunk(b'{"a":2}\n{"a":3}\n')])
    assert (batch.count, batch.size) == (3, 24)
    assert batch.lines == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    assert list(batch.records) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert batch.lines is batch.lines


def test_the_lines_of_one_chunk_are_not_copied() -> None:
    chunk = Chunk(b'{"a":1}\n')
    assert Batch([chunk]).lines is chunk.lines


class Wanted(msgspec.Struct):
    a: int = 0


def test_a_sink_decodes_the_fields_that_it_wants_beside_their_lines() -> None:
    lines = b'{"b":"x","a":1}\n\n{"a":"no number"}\n{"half\n\xff\n{"a":2}\n'
    found = list(Batch.of(lines).pairs(msgspec.json.Decoder(Wanted)))
    assert found == [(Wanted(1), b'{"b":"x","a":1}'), (Wanted(2), b'{"a":2}')]
    whole = b'{"b":"x"}\n\n{"a":1}\n'
    assert [line for _, line in Batch.of(whole).pairs(msgspec.json.Decoder(Wanted))] == [
        b'{"b":"x"}',
        b'{"a":1}',
    ]


def test_lines_that_are_no_records_are_left_out() -> None:
    assert list(Batch.of(b'[]\n{"a":1}\nnull\n').records) == [{"a": 1}]


def test_a_chunk_is_cut_at_line_ends_and_each_part_has_an_id_of_its_own() -> None:
    chunk = Chunk(b"".join(b'{"a":"\\r %d"}\n' % number for number in range(5)))
    parts = chunk.cut(2)
    assert [part.count for part in parts] == [2, 2, 1]
    assert b"".join(part.lines for part in parts) == chunk.lines
    assert len({part.id for part in parts}) == 3
    assert chunk.cut(5) == [chunk]


def test_ids_are_unique_sort_by_time_and_tell_it() -> None:
    ids = [new_id(1_795_000_000 + number) for number in range(1000)]
    assert ids == sorted(ids)
    assert seconds_of(ids[3]) == 1_795_000_003
    assert len({new_id(1) for _ in range(1000)}) == 1000
    assert {(one[6] >> 4, one[8] >> 6) for one in ids} == {(7, 2)}

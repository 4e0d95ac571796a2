"""What sinks are given: chunks of JSON lines as the data plane gave them, parsed once for all who ask.

A chunk has an id that goes with it into the spill and through every retry, so that a store which remembers
ids stores nothing twice. Parsing costs five times the bytes and most of the time of a sink: a sink that wants
few fields decodes them into a `msgspec.Struct` of its own (`Batch.pairs`), one that wants all shares
`Batch.records`.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec

log = logging.getLogger("gatewright.records")

Record = dict[str, Any]
T = TypeVar("T")

# A parsed record is five times as large as its line. Lanes that keep up with each other share the parse; one
# that lags behind by more than this parses again, so that memory stays bounded.
SHARED_BYTES = 4 << 20
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)

_WHOLE: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def new_id(now: float) -> bytes:
    """A UUID of version 7 for a moment in seconds: ids sort by time, and no two are equal."""
    noise = secrets.token_bytes(10)
    millis = int(now * 1000).to_bytes(6, "big")
    return millis + bytes((0x70 | noise[0] & 0x0F, noise[1], 0x80 | noise[2] & 0x3F)) + noise[3:]


def seconds_of(chunk_id: bytes) -> float:
    """When the chunk with this id was taken from the data plane, in seconds since 1970."""
    return int.from_bytes(chunk_id[:6], "big") / 1000


class Chunk:
    """Lines that were taken from the data plane together. Whole lines, each with its end."""

    __slots__ = ("_lock", "_parsed", "arrived", "count", "id", "lines")

    def __init__(self, lines: bytes, chunk_id: bytes | None = None, count: int | None = None) -> None:
        self.lines = lines
        self.count = lines.count(b"\n") if count is None else count
        self.id = new_id(time.time()) if chunk_id is None else chunk_id
        # By the monotonic clock; how long it has waited in this process.
        self.arrived = time.monotonic()
        self._parsed: list[Record] | None = None
        self._lock = threading.Lock()

    @property
    def records(self) -> list[Record]:
        """The records, shared by all who ask: not to be changed. A line that is no record is left out."""
        with self._lock:
            parsed = self._parsed
            if parsed is None:
                parsed = self._parsed = readable(self.lines, _WHOLE)
                _shared.keep(self)
            return parsed

    def forget(self) -> None:
        """Give the memory of the parsed records back."""
        self._parsed = None

    def cut(self, most: int) -> list[Chunk]:
        """The chunk as chunks of at most `most` records, itself when it is no larger."""
        if self.count <= most:
            return [self]
        texts = split(self.lines)
        return [
            Chunk(b"\n".join(texts[first : first + most]) + b"\n") for first in range(0, len(texts), most)
        ]


class _Shared:
    """The chunks that are parsed, newest last; the oldest are forgotten above the bound."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def keep(self, chunk: Chunk) -> None:
        with self._lock:
            self._chunks.append(chunk)
            self._bytes += len(chunk.lines)
            while self._bytes > self._bound and len(self._chunks) > 1:
                oldest = self._chunks.popleft()
                self._bytes -= len(oldest.lines)
                oldest.forget()


_shared = _Shared(SHARED_BYTES)


class Batch:
    """Chunks that a sink stores together. The same object is given again when it is tried again."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = tuple(chunks)
        self.count = sum(chunk.count for chunk in self.chunks)
        self.size = sum(len(chunk.lines) for chunk in self.chunks)

    @classmethod
    def of(cls, lines: bytes) -> Batch:
        """A batch of one chunk."""
        return cls([Chunk(lines)])

    @cached_property
    def lines(self) -> bytes:
        """JSON lines, each with its end; not copied where the batch is one chunk."""
        return self.chunks[0].lines if len(self.chunks) == 1 else b"".join(one.lines for one in self.chunks)

    @property
    def records(self) -> Sequence[Record]:
        """Every record with all its fields; parsed once for all lanes that ask, so not to be changed."""
        if len(self.chunks) == 1:
            return self.chunks[0].records
        return [record for chunk in self.chunks for record in chunk.records]

    def read(self, decoder: msgspec.json.Decoder[T]) -> list[T]:
        """Each record as `decoder` reads it, for whoever needs no lines: to split them takes a microsecond a
        record. A line that it cannot read is left out and logged: no retry would mend it.
        """
        return readable(self.lines, decoder)

    def pairs(self, decoder: msgspec.json.Decoder[T]) -> Iterator[tuple[T, bytes]]:
        """What `read` gives, each with its line (without the end)."""
        return decoded(self.lines, decoder)


def readable(lines: bytes, decoder: msgspec.json.Decoder[T]) -> list[T]:
    """Every record that `decoder` can read."""
    try:
        return decoder.decode_lines(lines)
    except UNREADABLE:
        return [record for record, _ in _one_by_one(split(lines), decoder)]


def decoded(lines: bytes, decoder: msgspec.json.Decoder[T]) -> Iterator[tuple[T, bytes]]:
    """Each record as `decoder` reads it, with its line."""
    texts = split(lines)
    try:
        records = decoder.decode_lines(lines)
    except UNREADABLE:
        return iter(_one_by_one(texts, decoder))
    # Empty lines are no records, and the decoder leaves them out.
    return zip(records, texts if len(texts) == len(records) else filter(None, texts), strict=True)


def _one_by_one(texts: Iterable[bytes], decoder: msgspec.json.Decoder[T]) -> list[tuple[T, bytes]]:
    """Line by line, since one of them cannot be read."""
    found, malformed = [], 0
    for text in filter(None, texts):
        try:
            found.append((decoder.decode(text), text))
        except UNREADABLE:
            malformed += 1
    log.error("malformed records left out", extra={"records": malformed})
    return found


def split(lines: bytes) -> list[bytes]:
    """Lines without their ends. Not `splitlines`, which also splits at a carriage return."""
    return lines.removesuffix(b"\n").split(b"\n") if lines else []

"""The spill of a lane: records that wait on disk because their sink is slow or dead, in the order in which
they came, across restarts.

Segments are append-only files of frames; a frame is a chunk with its id and a checksum. What was stored is
noted in a cursor, and segments that are stored are deleted. A frame that a crash cut short ends its segment.
Only one process has a spill open: another one that takes over waits for its lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gatewright.records.batch import Chunk, seconds_of
from gatewright.records.settings import SpillSettings

log = logging.getLogger("gatewright.records")

# Bytes of lines, their checksum, how many records, the chunk's id.
HEADER = struct.Struct("<III16s")
SUFFIX = ".spill"
# Numbers go up at the end and down at the front, where a batch is put back.
FIRST_NUMBER = 1_000_000_000
SMALLEST_SEGMENT = 256 << 10
LARGEST_SEGMENT = 64 << 20
# A spill is dropped a segment at a time, so there should be several.
SEGMENTS = 8


@dataclass(slots=True)
class Segment:
    """One file: how much of it are whole frames, how much was taken, how many records are left."""

    number: int
    path: Path
    size: int = 0
    taken: int = 0
    records: int = 0
    # When its first chunk was taken from the data plane.
    oldest: float | None = None

    @property
    def is_taken(self) -> bool:
        return self.taken >= self.size


class Spill:
    """Appended to at one end by one thread, taken from at the other by another."""

    def __init__(self, settings: SpillSettings, lost: Callable[[str, int], None]) -> None:
        self._directory = settings.directory
        self._bound = settings.size
        self._segment_bytes = min(max(settings.size // SEGMENTS, SMALLEST_SEGMENT), LARGEST_SEGMENT)
        self._lost = lost
        self._segments: deque[Segment] = deque()
        # The last segment while it is appended to, and the first while it is taken from.
        self._writing: int | None = None
        self._reading: tuple[int, int] | None = None
        self._lock_file: int | None = None
        self._is_closed = False
        # Whether what was taken last is still on disk.
        self._holds_taken = False
        self._lock = threading.RLock()

    @property
    def is_open(self) -> bool:
        return self._lock_file is not None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in list(self._segments))

    @property
    def records(self) -> int:
        """Records that were not taken yet."""
        return sum(segment.records for segment in list(self._segments))

    @property
    def oldest(self) -> float | None:
        """About when the oldest records that wait were taken from the data plane, in seconds since 1970."""
        return next((segment.oldest for segment in list(self._segments) if segment.records), None)

    def open(self) -> bool:
        """Take hold of the directory and of what an earlier process left there. `False` while another process
        has it, and once it was closed. Raises `OSError`.
        """
        with self._lock:
            if self.is_open or self._is_closed:
                return self.is_open
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._find()
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError:
                os.close(descriptor)
                self._segments.clear()
                raise
            self._lock_file = descriptor
            return True

    def append(self, chunk: Chunk) -> None:
        """Put a chunk behind all others; the oldest segment makes room where the bound is reached. Raises
        `OSError`, after which nothing of the chunk is there.
        """
        with self._lock:
            self._check_open()
            frame = frame_of(chunk)
            self._make_room(len(frame))
            segment = self._writable(len(frame))
            self._write(segment, frame)
            segment.records += chunk.count
            segment.oldest = segment.oldest or seconds_of(chunk.id)

    def secure(self, chunks: Iterable[Chunk]) -> None:
        """See to it that what was taken last is on disk, before all others. Raises `OSError`."""
        with self._lock:
            self._check_open()
            if self._holds_taken:
                return
            number = self._segments[0].number - 1 if self._segments else FIRST_NUMBER
            data = b"".join(map(frame_of, chunks))
            segment = Segment(number, self._path_of(number), len(data), len(data))
            descriptor = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_all(descriptor, data)
            except OSError:
                segment.path.unlink(missing_ok=True)
                raise
            finally:
                os.close(descriptor)
            self._segments.appendleft(segment)
            self._holds_taken = True

    def take(self, most_records: int, most_bytes: int) -> list[Chunk]:
        """The oldest chunks of one segment, as many as fit, at least one; none when there are none left.
        Raises `OSError`.
        """
        with self._lock:
            segment = next((one for one in self._segments if not one.is_taken), None)
            if segment is None:
                return []
            chunks: list[Chunk] = []
            records = size = 0
            while not segment.is_taken and (chunk := self._read(segment)) is not None:
                if chunks and (records + chunk.count > most_records or size + len(chunk.lines) > most_bytes):
                    break
                chunks.append(chunk)
                records, size = records + chunk.count, size + len(chunk.lines)
                segment.taken += HEADER.size + len(chunk.lines)
                segment.records -= chunk.count
            self._holds_taken = bool(chunks)
            return chunks

    def commit(self) -> None:
        """What was taken is stored (or lost elsewhere): forget it."""
        with self._lock:
            if not self.is_open:
                return
            self._holds_taken = False
            while self._segments and self._segments[0].is_taken:
                self._delete(self._segments.popleft())
            cursor = self._directory / "cursor"
            with contextlib.suppress(OSError):
                if not self._segments or not self._segments[0].taken:
                    cursor.unlink(missing_ok=True)
                else:
                    write_private(cursor, f"{self._segments[0].number} {self._segments[0].taken}\n".encode())

    def close(self) -> None:
        """Give the directory back for good; what is in it waits for the next process."""
        with self._lock:
            self._is_closed = True
            self._stop_reading()
            for descriptor in (self._writing, self._lock_file):
                if descriptor is not None:
                    os.close(descriptor)
            self._writing = self._lock_file = None
            self._segments.clear()

    def _check_open(self) -> None:
        # Another one may have the directory by now, and a segment of ours would take the place of its first.
        if not self.is_open:
            raise OSError("the spill is closed")

    def _path_of(self, number: int) -> Path:
        return self._directory / f"{number:012d}{SUFFIX}"

    def _find(self) -> None:
        numbers = sorted(
            int(path.name.removesuffix(SUFFIX))
            for path in self._directory.glob(f"*{SUFFIX}")
            if path.name.removesuffix(SUFFIX).isdigit()
        )
        first, offset = self._cursor()
        for number in numbers:
            segment = Segment(number, self._path_of(number))
            if number >= first:
                survey(segment, offset if number == first else 0)
            if segment.is_taken:
                segment.path.unlink(missing_ok=True)
            else:
                self._segments.append(segment)
        if self._segments:
            fields = {"directory": str(self._directory), "records": self.records, "bytes": self.size}
            log.info("spilled records found", extra=fields)

    def _cursor(self) -> tuple[int, int]:
        try:
            number, offset = (self._directory / "cursor").read_text("ascii").split()
            return int(number), int(offset)
        except (OSError, ValueError):
            return 0, 0

    def _writable(self, length: int) -> Segment:
        last = self._segments[-1] if self._segments else None
        if self._writing is not None and last is not None and last.size + length <= self._segment_bytes:
            return last
        number = last.number + 1 if last else FIRST_NUMBER
        segment = Segment(number, self._path_of(number))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(segment.path, flags, 0o600)
        self._stop_writing()
        self._writing = descriptor
        self._segments.append(segment)
        return segment

    def _write(self, segment: Segment, frame: bytes) -> None:
        if self._writing is None:
            raise OSError("the spill is closed")
        try:
            write_all(self._writing, frame)
        except OSError:
            # Half a frame would end the segment for every reader: the next frame has to begin where it began.
            self._stop_writing()
            with contextlib.suppress(OSError):
                os.truncate(segment.path, segment.size)
            if not segment.size:
                self._segments.remove(segment)
                segment.path.unlink(missing_ok=True)
            raise
        segment.size += len(frame)

    def _make_room(self, length: int) -> None:
        while self._segments and self.size + length > self._bound:
            oldest = self._segments.popleft()
            # What is being stored from it is no longer on disk.
            self._holds_taken = self._holds_taken and oldest.taken == 0
            lost = oldest.records
            self._delete(oldest)
            if lost:
                self._lost("spill_full", lost)

    def _read(self, segment: Segment) -> Chunk | None:
        descriptor = self._readable(segment)
        header = os.pread(descriptor, HEADER.size, segment.taken)
        if len(header) == HEADER.size:
            length, checksum, count, chunk_id = HEADER.unpack(header)
            lines = os.pread(descriptor, length, segment.taken + HEADER.size)
            if len(lines) == length and zlib.crc32(lines, zlib.crc32(chunk_id)) == checksum:
                return Chunk(lines, chunk_id, count)
        log.error("spill is damaged", extra={"file": str(segment.path), "records": segment.records})
        lost, segment.records = segment.records, 0
        segment.taken = segment.size
        self._lost("spill_damaged", lost)
        return None

    def _readable(self, segment: Segment) -> int:
        if self._reading is None or self._reading[0] != segment.number:
            self._stop_reading()
            self._reading = segment.number, os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        return self._reading[1]

    def _delete(self, segment: Segment) -> None:
        if not self._segments:
            self._stop_writing()
        if self._reading is not None and self._reading[0] == segment.number:
            self._stop_reading()
        with contextlib.suppress(OSError):
            segment.path.unlink(missing_ok=True)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            os.close(self._reading[1])
            self._reading = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None


def frame_of(chunk: Chunk) -> bytes:
    checksum = zlib.crc32(chunk.lines, zlib.crc32(chunk.id))
    return HEADER.pack(len(chunk.lines), checksum, chunk.count, chunk.id) + chunk.lines


def survey(segment: Segment, taken: int) -> None:
    """Find the end of the last whole frame, and how many records are behind `taken`."""
    with segment.path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        while len(header := os.pread(file.fileno(), HEADER.size, segment.size)) == HEADER.size:
            length, _, count, chunk_id = HEADER.unpack(header)
            segment.oldest = segment.oldest or seconds_of(chunk_id)
            after = segment.size + HEADER.size + length
            if after > end or not length:
                break
            if segment.size >= taken:
                segment.records += count
            segment.size = after
    segment.taken = min(taken, segment.size)


def write_all(descriptor: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def write_private(path: Path, data: bytes) -> None:
    """Replace a small file that only its owner may read. Raises `OSError`."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)
    new.replace(path)

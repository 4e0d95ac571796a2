"""The directory of the audit log: its files, the word of where it ends, and the lock of who writes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gatewright.audit.entries import NOTHING, BrokenEntryError, Entry, Seal, read_line, written
from gatewright.errors import GatewrightError

PREFIX = "audit-"
SUFFIX = ".jsonl"
HEAD = "head"
LOCK = "lock"
LOCK_SECONDS = 5.0
STEP_SECONDS = 0.005
# Holds the longest line several times.
TAIL_BYTES = 65_536


class AuditError(GatewrightError):
    """The audit log cannot be written, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log ended when it was last written for certain."""

    seq: int
    hash: str
    mac: str

    @classmethod
    def sealed(cls, seq: int, digest: str, seal: Seal) -> Head:
        return cls(seq, digest, seal.of(cls.text(seq, digest)))

    @staticmethod
    def text(seq: int, digest: str) -> bytes:
        return f"head {seq} {digest}".encode()


@dataclass(frozen=True, slots=True)
class Tail:
    """How a file ends: its last whole entry, where that ends, and what half line follows."""

    entry: Entry | None
    end: int
    torn: bytes
    fault: str | None = None


def name_of(first: int) -> str:
    """The name of the file whose first entry has this number."""
    return f"{PREFIX}{first:012d}{SUFFIX}"


def first_of(path: Path) -> int | None:
    """The number of a file's first entry, as its name says; `None` when it is no file of the log."""
    digits = path.name.removeprefix(PREFIX).removesuffix(SUFFIX)
    return int(digits) if path.name == f"{PREFIX}{digits}{SUFFIX}" and digits.isdecimal() else None


def files_in(directory: Path) -> list[Path]:
    """The files of the log, the oldest first. Raises `AuditError`."""
    try:
        found = [path for path in directory.iterdir() if first_of(path) is not None]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AuditError(f"{directory}: cannot be read: {error.strerror}") from error
    return sorted(found, key=lambda path: first_of(path) or 0)


def make_directory(directory: Path) -> None:
    """Only its owner may look into it. Raises `OSError`."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)


@contextlib.contextmanager
def locked(directory: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Let no other process write meanwhile. Raises `AuditError` where another one does for `seconds`."""
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while not _is_taken(descriptor):
            if time.monotonic() > deadline:
                raise AuditError(f"{directory}: another process has held the lock for {seconds:g} s")
            time.sleep(STEP_SECONDS)
        yield
    finally:
        # Closing gives the lock back.
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_tail(descriptor: int) -> Tail:
    """How an open file ends. Raises `OSError`."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - TAIL_BYTES)
    data = os.pread(descriptor, size - start, start)
    whole, _, torn = data.rpartition(b"\n")
    end = size - len(torn)
    if end == 0 or (not whole and start == 0):
        return Tail(None, 0 if end == 0 else end, torn)
    try:
        return Tail(read_line(whole.rpartition(b"\n")[2]), end, torn)
    except BrokenEntryError as error:
        return Tail(None, end, torn, str(error))


def read_head(directory: Path) -> Head | None:
    """What was last known of the log's end; `None` where nothing is. Raises `AuditError`."""
    try:
        document = json.loads((directory / HEAD).read_bytes())
        return Head(int(document["seq"]), str(document["hash"]), str(document["mac"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuditError(f"{directory / HEAD}: cannot be read: {error}") from error


def write_head(directory: Path, head: Head) -> None:
    """Remember where the log ends. After a crash it is the old one or this one. Raises `OSError`."""
    new = directory / f".{HEAD}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, written({"seq": head.seq, "hash": head.hash, "mac": head.mac}) + b"\n")
    finally:
        os.close(descriptor)
    new.replace(directory / HEAD)


def read_first(path: Path) -> Entry:
    """The first entry of a file. Raises `AuditError`."""
    try:
        with path.open("rb") as file:
            return read_line(file.readline(TAIL_BYTES).rstrip(b"\n"))
    except (OSError, BrokenEntryError) as error:
        raise AuditError(f"{path}: its first entry cannot be read: {error}") from error


BEGINNING = Head(0, NOTHING, "")

"""Where the log goes on: after a restart, a crash, a file that was changed, or another process that wrote."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from gatewright.audit.entries import LOG, NOTHING, Draft, Seal
from gatewright.audit.files import (
    AuditError,
    Head,
    Tail,
    files_in,
    first_of,
    read_first,
    read_head,
    read_tail,
)
from gatewright.control.durable import sync_directory

TORN = "log.torn"
DAMAGED = "log.damaged"
_GATEWAY = {"principal": "gateway"}


@dataclass(slots=True)
class Tip:
    """The open file and the last entry in it."""

    descriptor: int
    path: Path
    size: int
    seq: int
    hash: str
    seal: str

    def is_current(self) -> bool:
        """Has nobody else written or deleted the file?"""
        found = os.fstat(self.descriptor)
        return found.st_size == self.size and found.st_nlink == 1

    def append(self, data: bytes) -> None:
        """Write all of it and wait for the disk; what was written in part is taken back. Raises `OSError`."""
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self.descriptor, left) :]
            os.fsync(self.descriptor)
        except OSError:
            # The lock is ours, so this is nobody else's; where it fails, the next start finds half a line.
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Found:
    """The end of the log, or behind which entry a new file has to begin; and what has to be said of it."""

    tip: Tip | None
    seq: int
    hash: str
    notes: list[Draft]


def find_tip(directory: Path, seal: Seal) -> Found:
    """Stand at the last whole entry. Half a line is kept apart in a file of its own. Raises `AuditError`
    and `OSError`.
    """
    notes: list[Draft] = []
    head = _head(directory, notes)
    for path in reversed(files_in(directory)):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        tail = read_tail(descriptor)
        if tail.torn:
            notes.append(_kept_apart(path, descriptor, tail))
        if tail.end > 0:
            return _at(path, descriptor, tail, Ending(head, seal, notes))
        # A crash came before its first entry was whole; the file before it is the last one.
        os.close(descriptor)
        path.unlink()
    if head is not None:
        notes.append(_damaged(f"every file is missing; the last entry was {head.seq}"))
        return Found(None, head.seq, head.hash, notes)
    return Found(None, 0, NOTHING, notes)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of the log's end beside its last file."""

    head: Head | None
    seal: Seal
    notes: list[Draft]


def _at(path: Path, descriptor: int, tail: Tail, ending: Ending) -> Found:
    head, notes = ending.head, ending.notes
    if tail.entry is None:
        notes.append(_damaged(f"the last line of {path.name} cannot be read: {tail.fault}"))
        os.close(descriptor)
        last = (first_of(path) or 1) + path.read_bytes().count(b"\n") - 1
        known = head is not None and head.seq >= last
        return Found(None, head.seq if head and known else last, head.hash if head else NOTHING, notes)
    entry = tail.entry
    name = _seal_of(path)
    if name == ending.seal.name and ending.seal.of(entry.sealed) != entry.hash:
        notes.append(_damaged(f"entry {entry.seq} is not as it was written"))
    if head is not None and head.seq > entry.seq:
        notes.append(_damaged(f"entries {entry.seq + 1} to {head.seq} are missing"))
    elif head is not None and head.seq == entry.seq and head.hash != entry.hash:
        notes.append(_damaged(f"entry {entry.seq} is another one than was written"))
    tip = Tip(descriptor, path, tail.end, entry.seq, entry.hash, name)
    return Found(tip, entry.seq, entry.hash, notes)


def _head(directory: Path, notes: list[Draft]) -> Head | None:
    try:
        return read_head(directory)
    except AuditError as error:
        notes.append(_damaged(str(error)))
        return None


def _seal_of(path: Path) -> str:
    try:
        return str(read_first(path).document["fields"].get("seal"))
    except AuditError:
        # Not ours then, so that a new file begins.
        return "unknown"


def _kept_apart(path: Path, descriptor: int, tail: Tail) -> Draft:
    """Copy half a line into a file of its own, then take it out of the log."""
    digest = hashlib.sha256(tail.torn).hexdigest()
    apart = path.with_name(f"torn-{path.stem}-{tail.end}-{digest[:8]}")
    copy = os.open(apart, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(copy, tail.torn)
        os.fsync(copy)
    finally:
        os.close(copy)
    sync_directory(path.parent)
    os.ftruncate(descriptor, tail.end)
    fields = {"file": path.name, "kept_in": apart.name, "bytes": len(tail.torn), "sha256": digest}
    return Draft(LOG, _GATEWAY, TORN, fields=fields)


def _damaged(text: str) -> Draft:
    return Draft(LOG, _GATEWAY, DAMAGED, "failed", {"damage": text})

"""Is the audit log as it was written? Names the first entry that is not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatewright.audit.entries import NOTHING, BrokenEntryError, Entry, Seal, read_line
from gatewright.audit.files import AuditError, Head, files_in, first_of, read_head
from gatewright.audit.log import EXPIRED, OPENED
from gatewright.audit.resuming import DAMAGED, TORN

RETRIES = 20
RETRY_SECONDS = 0.05
# Two of the longest lines; more is no line of ours.
LONGEST = 65_536


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong: at which entry, in which line of which file, and what."""

    seq: int
    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: entry {self.seq}: {self.why}"


@dataclass(slots=True)
class Report:
    """What was found. `unsealed` is how many entries at the beginning have no keyed hash."""

    entries: int = 0
    first: int = 0
    last: int = 0
    hash: str = NOTHING
    seals: list[str] = field(default_factory=list)
    unsealed: int = 0
    notes: list[str] = field(default_factory=list)
    fault: Fault | None = None

    def document(self) -> dict[str, Any]:
        fault = self.fault
        return {
            "good": fault is None,
            "entries": self.entries,
            "first": self.first,
            "last": self.last,
            "hash": self.hash,
            "seals": self.seals,
            "unsealed": self.unsealed,
            "notes": self.notes,
            "fault": fault and {"entry": fault.seq, "file": fault.file, "line": fault.line, "why": fault.why},
        }


class _Wrong(Exception):
    """Ends the walk."""


class Walk:
    """Goes through the files of a log in order, one line after another."""

    def __init__(self, keys: Sequence[bytes], checkpoints: Mapping[int, str]) -> None:
        self._seals = {seal.name: seal for seal in map(Seal, (None, *keys))}
        self._is_keyed = bool(keys)
        self._checkpoints = checkpoints
        self._seal: Seal | None = None
        self._expired: dict[int, str] = {}
        self._missing: tuple[int, str] = (0, NOTHING)
        self._before: Entry | None = None
        self._place = ("", 0)
        self.report = Report()

    def files(self, directory: Path) -> None:
        """Check every file of a directory; the report then says what was found. Raises `AuditError` where
        they cannot be read.
        """
        head = read_head(directory)
        files = files_in(directory)
        if not files and head is None:
            raise AuditError(f"{directory}: no audit log is here")
        try:
            for path in files:
                self._file(path, is_last=path == files[-1])
            self._beginning(files)
            self._end(head)
        except _Wrong as wrong:
            file, line = self._place
            self.report.fault = Fault(self._expected(), file, line, str(wrong))

    def _expected(self) -> int:
        """The number that the next entry has to have; after a good one, of the one after it."""
        return self.report.last + 1 if self._before is not None else 1

    def _file(self, path: Path, *, is_last: bool) -> None:
        self._seal = None
        self._place = (path.name, 0)
        number = 0
        try:
            with path.open("rb") as file:
                while line := _line(file, is_last=is_last):
                    number += 1
                    self._place = (path.name, number)
                    self._line(line, path)
        except OSError as error:
            raise AuditError(f"{path}: cannot be read: {error.strerror}; try again") from error
        if number == 0:
            raise _Wrong("the file is empty")

    def _line(self, line: bytes, path: Path) -> None:
        if not line.endswith(b"\n"):
            raise _Wrong("the line is not whole")
        try:
            entry = read_line(line[:-1])
        except BrokenEntryError as error:
            raise _Wrong(str(error)) from error
        if self._seal is None:
            self._open(entry, path)
        if self._seal is None or self._seal.of(entry.sealed) != entry.hash:
            raise _Wrong("its hash is not that of what it says")
        self._chain(entry)
        self._count(entry)

    def _open(self, entry: Entry, path: Path) -> None:
        """The first entry of a file says how all of it is sealed."""
        if entry.document["what"] != OPENED or entry.seq != first_of(path):
            raise _Wrong(f"it is not the entry that {path.name} begins with")
        name = str(entry.document["fields"].get("seal"))
        if name not in self._seals:
            raise _Wrong(f"it is sealed with `{name}`; give its key with --key")
        if self._is_keyed and name == "sha256" and self.report.unsealed != self.report.entries:
            raise _Wrong("it is sealed with no key, and entries before it were")
        self._seal = self._seals[name]
        if name not in self.report.seals:
            self.report.seals.append(name)

    def _chain(self, entry: Entry) -> None:
        before = self._before
        if before is not None and entry.seq != before.seq + 1:
            raise _Wrong(f"entry {entry.seq} stands in its place")
        if before is not None and entry.previous != before.hash:
            raise _Wrong(f"it does not follow entry {before.seq}, whose hash is another one")
        wanted = self._checkpoints.get(entry.seq)
        if wanted is not None and wanted != entry.hash:
            raise _Wrong("its hash is not that of the checkpoint")
        if entry.document["what"] == DAMAGED:
            raise _Wrong(f"the gateway found damage here: {entry.document['fields'].get('damage')}")

    def _count(self, entry: Entry) -> None:
        report = self.report
        if self._before is None:
            report.first = entry.seq
            # What is checked at the end, when the entries that explain it have been read.
            self._missing = (entry.seq - 1, entry.previous)
        self._before = entry
        report.entries += 1
        report.last, report.hash = entry.seq, entry.hash
        report.unsealed += 1 if self._seal is not None and self._seal.key is None else 0
        fields = entry.document["fields"]
        if entry.document["what"] == EXPIRED:
            self._expired[int(fields["through"])] = str(fields["hash"])
        if entry.document["what"] == TORN:
            report.notes.append(
                f"before entry {entry.seq} half a line was found and kept in {fields['kept_in']}"
            )

    def _beginning(self, files: Sequence[Path]) -> None:
        """Is all there, or was what is not deleted by policy?"""
        if self._before is None:
            raise _Wrong("every file is missing")
        seq, digest = self._missing
        if seq == 0 and digest == NOTHING:
            return
        if self._expired.get(seq) != digest:
            self._before, self._place = None, (files[0].name, 1)
            raise _Wrong(f"entries 1 to {seq} are missing, and no entry says that they were old")
        self.report.notes.append(f"entries 1 to {seq} were deleted, as `audit.retention` and `max_size` say")

    def _end(self, head: Head | None) -> None:
        """Was anything cut off at the end?"""
        last = self.report.last
        self._place = (self._place[0], self._place[1] + 1)
        later = [seq for seq in self._checkpoints if seq > last]
        if later:
            raise _Wrong(f"entries {last + 1} to {max(later)} are missing, as a checkpoint says")
        if head is None:
            raise _Wrong("the file `head` is missing, so nobody knows where the log ended")
        if head.seq > last:
            raise _Wrong(f"entries {last + 1} to {head.seq} are missing, as `head` says")
        if self._seal is not None and head.seq == last:
            good = Head.sealed(last, self.report.hash, self._seal)
            if head != good:
                raise _Wrong("`head` is not as it was written")
        if self._is_keyed and (self._seal is None or self._seal.key is None):
            raise _Wrong("the last file is sealed with no key")


def _line(file: Any, *, is_last: bool) -> bytes:
    """The next line; of the last file what is being written now is waited for."""
    line = file.readline(LONGEST)
    for _ in range(RETRIES):
        if not line or line.endswith(b"\n") or not is_last or len(line) == LONGEST:
            break
        time.sleep(RETRY_SECONDS)
        line += file.readline(LONGEST)
    return line


def verify(
    directory: Path, keys: Sequence[bytes] = (), checkpoints: Mapping[int, str] | None = None
) -> Report:
    """Check a log from its first entry to its last. Raises `AuditError` where it cannot be read."""
    walk = Walk(keys, checkpoints or {})
    walk.files(directory)
    return walk.report

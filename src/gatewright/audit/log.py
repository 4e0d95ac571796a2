"""The audit log as it is written: appended to, never changed; the chain goes on over files, restarts and
processes.

Several processes may have the directory open, as while one takes over from another: each takes the lock for
every write and goes on from where the other stopped. What is written is on disk when `append` returns.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gatewright import __version__
from gatewright.audit.entries import LOG, Draft, Seal, line_of
from gatewright.audit.files import (
    AuditError,
    Head,
    files_in,
    locked,
    make_directory,
    name_of,
    read_first,
    write_head,
)
from gatewright.audit.resuming import Tip, find_tip
from gatewright.control.durable import sync_directory

FORMAT = 1
GATEWAY = {"principal": "gateway"}

OPENED = "log.opened"
ROTATED = "log.rotated"
EXPIRED = "log.expired"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How the log is kept; times in seconds."""

    key: bytes | None = None
    retention: float = 365 * 86_400.0
    file_bytes: int = 16 << 20
    total_bytes: int = 1 << 30
    decisions: bool = True
    decisions_per_second: int = 100
    required: bool = False


class AuditLog:
    """The log in one directory. May be used by any thread; each call waits for the disk."""

    def __init__(self, directory: Path, settings: AuditSettings | None = None) -> None:
        self.directory = directory
        self.settings = settings or AuditSettings()
        self.written: Counter[str] = Counter()
        self._seal = Seal(self.settings.key)
        self._tip: Tip | None = None
        self._mutex = threading.Lock()

    def use(self, settings: AuditSettings) -> None:
        """Go on with other settings. With another key a new file begins."""
        with self._mutex:
            self.settings, self._seal = settings, Seal(settings.key)

    @property
    def head(self) -> tuple[int, str] | None:
        """Number and hash of the last entry that this process knows of."""
        tip = self._tip
        return None if tip is None else (tip.seq, tip.hash)

    def append(self, drafts: Sequence[Draft]) -> None:
        """Write entries; they are on disk afterwards. Raises `AuditError`, and then none may count as
        written.
        """
        with self._writing():
            self._write(drafts)

    def expire(self, now: datetime | None = None) -> int:
        """Delete whole files that are too old, or too many; give how many. First an entry says so. Raises
        `AuditError`.
        """
        with self._writing():
            return self._expire(now or datetime.now(UTC))

    def close(self) -> None:
        """Give the file back; the next `append` opens it anew."""
        with self._mutex:
            self._forget()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._mutex:
            try:
                make_directory(self.directory)
                with locked(self.directory):
                    self._resume()
                    yield
            except OSError as error:
                self._forget()
                raise AuditError(f"{self.directory}: cannot be written: {error.strerror}") from error
            except AuditError:
                self._forget()
                raise

    def _forget(self) -> None:
        if self._tip is not None:
            self._tip.close()
            self._tip = None

    def _resume(self) -> None:
        """Stand at the end of the log, in a file of the own seal."""
        notes: list[Draft] = []
        if self._tip is None or not self._tip.is_current():
            self._forget()
            found = find_tip(self.directory, self._seal)
            self._tip, notes = found.tip, found.notes
            if self._tip is None:
                self._begin(found.seq, found.hash)
        if self._tip is not None and self._tip.seal != self._seal.name:
            self._rotate()
        if notes:
            self._write(notes)

    def _begin(self, seq: int, previous: str) -> None:
        """A new file behind the entry with this number and hash."""
        path = self.directory / name_of(seq + 1)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._tip = Tip(os.open(path, flags, 0o600), path, 0, seq, previous, self._seal.name)
        fields = {"format": FORMAT, "seal": self._seal.name, "gateway_version": __version__}
        self._put([Draft(LOG, GATEWAY, OPENED, fields=fields)])
        sync_directory(self.directory)

    def _rotate(self) -> None:
        tip = self._known()
        # Said in the old file in its own seal where that is ours; else the new file's first entry has to do.
        if tip.seal == self._seal.name:
            self._put([Draft(LOG, GATEWAY, ROTATED)])
        seq, digest = tip.seq, tip.hash
        self._forget()
        self._begin(seq, digest)

    def _write(self, drafts: Sequence[Draft]) -> None:
        self._put(drafts)
        if self._known().size > self.settings.file_bytes:
            self._rotate()
            self._expire(datetime.now(UTC))

    def _put(self, drafts: Sequence[Draft]) -> None:
        """Append to the file at hand, and wait for the disk."""
        tip, seq, previous, lines = self._known(), self._known().seq, self._known().hash, []
        for draft in drafts:
            seq += 1
            line, previous = line_of(draft, seq, previous, self._seal, os.getpid())
            lines.append(line)
        tip.append(b"".join(lines))
        tip.seq, tip.hash = seq, previous
        write_head(self.directory, Head.sealed(seq, previous, self._seal))
        self.written.update(draft.kind for draft in drafts)

    def _expire(self, now: datetime) -> int:
        files = files_in(self.directory)
        kept = self._kept(files, now)
        gone = files[: len(files) - len(kept)]
        if gone:
            # A file that somebody changed says nothing of what was before it: then nothing is deleted.
            first = read_first(kept[0])
            fields = {
                "through": first.seq - 1,
                "hash": first.previous,
                "files": [path.name for path in gone],
                "why": "older than `audit.retention`, or beyond `audit.max_size`",
            }
            # First: files that are gone and no entry that says so would be a gap.
            self._put([Draft(LOG, GATEWAY, EXPIRED, fields=fields)])
            for path in gone:
                path.unlink(missing_ok=True)
            sync_directory(self.directory)
        return len(gone)

    def _kept(self, files: list[Path], now: datetime) -> list[Path]:
        """The newest files within the bounds; the one that is written to is always kept."""
        oldest = now - timedelta(seconds=self.settings.retention)
        total, kept = 0, files[-1:]
        for path, newer in zip(reversed(files[:-1]), reversed(files[1:]), strict=True):
            total += path.stat().st_size
            # All in a file is older than the first entry of the next one.
            if total > self.settings.total_bytes - self.settings.file_bytes or begun(newer) < oldest:
                break
            kept.insert(0, path)
        return kept

    def _known(self) -> Tip:
        if self._tip is None:
            raise AuditError(f"{self.directory}: no file is open")
        return self._tip


def begun(path: Path) -> datetime:
    """When a file was begun. Raises `OSError`."""
    try:
        return datetime.fromisoformat(read_first(path).document["time"])
    except (AuditError, ValueError):
        # Somebody changed it, which `verify` tells; it still has to go some day.
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)

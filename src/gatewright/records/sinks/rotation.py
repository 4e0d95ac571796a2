"""Rotation of a file that is appended to: renamed by size or time, the oldest deleted, compressed on the
side.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

log = logging.getLogger("gatewright.records")

STAMP = "%Y%m%dT%H%M%S.%fZ"
# How long after a failure the file is written on.
PAUSE = timedelta(seconds=10)
RENAMED = re.compile(r"\d{8}T\d{6}\.\d{6}Z(\.gz)?")


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """Bytes and seconds after which a file is renamed, and how many renamed ones stay."""

    size: int | None = None
    every: float | None = None
    keep: int = 10
    compress: bool = False


class Rotation:
    """Says when a file is due, and renames it. Used by one thread."""

    def __init__(self, path: Path, settings: RotationSettings, now: Callable[[], datetime]) -> None:
        self._path = path
        self._settings = settings
        self._now = now
        self._period: int | None = None
        self._again_at = datetime.fromtimestamp(0, UTC)
        self._compressing: threading.Thread | None = None

    def opened(self, descriptor: int) -> None:
        """A file was opened; one that was there already belongs to the time of its last line."""
        found = os.fstat(descriptor)
        self._period = self._period_of(found.st_mtime if found.st_size else self._now().timestamp())

    def is_due(self, descriptor: int) -> bool:
        """Whether the open file is full, or of a time that is over. An empty one never is."""
        size, settings = os.fstat(descriptor).st_size, self._settings
        if not size:
            self._period = self._period_of(self._now().timestamp())
            return False
        if self._now() < self._again_at:
            return False
        if settings.size is not None and size >= settings.size:
            return True
        return settings.every is not None and self._period_of(self._now().timestamp()) != self._period

    def rotate(self) -> None:
        """Rename the file, which may not be open for writing any more. Raises `OSError`, and the file is not
        due for a while.
        """
        self._again_at = self._now() + PAUSE
        new = self._path.with_name(f"{self._path.name}.{self._now().astimezone(UTC).strftime(STAMP)}")
        if new.exists():
            raise FileExistsError(f"{new} exists")
        self._path.rename(new)
        self._again_at = self._now()
        for path in self.renamed()[: -self._settings.keep]:
            path.unlink(missing_ok=True)
        if self._settings.compress and (self._compressing is None or not self._compressing.is_alive()):
            self._compressing = threading.Thread(target=self._compress, name=f"gzip-{new.name}", daemon=True)
            self._compressing.start()

    def close(self, seconds: float = 5.0) -> None:
        """Wait for what is being compressed; the rest is compressed after the next rotation."""
        if self._compressing is not None:
            self._compressing.join(seconds)

    def renamed(self) -> list[Path]:
        """The renamed files, the oldest first."""
        prefix = self._path.name + "."
        found = (path for path in self._path.parent.iterdir() if path.name.startswith(prefix))
        return sorted(path for path in found if RENAMED.fullmatch(path.name.removeprefix(prefix)))

    def _period_of(self, seconds: float) -> int:
        return int(seconds // self._settings.every) if self._settings.every is not None else 0

    def _compress(self) -> None:
        for path in self.renamed():
            if path.suffix == ".gz":
                continue
            try:
                compress(path)
            except OSError as error:
                log.warning(
                    "a renamed file cannot be compressed", extra={"file": str(path), "error": str(error)}
                )
                return


def compress(path: Path) -> None:
    """Replace a file by its gzip, as readable as it was. Raises `OSError`."""
    done, half = path.with_name(path.name + ".gz"), path.with_name(path.name + ".gz.half")
    try:
        with path.open("rb") as source, half.open("wb") as target:
            os.fchmod(target.fileno(), os.fstat(source.fileno()).st_mode & 0o777)
            with gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=6) as packed:
                shutil.copyfileobj(source, packed, 1 << 20)
        half.rename(done)
    except OSError:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)

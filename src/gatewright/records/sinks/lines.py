"""Sinks for lines: standard output, or a file that is only ever appended to. JSON passes through unparsed."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gatewright.config.models.records import FileSink as FileModel
from gatewright.config.models.records import StdoutSink
from gatewright.records.batch import Batch
from gatewright.records.build import Place
from gatewright.records.sink import SinkError
from gatewright.records.sinks.formats import Format, as_it_is, format_of
from gatewright.records.sinks.rotation import Rotation, RotationSettings

log = logging.getLogger("gatewright.records")

STANDARD_OUTPUT = 1


class Formatted:
    """The lines of the last batch, made once: a retry goes on in the middle of them."""

    def __init__(self, make: Format) -> None:
        self._make = make
        self._batch: Batch | None = None
        self._lines = b""

    def lines(self, batch: Batch) -> bytes:
        if self._batch is not batch:
            self._batch, self._lines = batch, self._make(batch)
        return self._lines


class StandardOutputSink:
    """Writes batches to file descriptor 1, for whatever collects the output of the process."""

    def __init__(
        self, name: str = "stdout", make: Format = as_it_is, descriptor: int = STANDARD_OUTPUT
    ) -> None:
        self.name = name
        self._descriptor = descriptor
        self._formatted = Formatted(make)
        self._progress = Progress()

    def write(self, batch: Batch) -> None:
        self._progress.append(self._descriptor, self._formatted.lines(batch))

    def reopen(self) -> None:
        """Standard output cannot be opened anew; nothing to do."""

    def close(self) -> None:
        """The descriptor belongs to the process and stays open."""


class FileSink:
    """Appends batches to one file (mode 0640), which `reopen` closes and opens anew after a rotation by
    others, and which `rotation` renames where the configuration says so.
    """

    def __init__(
        self, path: Path, name: str = "file", make: Format = as_it_is, rotation: Rotation | None = None
    ) -> None:
        self.name = name
        self._path = path
        self._formatted = Formatted(make)
        self._rotation = rotation
        self._descriptor: int | None = None
        self._reopen = False
        self._progress = Progress()

    def write(self, batch: Batch) -> None:
        self._progress.append(self._opened(), self._formatted.lines(batch))

    def reopen(self) -> None:
        # Only marked: the descriptor belongs to the writing thread.
        self._reopen = True

    def close(self) -> None:
        self._give_back()
        if self._rotation is not None:
            self._rotation.close()

    def _give_back(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        # A batch that was cut short goes on in the file in which it began, or one line would lie in two
        # files.
        if self._reopen and not self._progress.is_torn:
            self._reopen = False
            self._give_back()
        if self._descriptor is None:
            self._descriptor = self._open()
        rotation = self._rotation
        if rotation is not None and not self._progress.is_torn and rotation.is_due(self._descriptor):
            self._give_back()
            self._rotate(rotation)
            self._descriptor = self._open()
        return self._descriptor

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o640)
        except OSError as error:
            raise SinkError(f"`{self._path}` cannot be opened: {error.strerror}") from error
        if self._rotation is not None:
            self._rotation.opened(descriptor)
        return descriptor

    def _rotate(self, rotation: Rotation) -> None:
        try:
            rotation.rotate()
        except OSError as error:
            # Better a long file than lost records; the next batch tries again.
            log.warning("a file cannot be renamed", extra={"file": str(self._path), "error": str(error)})


def build_stdout(model: StdoutSink, place: Place) -> StandardOutputSink:
    return StandardOutputSink(model.name or model.kind, format_of(model))


def build_file(model: FileModel, place: Place) -> FileSink:
    path = place.base / model.path
    return FileSink(path, model.name or model.kind, format_of(model), rotation_of(model, path, utc_now))


def rotation_of(model: FileModel, path: Path, now: Callable[[], datetime]) -> Rotation | None:
    rotate = model.rotate
    if rotate is None:
        return None
    every = None if rotate.every is None else rotate.every / 1000
    size = None if rotate.size is None else int(rotate.size)
    return Rotation(path, RotationSettings(size, every, rotate.keep, rotate.compress), now)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Progress:
    """How much of a batch is written, so that a retry goes on where the disk was full instead of doubling
    lines.
    """

    def __init__(self) -> None:
        self._batch = b""
        self._written = 0

    @property
    def is_torn(self) -> bool:
        """The last thing written is a part of a line."""
        return self._written > 0 and self._batch[self._written - 1 : self._written] != b"\n"

    def append(self, descriptor: int, lines: bytes) -> None:
        """Write what is left of `lines`. Raises `SinkError`, after which the same object may be given
        again.
        """
        try:
            if lines is not self._batch:
                # An earlier batch was given up half way: its torn line must not swallow the next one.
                if self.is_torn:
                    os.write(descriptor, b"\n")
                self._batch, self._written = lines, 0
            while self._written < len(lines):
                self._written += os.write(descriptor, memoryview(lines)[self._written :])
        except OSError as error:
            raise SinkError(f"cannot be written: {error.strerror}") from error
        self._batch, self._written = b"", 0

"""Sinks for JSON lines: standard output, or a file that is only ever appended to. Bytes pass through
unparsed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gatewright.config.models.records import FileSink as FileModel
from gatewright.config.models.records import StdoutSink
from gatewright.records.batch import Batch
from gatewright.records.build import Place
from gatewright.records.sink import SinkError

STANDARD_OUTPUT = 1


class StandardOutputSink:
    """Writes batches to file descriptor 1, for whatever collects the output of the process."""

    def __init__(self, name: str = "stdout", descriptor: int = STANDARD_OUTPUT) -> None:
        self.name = name
        self._descriptor = descriptor
        self._progress = Progress()

    def write(self, batch: Batch) -> None:
        self._progress.append(self._descriptor, batch.lines)

    def reopen(self) -> None:
        """Standard output cannot be opened anew; nothing to do."""

    def close(self) -> None:
        """The descriptor belongs to the process and stays open."""


class FileSink:
    """Appends batches to one file (mode 0640), which `reopen` closes and opens anew after a rotation."""

    def __init__(self, path: Path, name: str = "file") -> None:
        self.name = name
        self._path = path
        self._descriptor: int | None = None
        self._reopen = False
        self._progress = Progress()

    def write(self, batch: Batch) -> None:
        self._progress.append(self._opened(), batch.lines)

    def reopen(self) -> None:
        # Only marked: the descriptor belongs to the writing thread.
        self._reopen = True

    def close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        # A batch that was cut short goes on in the file in which it began, or one line would lie in two
        # files.
        if self._reopen and not self._progress.is_torn:
            self._reopen = False
            self.close()
        if self._descriptor is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o640)
            except OSError as error:
                raise SinkError(f"`{self._path}` cannot be opened: {error.strerror}") from error
        return self._descriptor


def build_stdout(model: StdoutSink, place: Place) -> StandardOutputSink:
    return StandardOutputSink(model.name or model.kind)


def build_file(model: FileModel, place: Place) -> FileSink:
    return FileSink(place.base / model.path, model.name or model.kind)


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

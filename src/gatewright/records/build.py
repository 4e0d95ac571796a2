"""From the settings of sinks to sinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gatewright.errors import GatewrightError
from gatewright.records.lines import FileSink, StandardOutputSink
from gatewright.records.sink import Sink
from gatewright.records.sqlite import RETENTION, SqliteSink


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """One sink as configured: `stdout`, `file` (needs a path) or `sqlite` (needs a directory)."""

    kind: str
    path: Path | None = None
    retention: timedelta = RETENTION


def build_sinks(settings: Sequence[SinkSettings]) -> list[Sink]:
    """A sink for each of the settings, nothing opened yet. Raises `GatewrightError` for an unknown kind."""
    return [build_sink(one) for one in settings]


def build_sink(settings: SinkSettings) -> Sink:
    if settings.kind == "stdout":
        return StandardOutputSink()
    if settings.kind == "file" and settings.path is not None:
        return FileSink(settings.path)
    if settings.kind == "sqlite" and settings.path is not None:
        return SqliteSink(settings.path, settings.retention)
    raise GatewrightError(
        f"`{settings.kind}` is no sink, or its path is missing; known: stdout, file, sqlite"
    )

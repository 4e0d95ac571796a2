"""From the settings of sinks to sinks: what makes which kind.

A new kind is a model in the union `Sink` of `config/models/records.py`, a file here with a function that
makes the sink, and an entry of `BUILDERS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from gatewright.config.models.delivery import SinkSection
from gatewright.config.models.records import SqliteSink
from gatewright.records.settings import LaneSettings, RetrySettings, SpillSettings
from gatewright.records.sink import Sink
from gatewright.records.worker import Outlet, RecordWorker

# Imported when a sink of the kind is made, so that its library is needed only then. Each takes the model and
# the `Place`, opens nothing yet, and raises `GatewrightError` with what to install.
BUILDERS = {
    "stdout": "gatewright.records.sinks.lines:build_stdout",
    "file": "gatewright.records.sinks.lines:build_file",
    "postgresql": "gatewright.records.sinks.postgresql:build_postgresql",
    "sqlite": "gatewright.records.sinks.sqlite:build_sqlite",
    "webhook": "gatewright.records.sinks.remote:build_webhook",
    "elasticsearch": "gatewright.records.sinks.remote:build_elasticsearch",
    "loki": "gatewright.records.sinks.remote:build_loki",
    "clickhouse": "gatewright.records.sinks.remote:build_clickhouse",
    "otlp": "gatewright.records.sinks.remote:build_otlp",
    "kafka": "gatewright.records.sinks.remote:build_kafka",
    # No kind that is configured as a sink: `tracing.export` is one.
    "spans": "gatewright.tracing.exporter:build_spans",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What paths of sinks are relative to, and where they keep things by default."""

    base: Path
    records: Path
    spills: Path


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """One sink as configured. Two are equal when nothing in them differs."""

    kind: str
    name: str
    place: Place
    key: str = field(repr=False)
    model: SinkSection = field(compare=False, repr=False)

    @property
    def directory(self) -> Path | None:
        """Where SQLite keeps records, for those who read them."""
        return sqlite_directory(self.model, self.place) if isinstance(self.model, SqliteSink) else None


Builder = Callable[[Any, Place], Sink]
M = TypeVar("M", bound=SinkSection)


def settings_of(models: Iterable[Any], place: Place) -> tuple[SinkSettings, ...]:
    """The sinks of a configuration."""
    return tuple(
        # The key stays in this process; it may hold secrets.
        SinkSettings(one.kind, one.name or one.kind, place, key_of(one, place), one)
        for one in models
    )


def key_of(model: SinkSection, place: Place) -> str:
    return json.dumps([model.model_dump(mode="json"), str(place)], sort_keys=True)


def sqlite_directory(model: SqliteSink, place: Place) -> Path:
    return place.base / model.path if model.path else place.records


def default_sinks(place: Place) -> tuple[SinkSettings, ...]:
    """Where records go when no configuration says so."""
    return settings_of([SqliteSink()], place)


def use_sinks(worker: RecordWorker, settings: Sequence[SinkSettings]) -> None:
    """Send records to these sinks; those that are in use already stay with all that they hold. Blocks. Raises
    `GatewrightError` for a sink whose library is missing; nothing is changed then.
    """
    running = worker.keys()
    added = [outlet_of(one) for one in settings if one.key not in running]
    worker.use([one.key for one in settings], added)


def outlet_of(settings: SinkSettings) -> Outlet:
    return Outlet(settings.key, build_sink(settings), lane_settings(settings))


def build_sink(settings: SinkSettings) -> Sink:
    """The sink, nothing opened yet. Raises `GatewrightError` where a library is missing."""
    module, _, name = BUILDERS[settings.kind].partition(":")
    build: Builder = getattr(import_module(module), name)
    return build(settings.model, settings.place)


def lane_settings(settings: SinkSettings) -> LaneSettings:
    model, spill = settings.model, None
    if model.spill is not None:
        directory = settings.place.spills / settings.name
        if model.spill.directory is not None:
            directory = settings.place.base / model.spill.directory
        spill = SpillSettings(directory, int(model.spill.size))
    return LaneSettings(
        batch_records=model.batch.records,
        batch_bytes=int(model.batch.bytes),
        batch_wait=model.batch.wait / 1000,
        queue_bytes=int(model.queue),
        retry=RetrySettings(model.retry.first / 1000, model.retry.longest / 1000, model.retry.attempts),
        spill=spill,
    )

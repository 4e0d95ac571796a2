"""Models of decision records: where they go."""

from typing import Annotated, Literal

from pydantic import Field

from gatewright.config.models.base import OneOrMany, Section, Text
from gatewright.config.models.delivery import SinkSection
from gatewright.config.quantities import Duration, duration


class StdoutSink(SinkSection):
    """Writes each record as a line of JSON to standard output."""

    kind: Literal["stdout"] = Field("stdout", description="`stdout`; must be written in files.")


class FileSink(SinkSection):
    """Appends each record as a line of JSON to a file, which is opened again on SIGHUP."""

    kind: Literal["file"] = Field("file", description="`file`; must be written in files.")
    path: Text = Field(description="The file, relative to the configuration file.")


class SqliteSink(SinkSection):
    """Keeps records in hourly SQLite files, where `gatewright records` and `explain` find them."""

    kind: Literal["sqlite"] = Field("sqlite", description="`sqlite`; must be written in files.")
    path: Text | None = Field(
        None,
        description="The directory, relative to the configuration file; `records` in the state directory by "
        "default.",
    )
    retention: Annotated[Duration, duration("1h", "3650d")] = Field(
        Duration.of("30d"), description="Age at which an hour of records is deleted."
    )


Sink = Annotated[StdoutSink | FileSink | SqliteSink, Field(discriminator="kind")]
"""Every kind of sink; `records/build.py` says what makes it."""


def _default_sinks() -> list[Sink]:
    return [SqliteSink()]


class Records(Section):
    """Where decision records go."""

    sinks: Annotated[list[Sink], OneOrMany] = Field(
        default_factory=_default_sinks,
        description="Where records are written; `[{kind: sqlite}]` by default; with `[]` none are written.",
    )
    queue: int = Field(
        10_000,
        ge=100,
        le=10_000_000,
        description="Records that wait for the sinks; above it the oldest are dropped and counted.",
    )

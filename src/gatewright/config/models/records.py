"""Models of decision records: where they go, and what they say."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gatewright.config.models.base import OneOrMany, Section, Text
from gatewright.config.models.delivery import RemoteSinkSection, SinkBatch, SinkSection
from gatewright.config.models.recording import (
    PROFILE,
    Profile,
    RecordedHeaders,
    Redact,
    SampleField,
    UserId,
    UserIdField,
)
from gatewright.config.models.sinks import RemoteSink
from gatewright.config.quantities import Duration, Size, duration, size

# The name of the field hides that of the function.
_RotationSize = Annotated[Size, size("64KiB", "1000GiB")]


class LineSink(SinkSection):
    """A sink that writes lines for people and for programs that collect logs."""

    format: Literal["json", "logfmt", "combined"] = Field(
        "json",
        description="`json` as it is, `logfmt` (`status=200 path=/a`), or `combined`, the access log of "
        "Apache.",
    )
    fields: Annotated[list[Text], OneOrMany, Field(min_length=1)] | None = Field(
        None,
        description="Fields of the record to write, in this order; all by default. Not with `combined`, "
        "which has its own.",
    )


class StdoutSink(LineSink):
    """Writes each record as a line to standard output."""

    kind: Literal["stdout"] = Field("stdout", description="`stdout`; must be written in files.")


class Rotation(Section):
    """When a file is renamed to `FILE.TIME`, and a new one begun; at least one of `size` and `every`."""

    size: _RotationSize | None = Field(None, description="As soon as it has so many bytes.")
    every: Annotated[Duration, duration("1m", "365d")] | None = Field(
        None, description="When this time is over, counted from midnight UTC: `1h` is every full hour."
    )
    keep: int = Field(
        10, ge=1, le=10_000, description="Renamed files that stay; above it the oldest are deleted."
    )
    compress: bool = Field(False, description="Compress renamed files with gzip, beside the writing.")

    @model_validator(mode="after")
    def _needs_a_cause(self) -> Self:
        if self.size is None and self.every is None:
            message = "give `size`, `every` or both"
            raise ValueError(message)
        return self


class FileSink(LineSink):
    """Appends each record as a line to a file, which is opened again on SIGHUP."""

    kind: Literal["file"] = Field("file", description="`file`; must be written in files.")
    path: Text = Field(description="The file, relative to the configuration file.")
    rotate: Rotation | None = Field(
        None, description="When the file is renamed and a new one begun; never by default."
    )


class Keep(Section):
    """Records that are kept for longer than the rest of their hour or day."""

    where: Annotated[list[Text], OneOrMany, Field(min_length=1, max_length=10)] = Field(
        description="Which records, as `gatewright records --where` has it, such as `status>=500` or "
        "`rate_limited=true`. All must hold.",
    )
    retention: Annotated[Duration, duration("1h", "3650d")] = Field(
        description="Age at which they are deleted; longer than `retention` of the sink."
    )


KeepField = Annotated[list[Keep], OneOrMany, Field(max_length=20)]
KEEP = "Records that are kept for longer; a record that several name for the longest. None by default."


class SqliteSink(SinkSection):
    """Keeps records in hourly SQLite files, where `gatewright records` and `explain` find them."""

    kind: Literal["sqlite"] = Field("sqlite", description="`sqlite`; must be written in files.")
    path: Text | None = Field(
        None,
        description="The directory, relative to the configuration file; `records` in the state directory by "
        "default.",
    )
    retention: Annotated[Duration, duration("1h", "3650d")] = Field(
        Duration.of("30d"), description="Age at which an hour of records is deleted, but for `keep`."
    )
    keep: KeepField = Field(default_factory=list, description=KEEP)
    max_size: Annotated[Size, size("64MiB", "1000GiB")] | None = Field(
        None,
        description="Bytes of all files together above which the oldest hours are deleted, whatever their "
        "age; looked at once a minute. The hour that is written stays. No bound by default.",
    )
    # An index costs by pages touched, and a large batch touches each once: 1,000 records a transaction halve
    # the rate.
    batch: SinkBatch = Field(
        default_factory=lambda: SinkBatch(records=10_000, bytes=Size.of("16MiB")),
        description="When records are given to the sink.",
    )


class PostgresqlSink(RemoteSinkSection):
    """Copies records into a table of PostgreSQL that is partitioned by day, each exactly once."""

    kind: Literal["postgresql"] = Field("postgresql", description="`postgresql`; must be written in files.")
    batch: SinkBatch = Field(
        default_factory=lambda: SinkBatch(records=5000, bytes=Size.of("4MiB"), wait=Duration.of("500ms")),
        description="When records are given to the sink. Of a large batch the server takes the first part "
        "while the next is made ready.",
    )
    url: Annotated[str, Field(pattern=r"^postgres(ql)?://.+")] = Field(
        description="`postgresql://user:password@host:5432/database`. Keep the password out of the file with "
        "`${env:NAME}`."
    )
    table: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,39}$")] = Field(
        "gateway_records",
        description="The table, which the sink makes with its partitions and `TABLE_chunks` beside it, and "
        "`TABLE_late` where there is `keep`.",
    )
    retention: Annotated[Duration, duration("1d", "3650d")] = Field(
        Duration.of("30d"), description="Age at which a day of records is dropped, but for `keep`."
    )
    keep: KeepField = Field(
        default_factory=list,
        description=f"{KEEP} Every gateway that writes to the table must have the same.",
    )
    timeout: Annotated[Duration, duration("100ms", "10m")] = Field(
        Duration.of("30s"),
        description="How long a batch may take; then its connection is closed and it is tried again.",
    )


Sink = Annotated[
    StdoutSink | FileSink | SqliteSink | PostgresqlSink | RemoteSink, Field(discriminator="kind")
]
"""Every kind of sink; `records/build.py` says what makes it."""


def _default_sinks() -> list[Sink]:
    return [SqliteSink()]


class Records(Section):
    """Where decision records go, and what they say."""

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
    sample: SampleField = Field(
        None, description="Which successes are recorded while there are many, or `off`: all, by default."
    )
    profile: Profile = Field("standard", description=PROFILE)
    redact: Redact = Field(default_factory=Redact, description="What is kept out of records.")
    user_id: UserIdField = Field(
        default_factory=UserId, description="How users are named: `plain`, by default, or hashed."
    )
    headers: RecordedHeaders = Field(
        default_factory=RecordedHeaders, description="Headers that records tell; none by default."
    )

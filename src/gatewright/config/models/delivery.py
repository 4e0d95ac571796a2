"""Models of how records are delivered to a sink: what all kinds of sinks have in common."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from gatewright.config.models.base import Name, Section, Text, _switched
from gatewright.config.quantities import Duration, Size, duration, size

# The name of the field hides that of the function.
_SpillSize = Annotated[Size, size("1MiB", "1000GiB")]


class SinkBatch(Section):
    """When the records that wait for a sink are given to it."""

    records: int = Field(1000, ge=1, le=100_000, description="As soon as there are so many.")
    bytes: Annotated[Size, size("1KiB", "64MiB")] = Field(
        Size.of("1MiB"), description="As soon as their lines of JSON have so many bytes."
    )
    wait: Annotated[Duration, duration("0s", "5m")] = Field(
        Duration.of("50ms"), description="As soon as the oldest has waited for so long."
    )


class SinkRetry(Section):
    """How a batch is tried again that a sink could not store."""

    first: Annotated[Duration, duration("1ms", "1h")] = Field(
        Duration.of("200ms"),
        description="Wait before the second attempt; each further one waits twice as long.",
    )
    longest: Annotated[Duration, duration("1ms", "1h")] = Field(
        Duration.of("10s"), description="No wait is longer."
    )
    attempts: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="How often a batch is tried before it is dropped and counted; without it, until it is "
        "stored, while newer ones wait, are spilled, and are dropped when there is no room.",
    )


class Spill(Section):
    """Where records wait on disk for a sink that is slow or dead, also over a restart of the gateway."""

    size: _SpillSize = Field(
        Size.of("256MiB"),
        description="Bytes on disk; above it the oldest records are dropped and counted.",
    )
    directory: Text | None = Field(
        None,
        description="The directory, relative to the configuration file; `spill/NAME` in the state directory "
        "by default. No other sink and no other node may use it.",
    )


class SinkSection(Section):
    """What every sink has. A remote one spills by default; one on this machine does where it says so."""

    name: Name | None = Field(
        None, description="Name of the sink in metrics and logs, and of its spill; its kind by default."
    )
    batch: SinkBatch = Field(default_factory=SinkBatch, description="When records are given to the sink.")
    queue: Annotated[Size, size("64KiB", "4GiB")] = Field(
        Size.of("32MiB"),
        description="Bytes of records that wait in memory; above it the oldest are dropped and counted, "
        "unless there is a spill, which takes over from the half.",
    )
    retry: SinkRetry = Field(
        default_factory=SinkRetry, description="How a batch is tried again that could not be stored."
    )
    spill: Annotated[Spill | None, BeforeValidator(_switched)] = Field(
        None, description="Where records wait on disk that the sink does not take; `on` or a section."
    )


class RemoteSinkSection(SinkSection):
    """A sink on another machine: larger waits, and a spill unless it is `off`."""

    batch: SinkBatch = Field(
        default_factory=lambda: SinkBatch(wait=Duration.of("500ms")),
        description="When records are given to the sink.",
    )
    spill: Annotated[Spill | None, BeforeValidator(_switched)] = Field(
        default_factory=Spill,
        description="Where records wait on disk that the sink does not take; `off` for none.",
    )

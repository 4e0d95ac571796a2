"""Models of traces: what services are told of them, which are sampled, where spans go."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gatewright.config.models.base import Headers, OneOrMany, Section, Text
from gatewright.config.models.delivery import SinkBatch, SinkRetry, SinkSection
from gatewright.config.quantities import Duration, duration

TraceFormat = Literal["w3c", "b3", "b3_single"]

Sample = Annotated[float, Field(ge=0, le=1)]


def _address(url: str) -> str:
    if not re.match(r"https?://[^/\s]+", url):
        message = f"`{url}` is no address of a collector; write `http://{url}` or `https://{url}`"
        raise ValueError(message)
    return url


class SpanExport(SinkSection):
    """A collector that takes spans by OTLP. What it does not take waits in memory, and on disk with
    `spill`."""

    url: Annotated[Text, AfterValidator(_address)] = Field(
        description="Of the collector: `http://collector:4318` for `http`, to which `/v1/traces` is added "
        "where there is no path; `http://collector:4317` for `grpc`. `https://` with TLS.",
    )
    protocol: Literal["http", "grpc"] = Field(
        "http",
        description="OTLP over HTTP in protobuf, or over gRPC, which needs `gatewright[grpc]`.",
    )
    headers: Headers = Field(
        default_factory=dict,
        description="Sent with every request, such as the key that the collector demands. Keep it out of the "
        "file with `${env:NAME}`.",
    )
    ca_file: Text | None = Field(
        None,
        description="PEM file with the authorities that are trusted at an `https://` address, relative to "
        "the configuration file; those of the system by default.",
    )
    compression: Literal["gzip", "none"] = Field("gzip", description="Of what is sent.")
    timeout: Annotated[Duration, duration("100ms", "5m")] = Field(
        Duration.of("10s"),
        description="For one request with its whole answer; then the batch is tried again.",
    )
    errors: Literal["server", "all", "none"] = Field(
        "server",
        description="Requests whose spans are exported although nobody sampled them: with `server` those "
        "that failed with 500 or above or broke off, with `all` those that were refused too.",
    )
    service: Text = Field("gatewright", description="The `service.name` of the spans.")
    batch: SinkBatch = Field(
        default_factory=lambda: SinkBatch(wait=Duration.of("1s")),
        description="When records are looked through for spans, which are then sent.",
    )
    retry: SinkRetry = Field(
        default_factory=lambda: SinkRetry(attempts=5),
        description="How a batch is tried again that the collector did not take; after five attempts it is "
        "dropped and counted.",
    )


class Tracing(Section):
    """Traces of requests."""

    propagate: Annotated[list[TraceFormat], OneOrMany] = Field(
        default_factory=lambda: ["w3c"],
        min_length=1,
        description="What clients are understood in and services are told in: `w3c` (`traceparent`, "
        "`tracestate`), `b3` (`X-B3-*`), `b3_single` (`b3`). Of several that a client sends, the first in "
        "this order counts: `w3c`, `b3_single`, `b3`.",
    )
    sample: Sample = Field(
        0.01, description="Share of the traces about which no caller has decided that are sampled, 0 to 1."
    )
    parent_based: bool = Field(
        True,
        description="Whether what a caller has decided holds; otherwise `sample` is for its traces too.",
    )
    export: SpanExport | None = Field(None, description="Where spans go; nowhere by default.")

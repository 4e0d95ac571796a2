"""Models of metrics: how many series there are, and where they are sent."""

from typing import Annotated, Literal

from pydantic import Field

from gatewright.config.models.base import HeaderName, Section, Text
from gatewright.config.quantities import Duration, Size, duration, size


class Otlp(Section):
    """Sends metrics to a collector, by OTLP over HTTP with protocol buffers."""

    url: Text = Field(
        description="Where they are posted, with the path: `https://collector.example/v1/metrics`. "
        "`https` unless `allow_http`."
    )
    allow_http: bool = Field(
        False, description="Allow plain `http` for `url`. A loopback address needs no permission."
    )
    headers: dict[HeaderName, Text] = Field(
        default_factory=dict,
        description="Headers of each request, such as `Authorization`; secrets best as `${file:...}` or "
        "`${env:...}`.",
    )
    interval: Annotated[Duration, duration("1s", "1h")] = Field(
        Duration.of("60s"), description="How often everything is sent."
    )
    timeout: Annotated[Duration, duration("100ms", "1m")] = Field(
        Duration.of("10s"),
        description="How long the collector may take to answer one request. One that fails is not repeated: "
        "the next has all that it had.",
    )
    max_batch: Annotated[Size, size("16KiB", "64MiB")] = Field(
        Size.of("1MiB"),
        description="Size of one request before compression; above it metrics are spread over several. One "
        "metric is never divided.",
    )
    compression: Literal["gzip", "none"] = Field("gzip", description="How requests are compressed.")
    histograms: Literal["explicit", "exponential"] = Field(
        "explicit",
        description="`explicit` sends the fixed buckets, which every collector takes; `exponential` those of "
        "the native histogram, which are 9 % wide everywhere.",
    )


class Metrics(Section):
    """How many series metrics have, and where they are sent besides `/metrics`."""

    max_names: int = Field(
        2000,
        ge=10,
        le=100_000,
        description="Names of one kind, such as routes or instances, that have series of their own; those "
        "beyond it are counted as `other`, and `gateway_metric_names_shared` says how many they are.",
    )
    created: bool = Field(
        False,
        description="Print, in OpenMetrics, when each count began (`_created`). Prometheus stores these as "
        "further series.",
    )
    otlp: Otlp | None = Field(None, description="A collector that metrics are sent to; none by default.")

"""Models of objectives and alerts: what is watched, when it is told, and to whom."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import Name, OneOrMany, Section, Texts
from gatewright.config.quantities import Duration, Timeout, duration

Severity = Literal["critical", "high", "medium", "low"]
Window = Annotated[Duration, duration("1s", "1h")]


def _percent(value: object) -> object:
    """Read `99.9%`."""
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            return value
    return value


class Objective(Section):
    """What share of requests has to be well: answered by something else than 5xx, or in time."""

    name: Name = Field(description="Name in alerts, metrics and `gatewright alerts`.")
    kind: Literal["availability", "latency"] = Field(
        "availability",
        description="`availability`: answers below 500 are good. `latency`: those within `threshold`.",
    )
    target: Annotated[float, BeforeValidator(_percent), Field(gt=0.5, lt=1)] = Field(
        description="Share of good requests, such as `99.9%` or `0.999`. The rest is the error budget."
    )
    threshold: Annotated[Duration, duration("1ms", "10m")] | None = Field(
        None,
        description="With `latency`: what a request may take. Requests are counted in buckets, of which this "
        "one still counts as good: up to 4.4 % more.",
    )
    of: Literal["total", "overhead"] = Field(
        "total", description="With `latency`: the whole request, or the gateway's own share of it."
    )
    routes: Texts = Field(default_factory=list, description="Routes that count; all by default.")
    services: Texts = Field(default_factory=list, description="Services that count; all by default.")
    window: Annotated[Duration, duration("1h", "30d")] = Field(
        Duration.of("30d"), description="The time that the error budget is for."
    )

    @model_validator(mode="after")
    def _fitting(self) -> "Objective":
        if (self.kind == "latency") != (self.threshold is not None):
            message = "`latency` needs a `threshold`, and `availability` has none"
            raise ValueError(message)
        return self


class AlertRule(Section):
    """A rule of your own, or, under the name of one that is shipped, a change of it."""

    name: Name = Field(description="Name of the rule. One that is shipped is changed in what is said here.")
    watch: (
        Literal[
            "errors",
            "bad_gateways",
            "client_errors",
            "not_found",
            "limited",
            "bots",
            "requests",
            "response_bytes",
            "latency",
            "overhead",
        ]
        | None
    ) = Field(
        None,
        description="What is watched: a share of requests (`errors` are 5xx, `bad_gateways` 502, "
        "`client_errors` 4xx, `not_found` 404, `limited` 429, `bots` by their `User-Agent`), `requests` per "
        "second, mean `response_bytes` of 2xx, or a `percentile` of `latency` or `overhead` in milliseconds.",
    )
    test: Literal["above", "below", "rises", "falls", "absent"] | None = Field(
        None,
        description="`above` and `below` compare with `threshold`; `rises` and `falls` say that it is "
        "`threshold` times more or less than in the `window` before; `absent` that nothing comes any more "
        "where something came in the hour before. `above` by default.",
    )
    threshold: Annotated[float, BeforeValidator(_percent), Field(ge=0)] | None = Field(
        None, description="The bound; of shares from 0 to 1, or in per cent such as `5%`."
    )
    percentile: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Of `latency` and `overhead`; 0.99 by default."
    )
    window: Window | None = Field(None, description="Requests of this time count; 5 minutes by default.")
    minimum: int | None = Field(
        None, ge=1, le=1_000_000_000, description="Fewer requests in the window prove nothing; 20 by default."
    )
    lasts: Annotated[Duration, duration("0s", "1h")] | None = Field(
        None, description="How long it must be so before the alert fires; at once by default."
    )
    by: Literal["gateway", "service", "route"] | None = Field(
        None, description="One alert for the gateway, for each service or for each route."
    )
    severity: Severity | None = Field(None, description="`high` by default.")


class WebhookChannel(Section):
    """Alerts as JSON, posted to an address."""

    name: Name = Field(description="Name in metrics and logs.")
    kind: Literal["webhook"] = Field("webhook", description="`webhook`; must be written in files.")
    url: Annotated[str, Field(pattern=r"^https?://.+")] = Field(
        description="Where alerts are posted; answers of 2xx mean that they were taken. Nobody is redirected."
    )
    secret: Annotated[str, Field(min_length=16)] | None = Field(
        None,
        description="Signs each body: `X-Gatewright-Signature: t=SECONDS,v1=HEX` with the HMAC-SHA-256 of "
        "`SECONDS.BODY`. None by default.",
    )
    severities: Annotated[list[Severity], OneOrMany] = Field(
        default_factory=list, description="Which alerts go there; all by default."
    )
    resolved: bool = Field(True, description="Whether the end of an alert is told, too.")
    timeout: Timeout = Field(Duration.of("5s"), description="For one attempt.")
    attempts: int = Field(5, ge=1, le=100, description="Attempts before an alert is given up and counted.")


class AppriseChannel(Section):
    """Alerts as text, to any service that Apprise knows (mail, Slack, PagerDuty, ...)."""

    name: Name = Field(description="Name in metrics and logs.")
    kind: Literal["apprise"] = Field("apprise", description="`apprise`; must be written in files.")
    urls: Texts = Field(
        min_length=1,
        description="Addresses as Apprise writes them, such as `slack://...`; best as `${env:...}`.",
    )
    severities: Annotated[list[Severity], OneOrMany] = Field(
        default_factory=list, description="Which alerts go there; all by default."
    )
    resolved: bool = Field(True, description="Whether the end of an alert is told, too.")
    timeout: Timeout = Field(Duration.of("20s"), description="For one attempt.")
    attempts: int = Field(5, ge=1, le=100, description="Attempts before an alert is given up and counted.")


Channel = Annotated[WebhookChannel | AppriseChannel, Field(discriminator="kind")]


class Alerts(Section):
    """What is watched, and who is told. Rules that are shipped hold unless they are switched off."""

    enabled: bool = Field(True, description="Whether anything is watched at all.")
    interval: Annotated[Duration, duration("100ms", "1m")] = Field(
        Duration.of("10s"), description="Between two evaluations."
    )
    off: Texts = Field(
        default_factory=list, description="Shipped rules that do not hold, by name. A text or a list."
    )
    rules: Annotated[list[AlertRule], OneOrMany] = Field(
        default_factory=list, description="Rules of your own, and changes of those that are shipped."
    )
    channels: Annotated[list[Channel], OneOrMany] = Field(
        default_factory=list, description="Who is told; nobody by default, then the log and the page say it."
    )
    repeat: Annotated[Duration, duration("1s", "7d")] = Field(
        Duration.of("4h"), description="After this time an alert that still fires is told once more."
    )
    resolve_after: Annotated[Duration, duration("0s", "1h")] = Field(
        Duration.of("1m"), description="How long all must be well before an alert is over."
    )
    queue: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Messages that wait for a channel; above it the oldest are dropped and counted.",
    )
    max_firing: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Services or routes for which one rule may fire at a time; further ones are left out "
        "and counted.",
    )

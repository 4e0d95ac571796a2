"""Models of how a service chooses among its instances."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import Section, Text
from gatewright.config.quantities import Duration, duration


def _kind_alone(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


class RoundRobin(Section):
    """In turn, by weight. The name alone may stand for it."""

    kind: Literal["round_robin"] = Field("round_robin", description="`round_robin`: in turn, by weight.")


class LeastRequests(Section):
    """For requests that cost unequally much. The name alone may stand for it."""

    kind: Literal["least_requests"] = Field(
        "least_requests",
        description="`least_requests`: the instance with the fewest requests under way for its weight; of "
        "more than 16, the best of 16 at random.",
    )


class PeakEwma(Section):
    """For instances that are unequally quick. The name alone may stand for it."""

    kind: Literal["peak_ewma"] = Field(
        "peak_ewma",
        description="`peak_ewma`: of two instances at random, the one whose latency times requests under way "
        "is lower.",
    )
    decay: Annotated[Duration, duration("100ms", "10m")] = Field(
        Duration.of("10s"),
        description="After which a latency counts for a third of what it did; a longer one counts at once.",
    )


class Random(Section):
    """For many gateways that must not move in step. The name alone may stand for it."""

    kind: Literal["random"] = Field("random", description="`random`: at random, by weight.")


class Hash(Section):
    """For services that keep something for a caller, or a cache."""

    kind: Literal["hash"] = Field(
        "hash",
        description="`hash`: the same instance for the same key (Maglev); few keys move with a changed list.",
    )
    by: Literal["header", "cookie", "caller", "client_ip", "path"] = Field(
        description="What is hashed. `caller` is the user, partner or key. A request without it goes to any "
        "instance.",
    )
    name: Text | None = Field(None, description="Name of the header or cookie; only for those two.")

    @model_validator(mode="after")
    def _name_where_needed(self) -> "Hash":
        needs = self.by in {"header", "cookie"}
        if needs != (self.name is not None):
            message = f"`by: {self.by}` needs a `name`" if needs else f"`by: {self.by}` takes no `name`"
            raise ValueError(message)
        if self.name is not None and not _is_token(self.name):
            message = f"`{self.name}` is not the name of a {self.by}"
            raise ValueError(message)
        return self


class Ejection(Section):
    """Takes an instance out whose requests fail in a row. `on` and `off` may stand for it."""

    consecutive_5xx: int = Field(
        5, ge=0, le=1_000_000, description="Failures of any kind in a row that eject; 0 for never."
    )
    consecutive_gateway_errors: int = Field(
        5,
        ge=0,
        le=1_000_000,
        description="Requests in a row without any answer (no connection, a reset, a timeout) that eject; 0 "
        "for never.",
    )
    base_time: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("30s"), description="How long the first ejection lasts; the second twice that, and so on."
    )
    max_time: Annotated[Duration, duration("100ms", "1d")] = Field(
        Duration.of("5m"),
        description="How long one lasts at most, and how long an instance must stay in to be forgiven.",
    )
    max_share: int = Field(
        50,
        ge=1,
        le=100,
        description="Per cent of the instances that may be out; at least one, where there are several.",
    )

    @model_validator(mode="after")
    def _means_something(self) -> "Ejection":
        if self.consecutive_5xx == 0 and self.consecutive_gateway_errors == 0:
            message = "both counts are 0, so nothing is ever ejected; write `off` instead"
            raise ValueError(message)
        if int(self.max_time) < int(self.base_time):
            message = "`max_time` is below `base_time`"
            raise ValueError(message)
        return self


class Sticky(Section):
    """Brings a client back to the instance that it had, with a cookie of the gateway's own."""

    cookie: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] = Field(
        "gatewright", description="Name of the cookie."
    )
    secret: Annotated[str, Field(min_length=16)] = Field(
        description="Secret that the cookie's content is made with, at least 16 characters; best as "
        "`${file:...}` or `${env:...}`. Nodes that share it read each other's cookies."
    )
    path: Annotated[str, Field(pattern=r"^/[!-:<-~]*$")] = Field("/", description="Path of the cookie.")
    max_age: Annotated[Duration, duration("1s", "365d")] | None = Field(
        None, description="How long the client keeps the cookie; until it forgets it by default."
    )
    same_site: Literal["lax", "strict", "none"] = Field(
        "lax", description="`SameSite` of the cookie, which is always `HttpOnly`."
    )
    secure: bool = Field(True, description="Whether clients send the cookie over TLS alone.")
    drain_wait: Annotated[Duration, duration("0s", "1d")] = Field(
        Duration.of("5m"),
        description="How long an instance that drains keeps the clients that it has; then they get another.",
    )

    @model_validator(mode="after")
    def _sent_at_all(self) -> "Sticky":
        if self.same_site == "none" and not self.secure:
            message = "browsers drop a cookie with `same_site: none` that is not `secure`"
            raise ValueError(message)
        return self


def switched(value: object) -> object:
    """Read `on` and `off`, which YAML 1.2 takes for text."""
    if value is False or value == "off":
        return None
    return {} if value is True or value == "on" else value


def _is_token(text: str) -> bool:
    return text.isascii() and all(sign.isalnum() or sign in "!#$%&'*+-.^_`|~" for sign in text)


Balance = Annotated[
    RoundRobin | LeastRequests | PeakEwma | Random | Hash,
    Field(discriminator="kind"),
    BeforeValidator(_kind_alone),
]

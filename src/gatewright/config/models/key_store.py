"""The model of the store of API keys."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import Section, Text
from gatewright.config.quantities import Duration, duration


def _off(value: object) -> object:
    """Read `off`: nobody looks."""
    return None if value is False or value == "off" else value


class Leaks(Section):
    """When a key looks as if it had leaked: it is used from many networks, /24 of IPv4 and /48 of IPv6."""

    networks: int = Field(
        20, ge=2, le=1000, description="More networks than this within `window` raise an alert for the key."
    )
    window: Annotated[Duration, duration("1m", "7d")] = Field(
        Duration.of("1h"), description="How long a network counts; also the time between two alerts of a key."
    )


class KeyStore(Section):
    """The store of API keys: SQLite in a file, or PostgreSQL for several nodes. Keys are looked up at their
    first use and remembered.
    """

    secret: Annotated[str, Field(min_length=32)] = Field(
        description="Secret of the HMAC that hashes and checks keys, at least 32 characters; best as "
        "`${file:...}` or `${env:...}`. Every node that uses the store needs the same; with another one no "
        "key is valid."
    )
    previous_secret: Annotated[str, Field(min_length=32)] | None = Field(
        None,
        description="The secret before `secret`: keys that were made under it are valid for as long as it "
        "stands here. New keys are made under `secret` alone.",
    )
    path: Text | None = Field(
        None,
        description="File of SQLite, relative to the configuration file; `keys.db` in the state directory by "
        "default.",
    )
    url: Annotated[str, Field(pattern=r"^postgres(ql)?://.+")] | None = Field(
        None,
        description="PostgreSQL instead: `postgresql://user:password@host:5432/database`. Keep the password "
        "out of the file with `${env:NAME}`.",
    )
    timeout: Annotated[Duration, duration("10ms", "10s")] = Field(
        Duration.of("1s"), description="How long a request waits for a look-up; then 503."
    )
    cache_ttl: Annotated[Duration, duration("1s", "1h")] = Field(
        Duration.of("5m"), description="How long a key that was found is believed without asking again."
    )
    cache_keys: int = Field(
        100_000,
        ge=100,
        le=10_000_000,
        description="Keys that are remembered; above it those not used for longest are forgotten.",
    )
    refused_ttl: Annotated[Duration, duration("1s", "10m")] = Field(
        Duration.of("30s"), description="How long a key that is unknown, revoked or expired stays refused."
    )
    cache_refused: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="Refused keys that are remembered; above it the oldest are forgotten. They never take "
        "the place of good ones.",
    )
    max_lookups: int = Field(
        1000, ge=1, le=100_000, description="Look-ups that may be under way at once; above it 503."
    )
    lookups_per_address: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Look-ups that one client address may cause in a second; above it 503.",
    )
    watch_interval: Annotated[Duration, duration("50ms", "5s")] = Field(
        Duration.of("1s"),
        description="Between two looks at which keys others have changed or revoked: a revoked key is "
        "refused on every node after this time.",
    )
    usage_interval: Annotated[Duration, duration("100ms", "10m")] = Field(
        Duration.of("10s"), description="Between two times that uses of keys are written, in one batch."
    )
    usage_retention: Annotated[Duration, duration("1d", "3650d")] = Field(
        Duration.of("400d"), description="Age at which the uses of an hour are deleted."
    )
    share: Literal["none", "redis"] = Field(
        "none",
        description="Whether nodes remember keys together in Redis, and tell each other there at once what "
        "was revoked. While Redis cannot be asked, each goes on by itself.",
    )
    leaks: Annotated[Leaks | None, BeforeValidator(_off)] = Field(
        default_factory=Leaks, description="When a key looks as if it had leaked, or `off`."
    )

    @model_validator(mode="after")
    def _one_place(self) -> "KeyStore":
        if self.path is not None and self.url is not None:
            message = "give `path` or `url`, not both"
            raise ValueError(message)
        if self.previous_secret == self.secret:
            message = "`previous_secret` is the same as `secret`; leave it out"
            raise ValueError(message)
        return self

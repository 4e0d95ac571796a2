"""Models of what nodes share."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gatewright.config.models.base import OneOrMany, Section, Text
from gatewright.config.models.tls import Certificate
from gatewright.config.quantities import Duration, duration

Url = Annotated[str, Field(pattern=r"^(rediss?|unix)://.+")]


class RedisSentinel(Section):
    """The master that sentinels know. Its name alone may stand for it."""

    master: Text = Field(description="What the sentinels call the master.")
    username: Text | None = Field(None, description="Who asks the sentinels; their default user if absent.")
    password: Text | None = Field(
        None, description="Password that the sentinels demand; none by default. Not that of the master."
    )


class RedisTls(Section):
    """TLS to `rediss://` addresses."""

    ca_file: Text | None = Field(
        None,
        description="PEM file with the authorities that are trusted, and no others; relative to the "
        "configuration file. Those of the system by default.",
    )
    certificate: Certificate | None = Field(
        None, description="Shown to servers that ask for one; none by default."
    )


def _master_alone(value: object) -> object:
    return {"master": value} if isinstance(value, str) else value


class Redis(Section):
    """A Redis or Valkey server that the nodes share. Of what is on the path of a request, only tiers with
    `share` ask it, for at most `shared_limits.deadline`."""

    url: Annotated[list[Url], OneOrMany] = Field(
        min_length=1,
        max_length=64,
        description="Where it is: `redis://user:password@host:6379/0`, `rediss://` with TLS, `unix:///path`. "
        "Keep the password out of the file with `${env:NAME}`. With `sentinel` the addresses of the "
        "sentinels, with user, password and database of the master; with `cluster` those of some of its "
        "servers.",
    )
    sentinel: Annotated[RedisSentinel | None, BeforeValidator(_master_alone)] = Field(
        None, description="Ask the sentinels at `url` where the master is, again after each failure."
    )
    cluster: bool = Field(
        False,
        description="The servers at `url` are those of a Redis Cluster, which has no database but 0: a "
        "number behind an address is refused. It is for tiers with `share`; what else nodes share needs one "
        "server, or sentinels.",
    )
    tls: RedisTls | None = Field(
        None, description="Whom to trust at `rediss://` addresses, and what to show."
    )
    timeout: Annotated[Duration, duration("10ms", "10s")] = Field(
        Duration.of("500ms"),
        description="For a connection and for each answer; then the connection is dropped and made anew.",
    )
    share_blocks: bool = Field(
        True,
        description="Whether nodes tell each other at once which networks are blocked by hand "
        "(`gatewright addresses block`). A cluster is not asked.",
    )
    share_bans: bool = Field(
        True,
        description="Tell other nodes whom tiers with `ban` ban here, and ban whom they do, within "
        "`node.ban_interval`.",
    )


class CircuitBreakers(Section):
    """What holds for the circuit breakers of all services."""

    share: Literal["none", "redis"] = Field(
        "none",
        description="Whether nodes tell each other when the breaker of a service opens or closes. While "
        "Redis cannot be asked, each node goes on with its own breakers.",
    )
    interval: Annotated[Duration, duration("100ms", "1m")] = Field(
        Duration.of("1s"), description="Between two looks at what other nodes say."
    )


class SharedLimits(Section):
    """How nodes count together what tiers with `share` limit."""

    deadline: Annotated[Duration, duration("1ms", "10s")] = Field(
        Duration.of("5ms"),
        description="How long a request waits for Redis; then its route's `on_failure` decides. A connection "
        "may take `redis.timeout`, which no request waits for beyond its deadline.",
    )
    max_waiting: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Requests of one worker that wait for Redis at a time; for more, `on_failure` decides.",
    )
    failures: int = Field(
        5,
        ge=1,
        le=10_000,
        description="Failures within a second, at least half of all answers, after which a worker asks no "
        "more for `open_for`.",
    )
    open_for: Annotated[Duration, duration("100ms", "5m")] = Field(
        Duration.of("1s"),
        description="How long a worker does not ask. Then it looks by itself whether answers come in time, "
        "and stays away for as long again where they do not.",
    )
    nodes: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Nodes that share the limits: without Redis, `on_failure: local` lets each have its "
        "part. By default as many as were last seen in Redis, and one before any was.",
    )

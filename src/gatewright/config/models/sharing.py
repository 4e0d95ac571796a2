"""Models of what nodes share."""

from typing import Annotated, Literal

from pydantic import Field

from gatewright.config.models.base import Section
from gatewright.config.quantities import Duration, duration


class Redis(Section):
    """A Redis or Valkey server that the nodes share. Nothing on the path of a request waits for it."""

    url: Annotated[str, Field(pattern=r"^(rediss?|unix)://.+")] = Field(
        description="Where it is: `redis://user:password@host:6379/0`, `rediss://` with TLS, `unix:///path`. "
        "Keep the password out of the file with `${env:NAME}`."
    )
    timeout: Annotated[Duration, duration("10ms", "10s")] = Field(
        Duration.of("500ms"),
        description="For a connection and for each answer; then the connection is dropped and made anew.",
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

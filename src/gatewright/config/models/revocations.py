"""The model of revoked tokens."""

from typing import Annotated, Literal

from pydantic import Field

from gatewright.config.models.base import Section
from gatewright.config.quantities import Duration, duration


class Revocations(Section):
    """Tokens that are revoked before they expire, with `gatewright tokens revoke`. They are kept in the state
    directory.
    """

    max_entries: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="Tokens and subjects that may be revoked at one time; above it a further revocation is "
        "refused. What another node revokes and finds no room here revokes all older tokens of its identity "
        "instead, and raises an alert. About 100 bytes each in the data plane, and 1 KiB outside.",
    )
    lifetime: Annotated[Duration, duration("1m", "3650d")] = Field(
        Duration.of("30d"),
        description="How long a revocation holds that does not say: at least as long as any token is valid, "
        "since a token that outlives it is good again.",
    )
    share: Literal["auto", "none", "redis"] = Field(
        "auto",
        description="Whether nodes tell each other in Redis what was revoked. `auto`: where `redis` is "
        "configured and an identity takes tokens. While Redis cannot be asked, what was revoked holds on the "
        "node that was told, and on the others as soon as it can.",
    )
    interval: Annotated[Duration, duration("100ms", "5s")] = Field(
        Duration.of("2s"),
        description="Between two looks whether something was revoked that was not told at once.",
    )

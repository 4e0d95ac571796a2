"""Circuit breakers, as operations show them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

State = Literal["closed", "open", "half_open"]


class CountedShown(BaseModel):
    """What a breaker has counted in its window."""

    requests: int
    failures: int
    slow: int = Field(description="Answers that took longer than `slow_after`.")
    loaded: int = Field(description="Requests that met a service which was at its bound.")
    consecutive_failures: int


class TransitionShown(BaseModel):
    """One change of a breaker's state."""

    at_ms: int = Field(description="Milliseconds since 1970.")
    from_: State = Field(alias="from")
    to: State
    reason: str = Field(description="Such as `failure_ratio`, `waited` or `opened_by_hand`.")
    counted: CountedShown


class HeldShown(BaseModel):
    """By whom a breaker is held in its state."""

    by: str
    why: str | None
    at_ms: int = Field(description="Milliseconds since 1970.")


class BreakerShown(BaseModel):
    """One circuit breaker."""

    name: str = Field(description="`SERVICE`, `SERVICE/ROUTE`, `SERVICE@INSTANCE` or `SERVICE:TENANT`.")
    service: str
    route: str | None
    instance: str | None
    tenant: str | None
    state: State
    held: HeldShown | None = Field(description="`null` while it goes by its rules.")
    admitted_percent: int = Field(description="Share of the requests that may pass.")
    retry_after_ms: int = Field(description="Until it lets a probe pass; 0 unless it is open.")
    opened_ms: int | None = Field(description="When it opened last, in milliseconds since 1970.")
    failed_ms: int | None = Field(description="When a request failed last, in milliseconds since 1970.")
    counted: CountedShown
    refused: int = Field(description="Requests that it has refused.")
    transitions: int = Field(description="How often its state has changed.")
    recent: list[TransitionShown] = Field(description="The last 20 of these.")


class BreakerSharingShown(BaseModel):
    """How the node stands with the Redis of breakers."""

    store: Literal["redis"]
    connected: bool
    age_seconds: float | None = Field(description="Since breakers were last compared.")
    failures: int
    error: str | None


class BreakersShown(BaseModel):
    """Every circuit breaker."""

    circuit_breakers: list[BreakerShown]
    sharing: BreakerSharingShown | None = Field(description="`null` where breakers are not shared.")


class ChangedShown(BaseModel):
    """What a change by hand came to."""

    changed: int = Field(description="How many breakers were changed.")

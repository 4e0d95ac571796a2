"""Rate limits, as operations show them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class UsageShown(BaseModel):
    """A caller, and what it has used."""

    caller: str = Field(description="Such as `user:ID` or `ip:ADDRESS`.")
    used: int


class EmergencyShown(BaseModel):
    """A limit that was set by hand."""

    limit: int
    until_ms: int = Field(description="Milliseconds since 1970.")
    remaining_ms: int


class TierShown(BaseModel):
    """One tier."""

    name: str
    dry_run: bool = Field(description="Whether it only counts, and refuses nobody.")
    emergency: EmergencyShown | None = Field(description="What holds in place of the configuration's limit.")
    busiest: list[UsageShown] = Field(description="The ten callers that used most.")


class BanShown(BaseModel):
    """A caller that is refused for a while."""

    tier: str
    caller: str
    until_ms: int = Field(description="Milliseconds since 1970.")
    remaining_ms: int
    bans: int = Field(description="How often in a row it was banned.")


class BypassShown(BaseModel):
    """Redis is asked about no limit."""

    counts: bool = Field(description="Whether each node counts its part meanwhile.")
    remaining_ms: int


class LimitStoreShown(BaseModel):
    """How the node stands with the Redis of shared limits."""

    workers: int
    connected_workers: int
    open_workers: int = Field(description="Workers that do not ask it for a while, since it failed.")
    openings: int = Field(description="How often a worker ceased to ask it.")
    nodes: int = Field(description="How many nodes share it.")
    error: str | None
    bypass: BypassShown | None


class LimitsShown(BaseModel):
    """Every tier, and what is counted."""

    tiers: list[TierShown]
    keys: int = Field(description="Callers that are counted.")
    penalties: list[BanShown] = Field(description="The 100 bans that last longest.")
    penalized: int = Field(description="How many there are.")
    store: LimitStoreShown | None = Field(description="`null` where no tier is shared.")


class StoreShown(BaseModel):
    """The Redis of shared limits."""

    store: LimitStoreShown | None = Field(description="`null` where no tier is shared.")


class BanSharingShown(BaseModel):
    """How the node stands with the Redis of bans."""

    connected: bool
    failures: int
    error: str | None


class BansShown(BaseModel):
    """Callers that are banned."""

    bans: list[BanShown] = Field(description="The longest first, at most 1,000.")
    sharing: BanSharingShown | None = Field(description="`null` where bans are not shared.")


class ResetShown(BaseModel):
    """What was forgotten."""

    reset: int = Field(description="How many counters.")


class LiftedShown(BaseModel):
    """What was ended."""

    lifted: int = Field(description="How many bans.")


class LimitSetShown(BaseModel):
    """A limit that holds for a while."""

    tier: str
    limit: int
    seconds: int


class LimitUnsetShown(BaseModel):
    """A limit that is the configuration's again."""

    tier: str
    limit: None


class BypassedShown(BaseModel):
    """For how long Redis is asked about no limit."""

    bypassed_seconds: int
    counting: Literal["node", "none"]


class ResumedShown(BaseModel):
    """Redis is asked again."""

    bypassed_seconds: Literal[0]

"""Alerts and objectives, as operations show them. Moments are seconds since 1970."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from gatewright.config.models.alerts import Severity


class AlertShown(BaseModel):
    """One subject of one rule, from when it was first beyond the bound."""

    name: str
    subject: str = Field(description="Which service, route or other thing it is about.")
    severity: Severity
    state: Literal["pending", "firing", "resolved"]
    text: str
    value: float
    threshold: float
    began_at: float
    fired_at: float | None = Field(description="`null` while it has not lasted long enough.")
    well_since: float | None
    told_at: float | None
    resolved_at: float | None
    silenced: bool = Field(description="Whether nobody is told of it.")
    fields: dict[str, Any] = Field(description="What only this alert has; not promised.")


class ObjectiveShown(BaseModel):
    """One objective, and how it stands."""

    name: str
    target: float
    window_seconds: float
    budget_left: float | None = Field(
        description="Share of the error budget; below 0 where more was used than there is. `null` until it "
        "is known what was counted before."
    )
    complete: bool = Field(
        description="Whether all requests of the window are counted, as far as is known. Not where counts "
        "were lost, or cannot be read, nor until it is known what was counted before."
    )
    burn_rates: dict[str, float | None] = Field(
        description="How many times faster than allowed the budget was used in a window, such as `3600s`."
    )


class SilenceShown(BaseModel):
    """Alerts that nobody is told of for a while."""

    id: str
    alert: str = Field(description="A name, in which `*` stands for anything.")
    subject: str = Field(description="The same of subjects.")
    until: float
    by: str
    why: str


class RuleShown(BaseModel):
    """What is watched."""

    name: str
    severity: Severity
    text: str
    threshold: float


class ChannelShown(BaseModel):
    """Who is told."""

    name: str
    kind: Literal["webhook", "apprise"]
    delivered: int
    failed: int = Field(description="Messages that were given up.")
    dropped: int = Field(description="Messages that found no room in the queue.")
    queued: int
    error: str | None


class AlertsShown(BaseModel):
    """Everything about alerts."""

    enabled: bool
    evaluated_at: float | None
    alerts: list[AlertShown] = Field(description="Those that are pending or fire, the oldest first.")
    resolved: list[AlertShown] = Field(description="The last 50 that are over.")
    objectives: list[ObjectiveShown]
    silences: list[SilenceShown]
    rules: list[RuleShown]
    channels: list[ChannelShown]


class EndedShown(BaseModel):
    """A silence that is over."""

    ended: str


class TestedShown(BaseModel):
    """A test of the channels."""

    channels: int = Field(description="How many are told.")

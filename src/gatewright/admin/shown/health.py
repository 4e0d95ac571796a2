"""How a node is, as probes show it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from gatewright.admin.shown.breakers import BreakerShown
from gatewright.admin.shown.limits import LimitStoreShown

Status = Literal["healthy", "degraded", "unhealthy", "starting", "draining"]


class CheckShown(BaseModel):
    """One check, and what it said last."""

    check: str
    status: Literal["unknown", "healthy", "unhealthy"]
    critical: bool = Field(description="Whether the gateway is `unhealthy` with it, or only `degraded`.")
    custom: bool = Field(description="Whether it is one of `health.checks`.")
    message: str | None
    since: str | None = Field(description="When `status` became what it is.")
    checked_at: str | None
    took_ms: float | None
    in_a_row: int = Field(description="How often it said the same.")
    details: Any = Field(description="What only this check has; not promised.")


class ConfigShown(BaseModel):
    """The live configuration, and whether the files are what is live."""

    version: int = Field(description="0 while none is live.")
    state: Literal["valid", "invalid", "none"]
    source: str = Field(description="The files, or the last good one.")
    applied_at: str | None
    errors: list[str] = Field(description="Of the files as they are now.")
    warnings: list[str]
    files: list[str]


class CountsOfInstancesShown(BaseModel):
    """How many instances a service has, by their state."""

    instances: int
    healthy: int
    ejected: int
    draining: int
    panic: bool = Field(description="Whether all are asked, since too few are healthy.")


class ServiceCountShown(CountsOfInstancesShown):
    """A service in a few numbers."""

    name: str


class KeySetShown(BaseModel):
    """The keys of an issuer."""

    identity: str
    url: str
    has_keys: bool
    stale: bool = Field(description="Whether they are older than they should be.")
    age_seconds: float | None
    next_refresh_seconds: float
    failures: int
    error: str | None


class LoginShown(BaseModel):
    """A provider that browsers log in with."""

    identity: str
    issuer: str
    is_known: bool
    error: str | None


class KeySharingShown(BaseModel):
    """How the node stands with the Redis of API keys."""

    connected: bool
    failures: int
    error: str | None
    hits: int = Field(description="Keys that were found there.")


class KeyStoreShown(BaseModel):
    """The store of API keys."""

    kind: str
    connected: bool
    failures: int
    error: str | None
    sharing: KeySharingShown | None


class DependenciesShown(BaseModel):
    """What the node depends on; `null` for what it has not."""

    services: list[ServiceCountShown]
    key_sets: list[KeySetShown]
    key_store: KeyStoreShown | None
    limit_store: LimitStoreShown | None
    logins: list[LoginShown]


class CertificateShown(BaseModel):
    """A certificate that ends soon."""

    listener: str
    certificate: str
    expires_at: str
    days: int
    severity: Literal["warning", "high"]


class HealthShown(BaseModel):
    """One word, and what it is made of."""

    status: Status
    version: str
    instance: str | None
    uptime_seconds: int
    config: ConfigShown
    checks: list[CheckShown]
    deep: Literal["new", "known"] | None = Field(
        None, description="With `?deep=1`: whether everything was checked for this very answer."
    )
    dependencies: DependenciesShown
    certificates: list[CertificateShown] | None = Field(None, description="There while one ends soon.")


class ReadinessShown(BaseModel):
    """Whether traffic may be sent here."""

    status: Literal["ready", "unready", "starting", "draining"]
    failing: list[str] | None = Field(None, description="With `unready`: the checks that keep it so.")
    certificates: list[CertificateShown] | None = Field(None, description="There while one ends soon.")


class LivenessShown(BaseModel):
    """Whether the process is as `health.healthz` wants it."""

    status: Literal["ok", "failing"]
    configuration: Literal["valid", "invalid", "none"]
    backends: Literal["healthy", "some", "none"]
    self_check: Literal["unknown", "healthy", "unhealthy"] | None = Field(
        None, description="Where there is one."
    )


class InstanceShown(BaseModel):
    """One instance."""

    name: str
    address: str
    weight: int
    state: str = Field(description="`healthy`, `unhealthy`, `ejected` or `draining`.")
    healthy: bool
    share_percent: int = Field(description="Of its weight that it gets while it starts slowly.")
    ejected_for_ms: int
    draining_for_ms: int
    ejections: int
    requests: int = Field(description="That it was chosen for.")
    in_flight: int
    consecutive_failures: int


class ServiceShown(BaseModel):
    """One service with its instances and breakers."""

    name: str
    panic: bool
    capped_in_flight: int
    instances: list[InstanceShown]
    breakers: list[BreakerShown]
    summary: CountsOfInstancesShown


class ServicesShown(BaseModel):
    """Every service."""

    services: list[ServiceShown]

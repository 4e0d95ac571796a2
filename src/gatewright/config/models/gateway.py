"""The model of a whole configuration."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gatewright.config.models.addresses import AddressList, Challenge, Geography, Reputation, Screening
from gatewright.config.models.alerts import Alerts, Objective
from gatewright.config.models.answers import ErrorPages
from gatewright.config.models.audit import AuditTrail
from gatewright.config.models.authorization import Permissions
from gatewright.config.models.base import OneOrMany, Section, Text, Texts
from gatewright.config.models.csrf import Csrf, _off
from gatewright.config.models.health_checks import Health
from gatewright.config.models.identities import Identities, IntrospectionIdentity, JwtIdentity
from gatewright.config.models.key_store import KeyStore
from gatewright.config.models.listeners import Listener
from gatewright.config.models.metrics import Metrics
from gatewright.config.models.node import Admin, Node, Reload
from gatewright.config.models.overload import Overload
from gatewright.config.models.passwords import Passwords
from gatewright.config.models.records import Records
from gatewright.config.models.revocations import Revocations
from gatewright.config.models.rollups import Rollups
from gatewright.config.models.routes import NONE, Route
from gatewright.config.models.services import Service
from gatewright.config.models.sharing import CircuitBreakers, Redis, SharedLimits
from gatewright.config.models.tenants import Tenants
from gatewright.config.models.tiers import RateLimitField, Tier
from gatewright.config.models.tracing import Tracing
from gatewright.config.quantities import Duration, Timeout


class Defaults(Section):
    """What routes do where they do not say otherwise."""

    rate_limit: RateLimitField = Field(
        None, description="The limit of routes without one, the name of a tier or several, or `none`."
    )
    unauthenticated_tier: Text = Field(
        "unauthenticated",
        description="Tier that unmatched and unauthenticated requests are charged to by client address, or "
        "`none`.",
    )
    failed_authentication_tier: Text = Field(
        NONE,
        description="Tier that failed authentications are charged to by client address, or `none`. An "
        "address for which it has nothing left is refused before anything else, with good credentials too.",
    )
    limit_headers: Literal["x_ratelimit", "ietf", "both", "none"] = Field(
        "x_ratelimit",
        description="Headers that tell callers of their limits: `X-RateLimit-*`, the fields `RateLimit` and "
        "`RateLimit-Policy` of the IETF's draft, both, or none.",
    )
    timeout: Timeout = Field(Duration.of("10s"), description="The timeout of routes without one.")
    https_only: Literal["off", "refuse", "redirect"] = Field(
        "off", description="What routes that do not say do with requests that did not come over TLS."
    )
    https_port: int = Field(
        443, ge=1, le=65_535, description="The port that `https_only: redirect` sends clients to."
    )
    csrf: Annotated[Csrf | None, BeforeValidator(_off)] = Field(
        default_factory=Csrf, description="What is demanded of requests that browsers vouch for, or `off`."
    )
    security_headers: bool = Field(True, description="Whether routes that do not say add security headers.")


class Gateway(Section):
    """A configuration: one file or several, which are joined."""

    version: Literal[1] = Field(1, description="Version of this format; always 1.")
    include: Texts = Field(
        default_factory=list,
        description="Further files, directories or patterns such as `routes/*.yaml`, relative to this file. "
        "Lists of all files are joined; every other section may stand in one file only.",
    )
    node: Node = Field(default_factory=Node, description="The node's name and bounds.")
    listeners: Annotated[list[Listener], OneOrMany] = Field(
        default_factory=list, description="Addresses that accept requests; at least one."
    )
    admin: Admin = Field(default_factory=Admin, description="Where health, metrics and the admin API answer.")
    services: Annotated[list[Service], OneOrMany] = Field(default_factory=list, description="What is behind.")
    identities: Identities = Field(default_factory=list, description="Ways to prove who calls.")
    key_store: KeyStore | None = Field(
        None, description="Where API keys of identities with `keys: {store: true}` are; none by default."
    )
    revocations: Revocations = Field(
        default_factory=Revocations, description="How tokens are revoked before they expire."
    )
    permissions: Permissions = Field(
        default_factory=Permissions, description="What scopes and roles are good for."
    )
    passwords: Passwords = Field(
        default_factory=Passwords, description="How passwords of identities with `kind: basic` are checked."
    )
    tiers: Annotated[list[Tier], OneOrMany] = Field(default_factory=list, description="Named rate limits.")
    tenants: Tenants | None = Field(None, description="Who shares the gateway; one for all by default.")
    routes: Annotated[list[Route], OneOrMany] = Field(default_factory=list, description="What goes where.")
    address_lists: Annotated[list[AddressList], OneOrMany] = Field(
        default_factory=list, description="Named lists of addresses."
    )
    geography: Geography | None = Field(
        None, description="Which country an address is of; nobody knows by default."
    )
    reputation: Reputation | None = Field(
        None, description="How good the reputation of networks is; nobody knows by default."
    )
    challenge: Challenge = Field(
        default_factory=Challenge, description="What browsers of networks of bad reputation have to do."
    )
    screening: Screening = Field(
        default_factory=Screening, description="Which addresses may ask at all; every one by default."
    )
    defaults: Defaults = Field(
        default_factory=Defaults, description="What routes do unless they say otherwise."
    )
    redis: Redis | None = Field(None, description="A server that nodes share; none by default.")
    circuit_breakers: CircuitBreakers = Field(
        default_factory=CircuitBreakers, description="What holds for the breakers of all services."
    )
    shared_limits: SharedLimits = Field(
        default_factory=SharedLimits, description="How nodes count together what tiers with `share` limit."
    )
    overload: Overload = Field(
        default_factory=Overload, description="Which requests are refused when the node cannot serve all."
    )
    error_pages: ErrorPages | None = Field(None, description="How errors look; JSON of one form by default.")
    records: Records = Field(
        default_factory=Records, description="Where decision records go, and what they say."
    )
    metrics: Metrics = Field(
        default_factory=Metrics, description="How many series metrics have, and where they are sent."
    )
    rollups: Rollups = Field(
        default_factory=Rollups, description="Counts and latencies of all requests, kept for long."
    )
    health: Health = Field(
        default_factory=Health, description="What the node checks of itself, and what follows from it."
    )
    audit: AuditTrail = Field(
        default_factory=AuditTrail, description="How it is kept who did what, and whom the gateway refused."
    )
    objectives: Annotated[list[Objective], OneOrMany] = Field(
        default_factory=list, description="What share of requests has to be well."
    )
    alerts: Alerts = Field(default_factory=Alerts, description="What is watched, and who is told.")
    tracing: Tracing | None = Field(
        None, description="Which requests are traced, and where their spans go; none by default."
    )
    reload: Reload = Field(default_factory=Reload, description="How changes of the files become live.")

    @property
    def needs_records(self) -> bool:
        """Does anybody want to know of each request: a sink, the audit log, or a collector of spans?"""
        is_traced = self.tracing is not None and self.tracing.export is not None
        return bool(self.records.sinks) or self.audits_decisions or is_traced

    @property
    def rolls_up(self) -> bool:
        """Are requests counted for long?"""
        wanted = self.rollups.enabled
        return bool(self.records.sinks) if wanted is None else wanted

    @property
    def watches_requests(self) -> bool:
        """Are requests counted for alerts? Only where anybody cares for them."""
        return self.alerts.enabled and bool(self.alerts.channels or self.objectives or self.records.sinks)

    @property
    def audits_decisions(self) -> bool:
        """Are refusals written to the audit log? They are taken from records."""
        wanted = self.audit.decisions
        return bool(self.records.sinks) if wanted is None else wanted

    @property
    def shares_revocations(self) -> bool:
        """Do nodes tell each other in Redis which tokens were revoked?"""
        if self.revocations.share != "auto":
            return self.revocations.share == "redis"
        takes_tokens = any(isinstance(one, JwtIdentity | IntrospectionIdentity) for one in self.identities)
        return self.redis is not None and takes_tokens


SECTION_LISTS = ("listeners", "services", "identities", "tiers", "address_lists", "routes", "objectives")
"""Sections that are joined when a configuration has several files."""

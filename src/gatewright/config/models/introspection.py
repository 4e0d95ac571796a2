"""Callers whose tokens only their issuer can judge."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gatewright.config.models.base import HeaderName, Name, Section, Text, Texts
from gatewright.config.quantities import Duration, duration


class IntrospectionIdentity(Section):
    """Callers whose tokens only their issuer can judge: it is asked about each (RFC 7662)."""

    name: Name = Field(description="Name that routes refer to.")
    kind: Literal["introspection"] = Field(
        "introspection", description="`introspection`; must be written in files."
    )
    url: Text = Field(description="The issuer's introspection endpoint; `https` unless `allow_http`.")
    allow_http: bool = Field(
        False, description="Allow plain `http` for `url`. A loopback address needs no permission."
    )
    client_id: Text | None = Field(
        None,
        description="How the gateway names itself to the issuer, with HTTP Basic; needs `client_secret`.",
    )
    client_secret: Text | None = Field(None, description="Best as `${file:...}` or `${env:...}`.")
    bearer_token: Text | None = Field(
        None, description="A token that the gateway shows to the issuer, in place of `client_id`."
    )
    header: HeaderName = Field(
        "Authorization", description="Header that carries the token, in `Authorization` behind `Bearer`."
    )
    cookie: Text | None = Field(None, description="Cookie that carries it, where there is no such header.")
    query: Text | None = Field(
        None, description="Parameter of the query that carries it, where there is neither."
    )
    issuer: Text | None = Field(None, description="What `iss` must be; anything by default.")
    audience: Texts = Field(
        default_factory=list,
        description="One of these must be in `aud`; anything by default. A text or a list.",
    )
    leeway: Annotated[Duration, duration("0s", "10m")] = Field(
        Duration.of("30s"), description="How far clocks may differ when `exp` and `nbf` are checked."
    )
    require_expiry: bool = Field(False, description="Refuse tokens of which the issuer says no `exp`.")
    user_claim: Text = Field(
        "sub", description="Member that becomes `X-User-ID` and that limits per user count by."
    )
    scope_claims: Texts = Field(
        default_factory=lambda: ["scope"],
        description="Members read for scopes: a text with spaces, or a list. `[scope]` by default.",
    )
    tier_claim: Text | None = Field(
        None,
        description="Claim, at a path such as `plan.tier`, that names the tier of the caller, which takes "
        "the place of the first of each route; none by default. What names no tier changes nothing.",
    )
    role_claims: Texts = Field(
        default_factory=lambda: ["roles"],
        description="Members read for roles: a text with spaces, or a list. `[roles]` by default.",
    )
    certificate_bound: bool = Field(
        False, description="Demand that each is bound to the certificate of its connection (RFC 8705)."
    )
    timeout: Annotated[Duration, duration("10ms", "10s")] = Field(
        Duration.of("2s"), description="How long a request waits for the issuer; then 503."
    )
    cache_ttl: Annotated[Duration, duration("1s", "1h")] = Field(
        Duration.of("1m"),
        description="How long an active token is believed without asking again, never beyond its `exp`. What "
        "the issuer revokes stays good for this time.",
    )
    cache_tokens: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="Active tokens that are remembered; above it those not used for longest are forgotten.",
    )
    refused_ttl: Annotated[Duration, duration("100ms", "10m")] = Field(
        Duration.of("10s"), description="How long a token that is not active stays refused."
    )
    cache_refused: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="Refused tokens that are remembered; above it the oldest are forgotten. They never take "
        "the place of good ones.",
    )
    max_lookups: int = Field(
        100, ge=1, le=1000, description="Questions to the issuer that may be open at once; above it 503."
    )
    lookups_per_address: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Questions that one client address may cause in a second; above it 503.",
    )

    @model_validator(mode="after")
    def _one_credential(self) -> "IntrospectionIdentity":
        if (self.client_id is None) != (self.client_secret is None):
            message = "`client_id` and `client_secret` go together"
            raise ValueError(message)
        if self.client_id is not None and self.bearer_token is not None:
            message = "give `client_id` or `bearer_token`, not both"
            raise ValueError(message)
        return self

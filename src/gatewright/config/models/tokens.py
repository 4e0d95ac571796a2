"""Models of JSON Web Tokens: whose they are, what they must say, what is made of that."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import (
    HeaderName,
    Name,
    OneOrMany,
    Section,
    Texts,
    _switched,
    exactly_one,
    file_alone,
)
from gatewright.config.models.key_sets import Jwks, PublicKey
from gatewright.config.quantities import Duration, duration

ClaimPath = Annotated[str, Field(min_length=1, max_length=200)]
"""A claim, or one inside another: `realm_access.roles`."""

ClaimPaths = Annotated[list[ClaimPath], OneOrMany]
Scalar = str | bool | int | float


def _claim_alone(value: object) -> object:
    return {"claim": value} if isinstance(value, str) else value


class ClaimTest(Section):
    """Whether a claim is there, or is one of some values. A text alone means that it is there."""

    claim: ClaimPath = Field(description="The claim, or its path: `email_verified`, `org.id`.")
    equals: Annotated[list[Scalar] | None, OneOrMany, Field(min_length=1)] = Field(
        None,
        description="One of these it is, or holds where it is a list; anything but `null` by default.",
    )


ClaimTests = Annotated[list[Annotated[ClaimTest, BeforeValidator(_claim_alone)]], OneOrMany]


class Dpop(Section):
    """Proofs that whoever sends a token has the key that it is bound to (RFC 9449)."""

    optional: bool = Field(
        False, description="Take tokens that are not bound to a key as well, under the scheme `Bearer`."
    )
    max_age: Annotated[Duration, duration("1s", "10m")] = Field(
        Duration.of("1m"), description="How old a proof may be, apart from `leeway`."
    )
    max_proofs: int = Field(
        100_000,
        ge=100,
        le=10_000_000,
        description="Proofs that are remembered until they are too old, so that none is used twice; above it "
        "503. At least as many as requests come in `max_age` and twice `leeway`.",
    )


class JwtIdentity(Section):
    """Callers who prove themselves with a JSON Web Token."""

    name: Name = Field(description="Name that routes refer to.")
    kind: Literal["jwt"] = Field("jwt", description="`jwt`; must be written in files.")
    header: HeaderName = Field(
        "Authorization",
        description="Header that carries the token: behind `Bearer` in `Authorization`, which under any "
        "other scheme is for somebody else; alone in any other header.",
    )
    cookie: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=64)] | None = Field(
        None,
        description="Cookie that carries the token where that header does not. None by default. Browsers "
        "send cookies with requests that other pages cause.",
    )
    query: Annotated[str, Field(pattern=r"^[0-9A-Za-z._~-]+$", max_length=64)] | None = Field(
        None,
        description="Parameter of the query that carries the token where neither header nor cookie does. "
        "None by default, since addresses end up in logs and histories. It is never sent on to a service, "
        "and no record shows it.",
    )
    issuer: Texts = Field(
        default_factory=list,
        description="What `iss` must be; anything by default. A text, or a list of which one is enough.",
    )
    audience: Texts = Field(
        default_factory=list,
        description="One of these must be in `aud`; anything by default. A text or a list.",
    )
    jwks: Annotated[Jwks | None, BeforeValidator(file_alone)] = Field(
        None, description="The issuer's key set. Exactly one of `jwks`, `public_key` and `secret` is needed."
    )
    public_key: Annotated[PublicKey | None, BeforeValidator(file_alone)] = Field(
        None, description="The issuer's only public key."
    )
    secret: Annotated[str, Field(min_length=32)] | None = Field(
        None,
        description="Shared secret for HS256, at least 32 characters; best as `${file:...}` or "
        "`${env:...}`. Whoever checks with it can also sign: prefer a public key.",
    )
    leeway: Annotated[Duration, duration("0s", "10m")] = Field(
        Duration.of("30s"), description="How far clocks may differ when `exp`, `nbf` and `iat` are checked."
    )
    require_expiry: bool = Field(True, description="Refuse tokens without `exp`.")
    max_age: Annotated[Duration, duration("1s", "365d")] | None = Field(
        None,
        description="How old a token may be by its `iat`, which it must then have, whatever its `exp`. As "
        "long as `exp` says by default.",
    )
    types: Annotated[Texts, Field(min_length=1)] | None = Field(
        None,
        description="What `typ` must be, such as `at+jwt`, by any case and with or without `application/`. "
        "By default it may be missing, `JWT` or `at+jwt`.",
    )
    required_claims: ClaimTests = Field(
        default_factory=list,
        description="Claims that must be there, or be one of some values: `[email, {claim: org.id, equals: "
        "[a, b]}]`. A token without is refused with 401.",
    )
    forbidden_claims: ClaimTests = Field(
        default_factory=list,
        description="Claims that must not be there, or not be one of some values; in the same form.",
    )
    user_claim: ClaimPath = Field(
        "sub", description="Claim that becomes `X-User-ID` and that limits per user count by."
    )
    scope_claims: ClaimPaths = Field(
        default_factory=lambda: ["scope", "scp", "scopes"],
        description="Claims read for scopes: a text with spaces, or a list. `[scope, scp, scopes]` by "
        "default.",
    )
    role_claims: ClaimPaths = Field(
        default_factory=lambda: ["roles"],
        description="Claims read for roles, such as `realm_access.roles`: a text with spaces, or a list. "
        "They become `X-User-Roles`, between commas. `[roles]` by default.",
    )
    claim_headers: dict[HeaderName, ClaimPath] = Field(
        default_factory=dict,
        description="Claims that services are told, by the name of the header: `{X-Org: org.id}`. A list "
        "becomes its elements between commas; a claim that is missing has no header; one that no header can "
        "tell refuses its token. What clients send under these names reaches no service, on any route.",
    )

    tier_claim: ClaimPath | None = Field(
        None,
        description="Claim, at a path such as `plan.tier`, that names the tier of the caller, which takes "
        "the place of the first of each route; none by default. What names no tier changes nothing.",
    )
    certificate_bound: bool = Field(
        False,
        description="Demand of every token that it is bound to the certificate of its connection (RFC 8705: "
        "`cnf` with `x5t#S256`). A token that says it is bound is held to it in any case.",
    )

    dpop: Annotated[Dpop | None, BeforeValidator(_switched)] = Field(
        None,
        description="Demand with every token a proof of the key that it is bound to (RFC 9449): "
        "`Authorization: DPoP TOKEN` and the header `DPoP`. `on`, or settings; off by default.",
    )

    @model_validator(mode="after")
    def _proofs_go_with_authorization(self) -> "JwtIdentity":
        if self.dpop is None:
            return self
        if self.header.lower() != "authorization":
            message = "`dpop` takes tokens from `Authorization`; leave out `header`"
            raise ValueError(message)
        if not self.dpop.optional and (self.cookie or self.query):
            message = "`dpop` takes tokens from `Authorization`; leave out `cookie` and `query`"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_key_source(self) -> "JwtIdentity":
        exactly_one(self, "jwks", "public_key", "secret")
        return self

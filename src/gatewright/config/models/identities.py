"""Models of the ways to prove who calls, and of the limits that callers get."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import HeaderName, Name, OneOrMany, Section, Text, Texts, _switched
from gatewright.config.quantities import Duration, Timeout, duration


def _file_alone(value: object) -> object:
    return {"file": value} if isinstance(value, str) else value


def _exactly_one(section: Section, *names: str) -> None:
    given = [name for name in names if getattr(section, name) is not None]
    if len(given) != 1:
        choices = ", ".join(f"`{name}`" for name in names)
        message = f"give exactly one of {choices}" + (f", not {len(given)}" if given else "")
        raise ValueError(message)


class Jwks(Section):
    """Where the JSON Web Key Set of an issuer is. A file's path alone may stand for it."""

    file: Text | None = Field(None, description="File with the key set, relative to the configuration file.")
    url: Text | None = Field(
        None, description="Address the key set is fetched from; `https` unless `allow_http`."
    )
    keys: list[dict[str, Any]] | None = Field(None, description="The keys themselves (RFC 7517).")
    allow_http: bool = Field(
        False, description="Allow plain `http` for `url`. A loopback address needs no permission."
    )
    refresh: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("30m"), description="How often the key set is fetched again."
    )
    minimum_refresh: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("30s"), description="Shortest time between two fetches that unknown key ids ask for."
    )
    lifetime: Annotated[Duration, duration("1s", "30d")] = Field(
        Duration.of("75m"),
        description="How long fetched keys may be used while no newer ones can be had; then requests that "
        "need them are answered with 503.",
    )
    timeout: Timeout = Field(Duration.of("5s"), description="For one fetch.")

    @model_validator(mode="after")
    def _one_source(self) -> "Jwks":
        _exactly_one(self, "file", "url", "keys")
        return self


class PublicKey(Section):
    """A public key in PEM. The file's path alone may stand for it."""

    file: Text = Field(description="File with the key in PEM, relative to the configuration file.")
    algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] | None = Field(
        None, description="Algorithm that tokens must use; by default RS256, ES256 or EdDSA as the key is."
    )
    key_id: Text | None = Field(None, description="Key id that tokens carry; none by default.")


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
    issuer: Text | None = Field(None, description="What `iss` must be; anything by default.")
    audience: Texts = Field(
        default_factory=list,
        description="One of these must be in `aud`; anything by default. A text or a list.",
    )
    jwks: Annotated[Jwks | None, BeforeValidator(_file_alone)] = Field(
        None, description="The issuer's key set. Exactly one of `jwks`, `public_key` and `secret` is needed."
    )
    public_key: Annotated[PublicKey | None, BeforeValidator(_file_alone)] = Field(
        None, description="The issuer's only public key."
    )
    secret: Annotated[str, Field(min_length=32)] | None = Field(
        None,
        description="Shared secret for HS256, at least 32 characters; best as `${file:...}` or "
        "`${env:...}`. Whoever checks with it can also sign: prefer a public key.",
    )
    leeway: Annotated[Duration, duration("0s", "10m")] = Field(
        Duration.of("30s"), description="How far clocks may differ when `exp` and `nbf` are checked."
    )
    require_expiry: bool = Field(True, description="Refuse tokens without `exp`.")
    user_claim: Text = Field(
        "sub", description="Claim that becomes `X-User-ID` and that limits per user count by."
    )
    scope_claims: Texts = Field(
        default_factory=lambda: ["scope", "scp", "scopes"],
        description="Claims read for scopes: a text with spaces, or a list. `[scope, scp, scopes]` by "
        "default.",
    )
    tier_claim: Text | None = Field(
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
        _exactly_one(self, "jwks", "public_key", "secret")
        return self


class ApiKeyEntry(Section):
    """One API key. Only its hash is kept."""

    id: Text = Field(description="Public name of the key, for records.")
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="Hexadecimal SHA-256 of the whole key in lower case, or HMAC-SHA256 where there is a "
        "`pepper`."
    )
    partner: Text = Field(description="Becomes `X-Partner-ID`.")
    scopes: Texts = Field(default_factory=list, description="Scopes of whoever has this key.")
    tier: Text | None = Field(None, description="Tier that replaces the route's for this key.")
    expires_at: Text | None = Field(
        None,
        description="Moment after which the key is refused, such as `2027-01-31T00:00:00Z`; never by "
        "default.",
    )
    networks: Texts = Field(
        default_factory=list,
        description="Where the key may be used from, such as `203.0.113.0/24`; elsewhere 403. Everywhere by "
        "default.",
    )


class ApiKeys(Section):
    """Where API keys are. A file's path alone may stand for it."""

    file: Text | None = Field(
        None,
        description='JSON file `{"keys": [...]}`, relative to the configuration file; '
        "`gatewright keys` writes it.",
    )
    keys: list[ApiKeyEntry] | None = Field(None, description="The keys themselves, hashed.")
    store: Literal[True] | None = Field(None, description="The keys are those of `key_store`.")

    @model_validator(mode="after")
    def _one_source(self) -> "ApiKeys":
        _exactly_one(self, "file", "keys", "store")
        return self


class ApiKeyIdentity(Section):
    """Partners who prove themselves with an API key."""

    name: Name = Field(description="Name that routes refer to.")
    kind: Literal["api_key"] = Field("api_key", description="`api_key`; must be written in files.")
    header: HeaderName = Field("X-API-Key", description="Header that carries the key.")
    pepper: Annotated[str, Field(min_length=16)] | None = Field(
        None,
        description="Secret of the HMAC that hashes keys, at least 16 characters; best as `${file:...}` or "
        "`${env:...}`. Plain SHA-256 by default.",
    )
    keys: Annotated[ApiKeys, BeforeValidator(_file_alone)] = Field(description="The keys.")


class MtlsIdentity(Section):
    """Callers who prove themselves with the certificate of their TLS connection. The listener has to ask for
    it: `tls.client_certificates`.
    """

    name: Name = Field(description="Name that routes refer to.")
    kind: Literal["mtls"] = Field("mtls", description="`mtls`; must be written in files.")
    user_from: Literal["subject_cn", "san_dns", "san_uri", "san_email"] = Field(
        "subject_cn",
        description="Part of the certificate that becomes `X-User-ID` and that limits per user count by: the "
        "common name of its subject, or the first alternative name of that kind. A certificate without it is "
        "refused with 401.",
    )
    allow: Texts | None = Field(
        None, description="Names that may call; every name that the authorities have signed by default."
    )
    scopes: Texts = Field(default_factory=list, description="Scopes of every such caller.")


Identity = Annotated[JwtIdentity | ApiKeyIdentity | MtlsIdentity, Field(discriminator="kind")]
Identities = Annotated[list[Identity], OneOrMany]

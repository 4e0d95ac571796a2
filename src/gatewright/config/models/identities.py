"""Models of the ways to prove who calls, and of the limits that callers get."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import (
    HeaderName,
    Name,
    OneOrMany,
    Section,
    Text,
    Texts,
    exactly_one,
    file_alone,
)
from gatewright.config.models.introspection import IntrospectionIdentity
from gatewright.config.models.oidc import OidcIdentity
from gatewright.config.models.passwords import BasicIdentity
from gatewright.config.models.signatures import SignatureIdentity
from gatewright.config.models.tokens import JwtIdentity


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
        exactly_one(self, "file", "keys", "store")
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
    keys: Annotated[ApiKeys, BeforeValidator(file_alone)] = Field(description="The keys.")


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


Identity = Annotated[
    JwtIdentity
    | IntrospectionIdentity
    | ApiKeyIdentity
    | MtlsIdentity
    | OidcIdentity
    | BasicIdentity
    | SignatureIdentity,
    Field(discriminator="kind"),
]
Identities = Annotated[list[Identity], OneOrMany]

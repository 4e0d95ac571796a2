"""Models of callers who sign their requests."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gatewright.config.models.base import Name, OneOrMany, Section, Text, Texts
from gatewright.config.quantities import Duration, Size, duration, size

DERIVED = ("@method", "@authority", "@scheme", "@target-uri", "@request-target", "@path", "@query")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")


def _component(value: str) -> str:
    if value not in DERIVED and _HEADER.fullmatch(value) is None:
        known = ", ".join(f"`{name}`" for name in DERIVED)
        message = f"must be the name of a header in lower case, or one of {known}"
        raise ValueError(message)
    return value


def _key_id(value: str) -> str:
    if not all(" " < character <= "~" and character not in '"\\' for character in value):
        message = "must be visible ASCII without quotes and backslashes"
        raise ValueError(message)
    return value


Component = Annotated[str, AfterValidator(_component)]
KeyId = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_key_id)]


class Signer(Section):
    """A key that requests are signed with."""

    id: KeyId = Field(description="Name that signatures give as `keyid`; public, for records too.")
    secret: Annotated[str, Field(min_length=32)] | None = Field(
        None,
        description="Shared secret of `hmac-sha256`, at least 32 characters; best as `${file:...}` or "
        "`${env:...}`. Exactly one of `secret` and `public_key` is needed.",
    )
    public_key: Text | None = Field(
        None,
        description="File with a public key in PEM, relative to the configuration file: Ed25519 for "
        "`ed25519`, P-256 for `ecdsa-p256-sha256`, RSA of at least 2048 bits for `rsa-pss-sha512`.",
    )
    partner: Text = Field(description="Becomes `X-Partner-ID`.")
    scopes: Texts = Field(default_factory=list, description="Scopes of whoever has this key.")
    roles: Texts = Field(default_factory=list, description="Roles of whoever has this key.")
    tier: Text | None = Field(None, description="Tier that replaces the route's for this key.")
    expires_at: Text | None = Field(
        None,
        description="Moment after which the key is refused, such as `2027-01-31T00:00:00Z`; never by "
        "default.",
    )

    @model_validator(mode="after")
    def _one_key(self) -> "Signer":
        if (self.secret is None) == (self.public_key is None):
            message = "give exactly one of `secret`, `public_key`"
            raise ValueError(message)
        return self


class SignatureIdentity(Section):
    """Callers who sign each request (RFC 9421, HTTP Message Signatures): with a shared secret, or a private
    key that never travels.
    """

    name: Name = Field(description="Name that routes refer to.")
    kind: Literal["signature"] = Field("signature", description="`signature`; must be written in files.")
    keys: Annotated[list[Signer], OneOrMany] = Field(min_length=1, description="Who may sign.")
    components: Annotated[list[Component], OneOrMany] = Field(
        default_factory=lambda: ["@method", "@authority", "@path", "@query"],
        description="What every signature must cover: derived components and lower-case names of headers. "
        "`@target-uri` covers `@scheme`, `@authority`, `@path` and `@query`, `@request-target` the last two. "
        "`[@method, @authority, @path, @query]` by default.",
    )
    digest: Literal["required", "optional"] = Field(
        "required",
        description="Whether a signature must cover `content-digest` (RFC 9530) where there is a body. Where "
        "that header is sent, the body is held against it in any case, before the service sees any of it.",
    )
    max_body: Annotated[Size, size("0B", "64MiB")] = Field(
        Size.of("1MiB"),
        description="Body that is read and held in memory to check its digest; a longer one is refused with "
        "413. All together have room in `node.max_retry_memory`; above it 503.",
    )
    nonce: Literal["required", "optional"] = Field(
        "required",
        description="Whether a signature must have a `nonce`. One that was used is refused in any case, for "
        "as long as its signature is good, by the node that has seen it.",
    )
    max_nonces: int = Field(
        100_000,
        ge=100,
        le=10_000_000,
        description="Nonces that a node remembers; while all of them count, further signed requests get 503: "
        "to forget one would let it be used again.",
    )
    max_age: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("5m"), description="How old a signature may be, by its `created`."
    )
    leeway: Annotated[Duration, duration("0s", "10m")] = Field(
        Duration.of("30s"), description="How far clocks may differ when `created` and `expires` are checked."
    )
    label: Annotated[str, Field(pattern=r"^[a-z*][a-z0-9_.*-]*$", max_length=64)] | None = Field(
        None,
        description="Label of the signature that counts, where requests have several; by default there must "
        "be one.",
    )

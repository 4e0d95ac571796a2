"""Models of the keys that tokens are verified with."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gatewright.config.models.base import Section, Text, exactly_one
from gatewright.config.quantities import Duration, Timeout, duration


class Jwks(Section):
    """Where the JSON Web Key Set of an issuer is. A file's path alone may stand for it."""

    file: Text | None = Field(None, description="File with the key set, relative to the configuration file.")
    url: Text | None = Field(
        None, description="Address the key set is fetched from; `https` unless `allow_http`."
    )
    discovery: Literal[True] | Text | None = Field(
        None,
        description="Ask the issuer where its key set is (OpenID Connect Discovery): `true` for "
        "`ISSUER/.well-known/openid-configuration`, or the address of such a document. What it says of its "
        "issuer must be `issuer`.",
    )
    keys: list[dict[str, Any]] | None = Field(None, description="The keys themselves (RFC 7517).")
    allow_http: bool = Field(
        False,
        description="Allow plain `http` for `url` and `discovery`. A loopback address needs no permission.",
    )
    refresh: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("30m"), description="How often the key set is fetched again, and up to a minute more."
    )
    minimum_refresh: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("30s"), description="Shortest time between two fetches that unknown key ids ask for."
    )
    lifetime: Annotated[Duration, duration("1s", "30d")] = Field(
        Duration.of("1h"), description="How long fetched keys are good for."
    )
    extension: Annotated[Duration, duration("0s", "30d")] = Field(
        Duration.of("15m"),
        description="How much longer they may be used while no newer ones can be had. Then requests that "
        "need them are answered with 503.",
    )
    timeout: Timeout = Field(Duration.of("5s"), description="For one fetch.")

    @model_validator(mode="after")
    def _one_source(self) -> "Jwks":
        exactly_one(self, "file", "url", "discovery", "keys")
        return self

    @property
    def is_fetched(self) -> bool:
        """Are the keys had from an address while the configuration is live?"""
        return self.url is not None or self.discovery is not None


class PublicKey(Section):
    """A public key in PEM. The file's path alone may stand for it."""

    file: Text = Field(description="File with the key in PEM, relative to the configuration file.")
    algorithm: (
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
        | None
    ) = Field(
        None,
        description="Algorithm that tokens must use; by default RS256, EdDSA, or the one of the curve, as "
        "the key is.",
    )
    key_id: Text | None = Field(None, description="Key id that tokens carry; none by default.")

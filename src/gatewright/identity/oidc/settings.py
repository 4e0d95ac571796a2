"""One provider as the operating half knows it, and how talking to it can fail."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewright.errors import GatewrightError
from gatewright.identity.fetch import KeySetError, KeySetSource, KeySetTimes


class ProviderError(GatewrightError):
    """The provider cannot be asked now; later it may be."""


class RefusedError(GatewrightError):
    """The provider takes a code or a token for none of its own; asking again would not help."""


class TokenError(GatewrightError):
    """What the provider said is not to be believed."""


class UserError(GatewrightError):
    """The user has no name that services can be told."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider is asked. Browsers go to `authorization` and `end_session`, the gateway to the
    others.
    """

    authorization: str
    token: str
    jwks: str
    end_session: str | None = None
    revocation: str | None = None
    # How the gateway proves itself, as the provider says; RFC 6749 wants everyone to know Basic.
    secret_in_form: bool = False
    # RFC 9207: an answer without `iss` is then none of this provider's.
    says_issuer: bool = False


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """Which claims become what."""

    user: str = "sub"
    scopes: tuple[str, ...] = ("scope", "scp", "scopes")
    roles: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """One identity of kind `oidc`."""

    identity: str
    issuer: str
    client_id: str
    client_secret: str | None = None
    endpoints: Endpoints | None = None
    allow_http: bool = False
    timeout: float = 5.0
    leeway: float = 30.0
    claims: ClaimSettings = field(default_factory=ClaimSettings)

    def check(self, url: str) -> None:
        """Refuse an address that anybody on the way could answer for. Raises `ProviderError`."""
        try:
            KeySetSource(self.identity, url, self.allow_http).check(url)
        except KeySetError as error:
            raise ProviderError(str(error)) from error

    def keys_at(self, url: str) -> KeySetSource:
        """Where its keys are, for `fetch_key_set`."""
        return KeySetSource(self.identity, url, self.allow_http, KeySetTimes(timeout=self.timeout))

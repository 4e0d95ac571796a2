"""Tokens and API keys for tests, and what a configuration says of them."""

import json
import time
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gatewright.identity.api_keys import NewKey, entry_of, new_secret
from gatewright.identity.tokens import generate


class Issuer:
    """Somebody who signs tokens with one key."""

    def __init__(
        self, algorithm: str = "EdDSA", key_id: str = "key-1", issuer: str = "https://id.test"
    ) -> None:
        self.algorithm = algorithm
        self.issuer = issuer
        key = generate(algorithm, key_id)
        assert isinstance(key, RSAKey | ECKey | OKPKey)
        self.key = key

    @property
    def key_set(self) -> dict[str, Any]:
        """The public half, as an issuer publishes it."""
        return {"keys": [self.key.as_dict(private=False)]}

    @property
    def identity(self) -> str:
        """An identity `mobile` of a configuration that accepts these tokens, as a YAML flow mapping."""
        keys = json.dumps(self.key_set["keys"])
        return f"{{name: mobile, kind: jwt, issuer: '{self.issuer}', audience: api, jwks: {{keys: {keys}}}}}"

    def claims(self, **changed: Any) -> dict[str, Any]:
        """The claims of a good token; a change to `None` leaves one out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": "api", "sub": "user-1", "iat": now, "exp": now + 600}
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A signed token. `header` adds to or changes its header, where `None` leaves a member out."""
        told = {"alg": self.algorithm, "kid": self.key.kid, "typ": "JWT"} | (header or {})
        told = {name: value for name, value in told.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(told, self.claims(**changed), self.key, algorithms=[self.algorithm])

    def bearer(self, **changed: Any) -> tuple[str, str]:
        """The header that a client sends."""
        return ("Authorization", f"Bearer {self.token(**changed)}")


@dataclass(frozen=True)
class ApiKey:
    """One API key of one partner."""

    partner: str = "acme"
    scopes: tuple[str, ...] = ()
    tier: str | None = None
    pepper: str | None = None
    secret: str = field(default_factory=new_secret)

    @cached_property
    def entry(self) -> dict[str, object]:
        """What a key file holds of it."""
        return entry_of(NewKey(self.partner, self.scopes, self.tier), self.secret, self.pepper)

    @property
    def identity(self) -> str:
        """An identity `partners` of a configuration that accepts this key, as a YAML flow mapping."""
        pepper = f", pepper: '{self.pepper}'" if self.pepper else ""
        keys = json.dumps([self.entry])
        return f"{{name: partners, kind: api_key, header: X-API-Key, keys: {{keys: {keys}}}{pepper}}}"

    @property
    def header(self) -> tuple[str, str]:
        """The header that a client sends."""
        return ("X-API-Key", self.secret)

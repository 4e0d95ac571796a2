"""Development tokens and the keys that sign them. For trying things out: a production issuer is another
program.
"""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from gatewright.control.durable import write_durably
from gatewright.errors import GatewrightError

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
RSA_BITS = 2048
PUBLIC_MODE = 0o644


class TokenError(GatewrightError):
    """A token cannot be minted, or a key not made or read."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a token shall say; times in seconds."""

    subject: str
    issuer: str | None = None
    audience: str | None = None
    scopes: tuple[str, ...] = ()
    lifetime: int = 3600
    claims: Mapping[str, object] = field(default_factory=dict)


def mint(key_file: Path, wanted: TokenRequest, now: int) -> str:
    """A signed token, valid from `now` (epoch seconds). The algorithm is the key's. Raises `TokenError`."""
    key = read_key(key_file)
    header = {"alg": algorithm_of(key), "typ": "JWT"}
    if key.kid:
        header["kid"] = key.kid
    claims: dict[str, object] = {
        "sub": wanted.subject,
        "iat": now,
        "exp": now + wanted.lifetime,
        "jti": secrets.token_hex(8),
    }
    optional = {"iss": wanted.issuer, "aud": wanted.audience, "scope": " ".join(wanted.scopes)}
    claims |= {name: value for name, value in optional.items() if value}
    claims |= wanted.claims
    try:
        with warnings.catch_warnings():
            # RFC 9864 renames EdDSA to Ed25519; issuers and the data plane still use the name of RFC 8037.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(header, claims, key, algorithms=[header["alg"]])
    except (JoseError, ValueError, TypeError) as error:
        raise TokenError(f"`{key_file}` cannot sign: {error}") from error


def read_key(path: Path) -> Key:
    """A private key from a JWK file. Raises `TokenError`."""
    try:
        key = import_key(json.loads(path.read_bytes()))
    except OSError as error:
        raise TokenError(f"`{path}` cannot be read: {error.strerror}") from error
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenError(f"`{path}` is no JWK: {error}") from error
    if key.key_type != "oct" and not key.is_private:
        raise TokenError(f"`{path}` holds a public key; signing needs the private one")
    return key


def algorithm_of(key: Key) -> str:
    """The algorithm that a key is for: its `alg`, else the one of its type."""
    by_type = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}
    return str(key.get("alg") or by_type[key.key_type])


def generate(algorithm: str, key_id: str | None = None) -> Key:
    """A new private key for one of `ALGORITHMS`. Raises `TokenError` for any other."""
    if algorithm not in ALGORITHMS:
        raise TokenError(f"`{algorithm}` is not offered; known: {', '.join(ALGORITHMS)}")
    parameters = {"alg": algorithm, "use": "sig", "kid": key_id or f"dev-{secrets.token_hex(4)}"}
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", parameters)
    if algorithm == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    return RSAKey.generate_key(RSA_BITS, parameters)


def write_key_pair(key: Key, private: Path, public: Path) -> None:
    """Write the private JWK (mode 0600) and the key set that the gateway reads. Raises `TokenError`."""
    key_set = {"keys": [key.as_dict(private=False)]}
    try:
        write_durably(private, text(key.as_dict(private=True)))
        write_durably(public, text(key_set), PUBLIC_MODE)
    except OSError as error:
        raise TokenError(f"`{error.filename}` cannot be written: {error.strerror}") from error


def text(document: Mapping[str, object]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()

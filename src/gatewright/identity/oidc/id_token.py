"""What a provider signs: ID tokens (OpenID Connect Core section 3.1.3.7) and logout tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from gatewright.identity.oidc.settings import OidcSettings, TokenError

# None that a public key could be taken for the secret of, and not `none`.
KEY_TYPES = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
MAXIMUM_BYTES = 64 * 1024
BACK_CHANNEL = "http://schemas.openid.net/event/backchannel-logout"
# A logout token says what happens now.
LOGOUT_SECONDS = 600

Claims = dict[str, Any]


class UnknownKeyError(TokenError):
    """The token names a key that the provider's key set does not have, or not yet."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token has to agree with."""

    now: float
    nonce: str | None = None
    access_token: str | None = None
    subject: str | None = None


def read_id_token(
    token: str, keys: Sequence[Mapping[str, Any]], settings: OidcSettings, expected: Expected
) -> Claims:
    """The claims of an ID token that is signed, current, and meant for this login. Raises `TokenError`."""
    claims = verified(token, keys)
    check_meant(claims, settings)
    check_times(claims, settings, expected.now)
    if expected.nonce is not None and not same(claims.get("nonce"), expected.nonce):
        raise TokenError("the nonce is not that of this login")
    if expected.subject is not None and claims.get("sub") != expected.subject:
        raise TokenError("the subject has changed")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise TokenError("there is no subject")
    check_hash(token, claims, expected.access_token)
    return claims


def read_logout_token(
    token: str, keys: Sequence[Mapping[str, Any]], settings: OidcSettings, now: float
) -> Claims:
    """The claims of a logout token (OpenID Connect Back-Channel Logout section 2.6). Raises `TokenError`."""
    claims = verified(token, keys)
    check_meant(claims, settings)
    check_times(claims, settings, now)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(BACK_CHANNEL), dict):
        raise TokenError("it is about no logout")
    if "nonce" in claims:
        raise TokenError("it has a nonce, as ID tokens have")
    if not any(isinstance(claims.get(name), str) and claims[name] for name in ("sid", "sub")):
        raise TokenError("it names neither session nor subject")
    if now - float(claims["iat"]) > LOGOUT_SECONDS + settings.leeway:
        raise TokenError("it is too old")
    return claims


def verified(token: str, keys: Sequence[Mapping[str, Any]]) -> Claims:
    if len(token) > MAXIMUM_BYTES:
        raise TokenError("the token is too long")
    header = header_of(token)
    algorithm, name = header.get("alg"), header.get("kid")
    if "crit" in header:
        raise TokenError("the token demands an extension")
    if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
        raise TokenError(f"the algorithm {str(algorithm)[:20]!r} is not accepted")
    fitting = [key for key in keys if fits(key, algorithm, name)]
    if not fitting:
        raise UnknownKeyError("no key of the provider is named by the token")
    for claims in read_by(token, fitting, algorithm):
        return claims
    raise TokenError("the signature does not verify")


def read_by(token: str, keys: Sequence[Mapping[str, Any]], algorithm: str) -> Iterator[Claims]:
    for key in keys:
        try:
            yield jwt.decode(token, JWKRegistry.import_key(dict(key)), algorithms=[algorithm]).claims
        except (JoseError, ValueError, TypeError, KeyError):
            continue


def header_of(token: str) -> dict[str, Any]:
    first = token.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError) as error:
        raise TokenError("it is no token") from error
    if not isinstance(header, dict) or token.count(".") != 2:
        raise TokenError("it is no token")
    return header


def fits(key: Mapping[str, Any], algorithm: str, name: object) -> bool:
    return (
        key.get("kty") == KEY_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    )


def check_meant(claims: Claims, settings: OidcSettings) -> None:
    if claims.get("iss") != settings.issuer:
        raise TokenError("the issuer is another one")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or settings.client_id not in audiences:
        raise TokenError("it is for another client")
    # Of several, the one whom it was issued to.
    if "azp" in claims:
        if claims["azp"] != settings.client_id:
            raise TokenError("it was issued to another client")
    elif len(audiences) > 1:
        raise TokenError("it is for several clients, and does not say for which")


def check_times(claims: Claims, settings: OidcSettings, now: float) -> None:
    if now >= number(claims, "exp") + settings.leeway:
        raise TokenError("it has expired")
    if number(claims, "iat") - settings.leeway > now:
        raise TokenError("it was issued in the future")
    if "nbf" in claims and number(claims, "nbf") - settings.leeway > now:
        raise TokenError("it is not valid yet")


def number(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"`{name}` is no time")
    return float(value)


def check_hash(token: str, claims: Claims, access_token: str | None) -> None:
    """`at_hash`, where there is one, is of the access token that came beside it."""
    if "at_hash" not in claims:
        return
    # EdDSA is that of Ed25519, whose own hash is SHA-512.
    digest = hashlib.sha512 if header_of(token)["alg"] == "EdDSA" else hashlib.sha256
    whole = digest((access_token or "").encode()).digest()
    half = base64.urlsafe_b64encode(whole[: len(whole) // 2]).rstrip(b"=").decode()
    if not same(claims["at_hash"], half):
        raise TokenError("`at_hash` is of another access token")


def same(sent: object, expected: str) -> bool:
    return isinstance(sent, str) and hmac.compare_digest(sent.encode(), expected.encode())

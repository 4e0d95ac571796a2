"""Tokens: headers that claims may become, issuers that can be asked, and grace that ends."""

import re
from collections.abc import Iterator

from gatewright.config.crosschecks.headers import FRAMING, IDENTITY
from gatewright.config.crosschecks.serving import url_faults
from gatewright.config.crosschecks.view import View
from gatewright.config.models import JwtIdentity
from gatewright.errors import Problem

_PLAIN = re.compile(r"[A-Za-z0-9-]+")
_OWN = re.compile(
    r"authorization|cookie|forwarded|origin|proxy(-.*)?|trace(parent|state)|user-agent|via"
    r"|x-(forwarded-.*|real-ip|request-id|client-cert.*)"
)


def check(view: View) -> Iterator[Problem]:
    """Find headers for claims that the gateway has another use for, and issuers that cannot be asked."""
    for number, identity in enumerate(view.gateway.identities):
        if isinstance(identity, JwtIdentity):
            yield from _headers(view, number, identity)
            yield from _discovery(view, number, identity)
            yield from _times(view, number, identity)
            if identity.jwks is not None and identity.jwks.url is not None:
                position = view.at("identities", number, "jwks", "url")
                faults = url_faults(identity.jwks.url, identity.jwks.allow_http)
                yield from (position.problem(text) for text in faults)
    yield from _grace(view)


def _headers(view: View, number: int, identity: JwtIdentity) -> Iterator[Problem]:
    seen: set[str] = set()
    for name in identity.claim_headers:
        plain = name.lower()
        position = view.key_at("identities", number, "claim_headers", name)
        if not _PLAIN.fullmatch(name):
            yield position.problem(
                f"`{name}` cannot be told from its other spellings; use letters, digits and `-`"
            )
        elif plain in FRAMING or plain in IDENTITY or _OWN.fullmatch(plain):
            yield position.problem(f"header `{name}` has a meaning of its own; choose another for the claim")
        elif plain in seen:
            yield position.problem(f"header `{name}` is named twice")
        seen.add(plain)


def _discovery(view: View, number: int, identity: JwtIdentity) -> Iterator[Problem]:
    jwks = identity.jwks
    if jwks is None or jwks.discovery is None:
        return
    position = view.at("identities", number, "jwks", "discovery")
    if len(identity.issuer) != 1:
        yield position.problem("`discovery` needs one `issuer`, which the document is held against")
        return
    address = identity.issuer[0] if jwks.discovery is True else jwks.discovery
    yield from (position.problem(text) for text in url_faults(address, jwks.allow_http))


def _times(view: View, number: int, identity: JwtIdentity) -> Iterator[Problem]:
    jwks = identity.jwks
    if jwks is not None and jwks.is_fetched and jwks.refresh > jwks.lifetime:
        yield view.at("identities", number, "jwks", "refresh").problem(
            f"keys fetched every {jwks.refresh} would be too old after {jwks.lifetime}; lower `refresh`"
        )


def _grace(view: View) -> Iterator[Problem]:
    for number, route in view.routes():
        if route.auth is None or not route.auth.grace_period:
            continue
        position = view.at("routes", number, "auth", "grace_period")
        if route.auth.optional:
            yield position.problem("with `optional` no credential is ever missed; leave out one of the two")
        else:
            yield position.warning(
                f"route `{route.name}` lets requests without a credential through for now; take "
                "`grace_period` away once its clients send one"
            )

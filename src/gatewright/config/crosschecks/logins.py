"""Logins with a browser: providers that can be trusted, paths and cookies that nobody shares, room for
cookies.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gatewright.config.compile_login import cookie_name, takes_cookies_of
from gatewright.config.crosschecks.view import View
from gatewright.config.models import OidcIdentity
from gatewright.errors import Problem

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# Of a request's head, for all that is no cookie of a provider's tokens.
_ROOM = 2048


def check(view: View) -> Iterator[Problem]:
    """Find logins that would not work, or not be safe."""
    seen: dict[tuple[str, str], str] = {}
    for number, identity in enumerate(view.gateway.identities):
        if not isinstance(identity, OidcIdentity):
            continue
        yield from _addresses(view, number, identity)
        yield from _shared(view, number, identity, seen)
        yield from _room(view, number, identity)
    for number, route in view.routes():
        if route.csrf is not None and view.complete and not takes_cookies_of(view.gateway, route):
            yield view.at("routes", number, "csrf").problem(
                "the route accepts no identity whose credential a browser sends by itself; leave `csrf` out"
            )


def _addresses(view: View, number: int, identity: OidcIdentity) -> Iterator[Problem]:
    named = {("issuer",): identity.issuer}
    if identity.endpoints is not None:
        given = identity.endpoints.model_dump(exclude_none=True)
        named |= {("endpoints", name): url for name, url in given.items()}
    for place, url in named.items():
        # An issuer that is not asked is a name and nothing else.
        is_asked = place != ("issuer",) or identity.endpoints is None
        parts = urlsplit(url)
        if (
            is_asked
            and parts.scheme == "http"
            and parts.hostname not in _LOOPBACK
            and not identity.allow_http
        ):
            cure = "use `https`, or set `allow_http: true`"
            yield view.at("identities", number, *place).problem(
                f"whoever is on the way to `{url}` could log in as anybody; {cure}"
            )


def _shared(
    view: View, number: int, identity: OidcIdentity, seen: dict[tuple[str, str], str]
) -> Iterator[Problem]:
    mine = {"path": identity.path, "cookie": cookie_name(identity.session)}
    for what, value in mine.items():
        other = seen.setdefault((what, value), identity.name)
        if other != identity.name:
            place = ("session", "cookie") if what == "cookie" else ("path",)
            yield view.at("identities", number, *place).problem(
                f"identity `{other}` has the {what} `{value}` already; give this one another"
            )


def _room(view: View, number: int, identity: OidcIdentity) -> Iterator[Problem]:
    wanted = int(identity.session.max_tokens) + _ROOM
    for listener in view.gateway.listeners:
        if int(listener.max_header_bytes) < wanted:
            yield view.at("identities", number, "session", "max_tokens").warning(
                f"cookies of this size leave too little of the {listener.max_header_bytes} that listener "
                f"`{listener.name}` takes; raise its `max_header_bytes` or lower `max_tokens`"
            )

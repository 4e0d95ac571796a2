"""Headers that routes change, and origins that they let in."""

import re
from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import HeaderChanges, JwtIdentity, Route
from gatewright.errors import Problem

_ORIGIN = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?|null|[a-z][a-z0-9+.-]*://[a-z0-9._-]+"
)
FRAMING = {
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Headers of a message or of a connection, which nobody else may set."""
IDENTITY = {"x-user-id", "x-user-scopes", "x-user-roles", "x-partner-id", "x-tenant-id"}
"""Headers that say who calls."""


def check(view: View) -> Iterator[Problem]:
    """Find header changes that would break messages or forge callers, and unsafe or impossible origins."""
    for number, route in view.routes():
        yield from _changes(view, number, "request_headers", route.request_headers)
        yield from _changes(view, number, "response_headers", route.response_headers)
        yield from _answer(view, number, route)
        yield from _origins(view, number, route)


def _answer(view: View, number: int, route: Route) -> Iterator[Problem]:
    for name in route.respond.headers if route.respond is not None else ():
        if name.lower() in FRAMING:
            position = view.key_at("routes", number, "respond", "headers", name)
            yield position.problem(f"header `{name}` is the gateway's own to set; leave it out")


def _changes(view: View, number: int, option: str, changes: HeaderChanges) -> Iterator[Problem]:
    claimed = _claimed(view)
    for kind, names in (("set", changes.set), ("add", changes.add), ("remove", changes.remove)):
        for place, name in enumerate(names):
            plain = name.lower().replace("_", "-").replace(".", "-")
            segment = place if kind == "remove" else name
            position = view.key_at("routes", number, option, kind, segment)
            if plain in FRAMING:
                yield position.problem(f"header `{name}` is the gateway's own to set; leave it out")
            elif option == "request_headers" and (
                plain in IDENTITY or plain in claimed or plain.startswith("x-client-cert")
            ):
                yield position.problem(
                    f"header `{name}` says who calls and is set from what was proved; leave it out"
                )


def _claimed(view: View) -> set[str]:
    tokens = [one for one in view.gateway.identities if isinstance(one, JwtIdentity)]
    return {name.lower() for identity in tokens for name in identity.claim_headers}


def _origins(view: View, number: int, route: Route) -> Iterator[Problem]:
    if route.cors is None:
        return
    origins = route.cors.allow_origins
    here = ("routes", number, "cors")
    if "*" in origins and route.cors.allow_credentials:
        yield view.at(*here, "allow_credentials").problem(
            "credentials cannot be allowed to every origin; list the origins in place of `*`"
        )
    if "*" in origins and len(origins) > 1:
        yield view.at(*here, "allow_origins").problem("`*` stands alone; list it or the origins, not both")
    for place, origin in enumerate(origins):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            cure = "write scheme, host and port in lower case alone, such as `https://app.example.com`"
            yield view.at(*here, "allow_origins", place).problem(f"`{origin}` is not an origin; {cure}")

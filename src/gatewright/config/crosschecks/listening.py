"""Listeners and the admin address: they can be listened on, and nobody is let in by accident."""

from collections.abc import Iterator, Sequence

from gatewright.config.addresses import (
    MAX_PATH,
    Address,
    Endpoint,
    UnixPath,
    read_address,
    read_endpoint,
    read_network,
)
from gatewright.config.crosschecks.view import View
from gatewright.config.positions import Position
from gatewright.errors import Problem

_ANY = {"0.0.0.0", "::"}  # noqa: S104 -- recognised, not listened on.


def check(view: View) -> Iterator[Problem]:
    """Find missing, wrong and clashing addresses, an open admin listener, and networks that are none."""
    if not view.gateway.listeners and view.complete:
        yield view.root.position.problem(
            "no listener; add `listeners: [{name: public, address: 127.0.0.1:8080}]`"
        )
    taken: list[tuple[Endpoint, str]] = []
    for location, text in _addresses(view):
        position = view.at(*location)
        try:
            address = read_address(text) if location[0] == "admin" else read_endpoint(text)
        except ValueError as error:
            yield position.problem(str(error))
            continue
        if isinstance(address, UnixPath):
            yield from _path(address, position)
        elif address.ip() is None:
            yield position.problem(
                f"a listener needs an IP address, not the name `{address.host}`; write `127.0.0.1`"
            )
            continue
        for other, place in taken:
            if _clash(address, other):
                what = "path" if isinstance(address, UnixPath) else "port"
                yield position.problem(f"address `{text}` is taken by {place}; choose another {what}")
        taken.append((address, "the admin listener" if location[0] == "admin" else str(position)))
        is_open = isinstance(address, Address) and not address.is_loopback()
        if location[0] == "admin" and is_open and view.gateway.admin.token is None:
            cure = "add `token`, or listen on `127.0.0.1`"
            yield position.problem(f"the admin listener would be open to everybody on `{text}`; {cure}")
    yield from _networks(view)
    for number, listener in enumerate(view.gateway.listeners):
        if listener.redirect_to_https is not None and listener.tls is not None:
            yield view.key_at("listeners", number, "redirect_to_https").problem(
                "this listener speaks `https` already; redirect from one without `tls`"
            )


def _addresses(view: View) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield ("admin", "address"), view.gateway.admin.address
    for number, listener in enumerate(view.gateway.listeners):
        yield ("listeners", number, "address"), listener.address


def _path(address: UnixPath, position: Position) -> Iterator[Problem]:
    # It is bound under a longer name first and then renamed.
    most = MAX_PATH - len(".new")
    if len(address.path) > most:
        yield position.problem(
            f"`unix:{address.path}` is too long; the path of a listener has at most {most} bytes"
        )


def _clash(one: Endpoint, other: Endpoint) -> bool:
    if isinstance(one, UnixPath) or isinstance(other, UnixPath):
        return one == other
    if one.port != other.port:
        return False
    return one.host == other.host or one.host in _ANY or other.host in _ANY


def _networks(view: View) -> Iterator[Problem]:
    for number, listener in enumerate(view.gateway.listeners):
        yield from _list(view, ("listeners", number, "trusted_proxies"), listener.trusted_proxies)
        if listener.proxy_protocol is not None:
            yield from _list(view, ("listeners", number, "proxy_protocol"), listener.proxy_protocol.from_)


def _list(view: View, location: tuple[str | int, ...], texts: Sequence[str]) -> Iterator[Problem]:
    for place, text in enumerate(texts):
        position = view.at(*location, "from", place)
        try:
            network = read_network(text)
        except ValueError as error:
            yield position.problem(str(error))
            continue
        if network.prefixlen == 0:
            yield position.warning(f"`{text}` lets everybody name any address as the client's")

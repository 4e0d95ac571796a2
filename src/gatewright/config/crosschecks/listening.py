"""Listeners and the admin address: they can be listened on, and nobody is let in by accident."""

import ipaddress
from collections.abc import Iterator

from gatewright.config.addresses import Address, read_address
from gatewright.config.crosschecks.view import View
from gatewright.errors import Problem

_ANY = {"0.0.0.0", "::"}  # noqa: S104 -- recognised, not listened on.


def check(view: View) -> Iterator[Problem]:
    """Find missing, wrong and clashing addresses, an open admin listener, and networks that are none."""
    if not view.gateway.listeners and view.complete:
        yield view.root.position.problem(
            "no listener; add `listeners: [{name: public, address: 127.0.0.1:8080}]`"
        )
    taken: list[tuple[Address, str]] = []
    for location, text in _addresses(view):
        position = view.at(*location)
        try:
            address = read_address(text)
        except ValueError as error:
            yield position.problem(str(error))
            continue
        if address.ip() is None:
            yield position.problem(
                f"a listener needs an IP address, not the name `{address.host}`; write `127.0.0.1`"
            )
            continue
        for other, place in taken:
            if _clash(address, other):
                yield position.problem(f"address `{text}` is taken by {place}; choose another port")
        taken.append((address, "the admin listener" if location[0] == "admin" else str(position)))
        if location[0] == "admin" and not address.is_loopback() and view.gateway.admin.token is None:
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


def _clash(one: Address, other: Address) -> bool:
    if one.port != other.port:
        return False
    return one.host == other.host or one.host in _ANY or other.host in _ANY


def _networks(view: View) -> Iterator[Problem]:
    for number, listener in enumerate(view.gateway.listeners):
        for place, text in enumerate(listener.trusted_proxies):
            position = view.at("listeners", number, "trusted_proxies", place)
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                yield position.problem(
                    f"`{text}` is not a network; write `10.0.0.0/8`, `10.1.2.3` or `fd00::/8`"
                )
                continue
            if "/" in text and str(network.network_address) != text.partition("/")[0]:
                yield position.problem(f"`{text}` has bits set outside its prefix; write `{network}`")
            elif network.prefixlen == 0:
                yield position.warning(f"`{text}` believes everybody's `X-Forwarded-For`")

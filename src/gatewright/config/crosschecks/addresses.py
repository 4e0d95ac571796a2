"""Addresses: lists that are named exist, networks are networks, and what rules ask for is there."""

from collections.abc import Iterator, Sequence

from gatewright.config.addresses import is_network, read_network
from gatewright.config.crosschecks.headers import FRAMING, IDENTITY
from gatewright.config.crosschecks.view import View
from gatewright.config.models import Route, Screening
from gatewright.config.validation import unknown
from gatewright.errors import Problem

Location = tuple[str | int, ...]


def check(view: View) -> Iterator[Problem]:
    """Find wrong networks, names of no list, and rules that nothing is known for."""
    yield from _lists(view)
    yield from _owner(view, view.gateway.screening, ("screening",))
    for number, route in view.routes():
        yield from _owner(view, route, ("routes", number))
    challenge = view.gateway.challenge
    if challenge.redirect is not None and challenge.secret is None:
        cure = "give both the same `secret`"
        yield view.at("challenge", "redirect").problem(f"the page cannot vouch for anybody; {cure}")
    yield from _header(view)


def _lists(view: View) -> Iterator[Problem]:
    for number, one in enumerate(view.gateway.address_lists):
        if is_network(one.name):
            place = view.at("address_lists", number, "name")
            yield place.problem(f"`{one.name}` is an address; choose a name that is none")
        for place_, text in enumerate(one.addresses):
            yield from _network(view, ("address_lists", number, "addresses", place_), text)


def _network(view: View, location: Location, text: str) -> Iterator[Problem]:
    try:
        read_network(text)
    except ValueError as error:
        yield view.at(*location).problem(str(error))


def _owner(view: View, owner: Route | Screening, place: Location) -> Iterator[Problem]:
    if owner.addresses is not None:
        yield from _named(view, owner.addresses.allow or (), (*place, "addresses", "allow"))
        yield from _named(view, owner.addresses.deny, (*place, "addresses", "deny"))
    if owner.countries is not None and view.gateway.geography is None:
        text = "nothing is known of countries; add `geography: {file: ...}`"
        yield view.key_at(*place, "countries").problem(text)
    if owner.reputation is not None and view.gateway.reputation is None:
        text = "nothing is known of reputations; add `reputation: {file: ...}`"
        yield view.key_at(*place, "reputation").problem(text)


def _named(view: View, texts: Sequence[str], location: Location) -> Iterator[Problem]:
    known = view.names["address_lists"]
    for place, text in enumerate(texts):
        where = (*location, place)
        if "/" in text or ":" in text or is_network(text):
            yield from _network(view, where, text)
        elif text not in known:
            yield view.at(*where).problem(unknown(text, "list of addresses", known))


def _header(view: View) -> Iterator[Problem]:
    geography = view.gateway.geography
    name = "" if geography is None else geography.header or ""
    if name.lower().replace("_", "-") in FRAMING | IDENTITY:
        yield view.at("geography", "header").problem(f"header `{name}` is the gateway's own to set")

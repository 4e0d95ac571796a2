"""Lists of addresses, and who may ask, to their parts of the snapshot."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gatewright.config.addresses import is_network
from gatewright.config.models import AddressRule, Challenge, CountryRule, ReputationRule, Route, Screening

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded

Location = tuple[str | int, ...]


def compile_screening(loaded: Loaded) -> dict[str, Any]:
    """Give what is known of addresses, and what holds for every request."""
    gateway = loaded.gateway
    geography, reputation = gateway.geography, gateway.reputation
    return {
        "lists": [*_named(loaded), *_unnamed(loaded)],
        "geography": geography and _file(loaded, ("geography",), geography.file, int(geography.max_size)),
        "record_country": geography is not None and geography.record,
        "country_header": geography and geography.header and geography.header.lower(),
        "reputation": reputation and _file(loaded, ("reputation",), reputation.file, reputation.max_entries),
        "challenge": _challenge(gateway.challenge),
        "all": _screen(loaded, gateway.screening, ("screening",)),
    }


def compile_screen(loaded: Loaded, number: int) -> dict[str, Any] | None:
    """Give what a route says of the addresses of its requests; `None` where that is nothing."""
    return _screen(loaded, loaded.gateway.routes[number], ("routes", number))


def _screen(loaded: Loaded, owner: Route | Screening, place: Location) -> dict[str, Any] | None:
    if owner.addresses is None and owner.countries is None and owner.reputation is None:
        return None
    rule = owner.addresses or AddressRule.model_construct(allow=None, deny=[])
    return {
        "at": str(loaded.at(*place)),
        "allow": None if rule.allow is None else _lists(rule.allow, _name(owner, "allow")),
        "deny": _lists(rule.deny, _name(owner, "deny")),
        "countries": _countries(owner.countries),
        "reputation": _reputation(owner.reputation),
    }


def _name(owner: Route | Screening, option: str) -> str:
    """What the networks are called that a rule names itself; no list of the configuration has a `/`."""
    return f"{owner.name if isinstance(owner, Route) else 'screening'}/{option}"


def _lists(texts: list[str], own: str) -> list[str]:
    names = [text for text in texts if not is_network(text)]
    return names if len(names) == len(texts) else [*names, own]


def _named(loaded: Loaded) -> list[dict[str, Any]]:
    lists = []
    for number, one in enumerate(loaded.gateway.address_lists):
        place: Location = ("address_lists", number)
        file = None if one.file is None else _file(loaded, place, one.file, one.max_entries)
        at = str(loaded.at(*place))
        lists.append({"name": one.name, "at": at, "addresses": one.addresses, "file": file})
    return lists


def _unnamed(loaded: Loaded) -> list[dict[str, Any]]:
    """Give a list for the networks of each rule that names some itself."""
    owners: list[tuple[Route | Screening, Location]] = [(loaded.gateway.screening, ("screening",))]
    owners += [(route, ("routes", number)) for number, route in enumerate(loaded.gateway.routes)]
    lists = []
    for owner, place in owners:
        rule = owner.addresses
        if rule is None:
            continue
        for option, texts in (("allow", rule.allow or []), ("deny", rule.deny)):
            networks = [text for text in texts if is_network(text)]
            at = str(loaded.at(*place, "addresses", option))
            if networks:
                lists.append({"name": _name(owner, option), "at": at, "addresses": networks})
    return lists


def _file(loaded: Loaded, place: Location, path: str, most: int) -> dict[str, Any]:
    # The engine reads it, also after the working directory has changed.
    return {"at": str(loaded.at(*place, "file")), "path": os.path.abspath(path), "most": most}


def _countries(rule: CountryRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    unknown = rule.unknown or ("allow" if rule.allow is None else "deny")
    return {"allow": rule.allow, "deny": rule.deny, "unknown": unknown == "allow"}


def _reputation(rule: ReputationRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {"challenge_below": rule.challenge_below, "refuse_below": rule.refuse_below}


def _challenge(challenge: Challenge) -> dict[str, Any]:
    return {
        "secret": challenge.secret,
        "difficulty": challenge.difficulty,
        "lifetime_s": int(challenge.lifetime) // 1000,
        "redirect": challenge.redirect,
    }

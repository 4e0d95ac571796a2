"""Nesting: tiers within tiers end somewhere, are not more than a request may have, and mean something."""

from collections.abc import Iterator, Mapping

from gatewright.config.crosschecks.view import View
from gatewright.config.limiting import algorithm_of
from gatewright.config.models import BUILT_IN_TIERS, RateLimit, Tier
from gatewright.config.models.tiers import MOST_TIERS
from gatewright.config.validation import unknown
from gatewright.errors import Problem

_DAY = 86_400_000
_MONTH = 28 * _DAY


def check(view: View) -> Iterator[Problem]:
    """Find tiers within themselves or within nothing, limits that are never reached, and too many at once."""
    tiers = {tier.name: tier for tier in (*BUILT_IN_TIERS, *view.gateway.tiers)}
    for number, tier in enumerate(view.gateway.tiers):
        if tier.within is None:
            continue
        where = view.at("tiers", number, "within")
        if tier.within not in (*tiers, *view.names["tiers"]):
            yield where.problem(unknown(tier.within, "tier", list(tiers)))
        elif tier.name in above(tier, tiers):
            yield where.problem(f"tier `{tier.name}` is within itself")
        elif tier.within in tiers:
            yield from _reached(view, number, tier, tiers[tier.within])
    yield from _alone(view, tiers)
    for number, route in view.routes():
        if route.rate_limit is not None:
            yield from _many(view, tiers, route.rate_limit, ("routes", number, "rate_limit"))
    default = view.gateway.defaults.rate_limit
    if default is not None:
        yield from _many(view, tiers, default, ("defaults", "rate_limit"))


def above(tier: Tier, tiers: Mapping[str, Tier]) -> list[str]:
    """Give the names of the tiers that one is within, the nearest first; each once, also where they turn in
    a circle."""
    found: list[str] = []
    following = tier.within
    while following is not None and following in tiers and following not in found:
        found.append(following)
        following = tiers[following].within
    return found


def _reached(view: View, number: int, tier: Tier, parent: Tier) -> Iterator[Problem]:
    """Find a limit that the tier around it does not let anybody reach."""
    alike = tier.counts == parent.counts
    places = [algorithm_of(one) == "concurrency" for one in (tier, parent)]
    if alike and places[0] == places[1] and tier.limit > parent.limit and window(tier) <= window(parent):
        yield view.at("tiers", number, "limit").warning(
            f"nobody ever gets {tier.limit} here, since tier `{parent.name}` around it allows "
            f"{parent.limit} in a window that is no shorter"
        )


def window(tier: Tier) -> int:
    """Give the length of the window in milliseconds; of a calendar the shortest."""
    if tier.calendar is not None:
        return _DAY if tier.calendar == "day" else _MONTH
    return int(tier.window)


def _alone(view: View, tiers: Mapping[str, Tier]) -> Iterator[Problem]:
    for option in ("unauthenticated_tier", "failed_authentication_tier"):
        tier = tiers.get(getattr(view.gateway.defaults, option))
        if tier is not None and tier.within is not None:
            yield view.at("defaults", option).problem(
                f"requests without a caller are counted by one tier, and `{tier.name}` is within "
                f"`{tier.within}`; choose another"
            )


def _many(
    view: View, tiers: Mapping[str, Tier], limit: RateLimit, location: tuple[str | int, ...]
) -> Iterator[Problem]:
    """Find routes whose requests might have more tiers than are decided together."""
    if not any(tier.within for tier in tiers.values()):
        return
    others = {
        name for first in limit.tier[1:] if first in tiers for name in (first, *above(tiers[first], tiers))
    }
    longest = max(tiers.values(), key=lambda tier: len(above(tier, tiers)))
    most = len(others) + 1 + len(above(longest, tiers))
    if most > MOST_TIERS:
        yield view.at(*location, "tier").problem(
            f"a request could have {most} tiers, those around them included (`{longest.name}` has most and "
            f"may be a caller's own); {MOST_TIERS} at most"
        )

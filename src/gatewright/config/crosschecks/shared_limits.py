"""Limits that nodes count together: what can be counted so, and where it is."""

from collections.abc import Iterator, Sequence

from gatewright.config.crosschecks.view import View
from gatewright.config.limiting import algorithm_of, block_of, limit_of, most_of
from gatewright.config.models import Gateway, RateLimit, Tier
from gatewright.errors import Problem

MOST = 2**50
"""Limit times window that Redis reckons with exactly."""

_ON_ONE_NODE = ("sliding_log", "concurrency")


def check(view: View) -> Iterator[Problem]:
    """Find tiers that cannot be shared, and options that do nothing because none is."""
    gateway = view.gateway
    shared = {tier.name for tier in gateway.tiers if tier.share != "none"}
    for number, tier in enumerate(gateway.tiers):
        yield from _tier(view, number, tier)
    if not shared and "shared_limits" in gateway.model_fields_set and view.complete:
        yield view.key_at("shared_limits").problem(
            "`shared_limits` does nothing; let a tier have `share: exact` or `share: leased`"
        )
    for option in ("unauthenticated_tier", "failed_authentication_tier"):
        if getattr(gateway.defaults, option) in shared:
            yield view.at("defaults", option).problem(
                "these requests are charged on each node without asking Redis; choose a tier with "
                "`share: none`"
            )
    for number, route in view.routes():
        limit = limit_of(route, gateway.defaults)
        if route.rate_limit is not None and limit is not None:
            yield from _limit(view, limit, shared, ("routes", number, "rate_limit"))
    if gateway.defaults.rate_limit is not None:
        yield from _limit(view, gateway.defaults.rate_limit, shared, ("defaults", "rate_limit"))


def _tier(view: View, number: int, tier: Tier) -> Iterator[Problem]:
    algorithm, at = algorithm_of(tier), view.at("tiers", number, "share")
    if tier.block is not None and tier.share != "leased":
        yield view.at("tiers", number, "block").problem("`block` is for `share: leased`; leave it out")
    if tier.share == "none":
        return
    if algorithm in _ON_ONE_NODE:
        yield at.problem(
            f"`{algorithm}` counts on one node only; use another algorithm, such as `sliding_window`, or "
            "`share: none`"
        )
    elif _product(tier) > MOST:
        yield view.at("tiers", number, "limit").problem(
            "`limit` is too large for this `window` to be counted by several nodes; use a shorter window, or "
            "`share: none`"
        )
    if tier.share != "leased":
        return
    if algorithm == "leaky_bucket":
        yield at.problem("requests that wait for their turn cannot be taken ahead; use `share: exact`")
    elif tier.counts != "requests":
        yield at.problem(
            "what a response costs is known afterwards, and cannot be taken ahead; use `share: exact`"
        )
    elif block_of(tier) > most_of(tier):
        yield view.at("tiers", number, "block").problem(
            f"one node would take all of the limit: `block` is at most {most_of(tier):,}"
        )


def around(gateway: Gateway, names: Sequence[str]) -> list[str]:
    """Give these tiers and those that they are within."""
    outer = {tier.name: tier.within for tier in gateway.tiers}
    found: list[str] = []
    for name in names:
        one: str | None = name
        while one is not None and one not in found:
            found.append(one)
            one = outer.get(one)
    return found


def _product(tier: Tier) -> int:
    longest = 0 if tier.max_delay is None else int(tier.max_delay)
    return max(tier.limit, most_of(tier)) * max(int(tier.window), longest)


def _limit(
    view: View, limit: RateLimit, shared: set[str], location: tuple[str | int, ...]
) -> Iterator[Problem]:
    found = [name for name in around(view.gateway, limit.tier) if name in shared]
    if limit.charge_refused and found:
        yield view.at(*location, "charge_refused").problem(
            f"tier `{found[0]}` is shared, and Redis charges all tiers of a request or none; leave it out"
        )

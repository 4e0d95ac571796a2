"""What routes and tiers mean where they leave something out."""

from gatewright.config.models import Defaults, RateLimit, Route, Tier
from gatewright.config.models.routes import NONE


def limit_of(route: Route, defaults: Defaults) -> RateLimit | None:
    """Give the limit that a route gets: its own, the default one, or a built-in one; `None` for no limit."""
    limit = route.rate_limit or defaults.rate_limit
    if limit is None:
        demands_caller = route.auth is not None and not (route.auth.optional or route.auth.grace_period)
        limit = RateLimit(tier=["standard" if demands_caller else "unauthenticated"])
    return None if limit.tier == [NONE] else limit


def algorithm_of(tier: Tier) -> str:
    """Give the name of the algorithm by which a tier counts; `calendar` for days and months."""
    if tier.calendar is not None:
        return "calendar"
    return tier.algorithm or ("sliding_window" if tier.burst is None else "token_bucket")


def burst_of(tier: Tier) -> int:
    """Give what a bucket holds: its `burst`, or all of `limit`; with `gcra` one request after the other."""
    return tier.burst or (1 if algorithm_of(tier) == "gcra" else tier.limit)


def block_of(tier: Tier) -> int:
    """Give how many requests a node takes at a time of a tier that is `leased`."""
    return tier.block or max(1, most_of(tier) // 100)


def most_of(tier: Tier) -> int:
    """Give the most that a tier has for one caller at one moment."""
    return burst_of(tier) if algorithm_of(tier) in ("token_bucket", "gcra") else tier.limit

"""Limits: options of a tier that fit its algorithm, costs that some request could pay."""

from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.limiting import algorithm_of, burst_of, limit_of
from gatewright.config.models import BUILT_IN_TIERS, RateLimit, Tier
from gatewright.config.models.tiers import header_of
from gatewright.errors import Problem

MOST_LOGGED = 10_000
"""Requests of one caller that a sliding log remembers at most: 160 KB."""
MOST_IN_BUCKET = 2**62
"""What a bucket reckons with: requests times milliseconds."""

_BUCKETS = ("token_bucket", "gcra")


def check(view: View) -> Iterator[Problem]:
    """Find options without effect, limits too large for their algorithm, and costs above every limit."""
    for number, tier in enumerate(view.gateway.tiers):
        yield from _options(view, number, tier)
        yield from _sizes(view, number, tier)
        yield from _parts(view, number, tier)
    tiers = {tier.name: tier for tier in (*BUILT_IN_TIERS, *view.gateway.tiers)}
    yield from _charged_to_addresses(view, tiers)
    for number, route in view.routes():
        limit = limit_of(route, view.gateway.defaults)
        if route.rate_limit is not None and limit is not None:
            yield from _cost(view, tiers, limit, ("routes", number, "rate_limit"))
    if view.gateway.defaults.rate_limit is not None:
        yield from _cost(view, tiers, view.gateway.defaults.rate_limit, ("defaults", "rate_limit"))


def _options(view: View, number: int, tier: Tier) -> Iterator[Problem]:
    """Find options that the algorithm does not look at."""
    algorithm, given = algorithm_of(tier), tier.model_fields_set
    fitting = {
        "burst": _BUCKETS,
        "max_delay": ("leaky_bucket",),
        "zone": ("calendar",),
    }
    for option, algorithms in fitting.items():
        if option in given and algorithm not in algorithms:
            names = " or ".join(f"`{name}`" for name in algorithms)
            yield view.at("tiers", number, option).problem(
                f"`{option}` is for {names}, and this tier counts by `{algorithm}`"
            )
    if tier.calendar is not None and "window" in given:
        yield view.at("tiers", number, "window").problem(
            "`calendar` says when to begin anew; leave out `window`"
        )
    if tier.calendar is not None and tier.algorithm not in (None, "fixed_window"):
        yield view.at("tiers", number, "algorithm").problem(
            "days and months of a calendar are fixed windows; leave out `algorithm`"
        )
    if algorithm == "concurrency" and "window" in given:
        yield view.at("tiers", number, "window").problem("`concurrency` has no window; leave it out")
    if algorithm in ("concurrency", "leaky_bucket") and tier.counts != "requests":
        yield view.at("tiers", number, "counts").problem(f"`{algorithm}` counts requests; leave out `counts`")
    if tier.dry_run and tier.ban is not None:
        yield view.at("tiers", number, "ban").problem("`dry_run` refuses nobody, so it bans nobody")


def _sizes(view: View, number: int, tier: Tier) -> Iterator[Problem]:
    algorithm = algorithm_of(tier)
    if algorithm == "sliding_log" and tier.limit > MOST_LOGGED:
        yield view.at("tiers", number, "limit").problem(
            f"`sliding_log` remembers every request, so `limit` is at most {MOST_LOGGED:,}; "
            "use `sliding_window`"
        )
    if algorithm in _BUCKETS and burst_of(tier) * int(tier.window) > MOST_IN_BUCKET:
        yield view.at("tiers", number).problem("`burst` (by default `limit`) is too large for this `window`")
    if algorithm == "concurrency" and tier.limit >= 2**32:
        yield view.at("tiers", number, "limit").problem("so many requests are never under way at once")
    if algorithm == "leaky_bucket" and tier.max_delay is not None:
        interval = int(tier.window) / tier.limit
        if int(tier.max_delay) < interval:
            yield view.at("tiers", number, "max_delay").warning(
                f"one request leaves every {interval:.0f} ms, so none that waits at most {tier.max_delay} "
                f"ever waits"
            )


def _parts(view: View, number: int, tier: Tier) -> Iterator[Problem]:
    seen: list[str] = []
    for place, part in enumerate(tier.per):
        name = header_of(part) or part
        if name in seen:
            yield view.at("tiers", number, "per", place).problem(f"`{part}` is given twice")
        seen.append(name)
    if len(tier.per) > 1 and "global" in tier.per:
        yield view.at("tiers", number, "per").problem("`global` counts everybody together and stands alone")


def _charged_to_addresses(view: View, tiers: dict[str, Tier]) -> Iterator[Problem]:
    """Find tiers that requests without a caller cannot be counted by."""
    for option in ("unauthenticated_tier", "failed_authentication_tier"):
        tier = tiers.get(getattr(view.gateway.defaults, option))
        if tier is not None and algorithm_of(tier) in ("concurrency", "leaky_bucket"):
            yield view.at("defaults", option).problem(
                f"`{algorithm_of(tier)}` counts requests under way, and these are over at once; "
                "choose another tier"
            )


def _cost(
    view: View, tiers: dict[str, Tier], limit: RateLimit, location: tuple[str | int, ...]
) -> Iterator[Problem]:
    for name in limit.tier:
        tier = tiers.get(name)
        if tier is None or tier.counts != "requests" or algorithm_of(tier) in ("concurrency", "leaky_bucket"):
            continue
        most = burst_of(tier) if algorithm_of(tier) in _BUCKETS else tier.limit
        if limit.cost > most:
            yield view.at(*location, "cost").problem(
                f"a request costs {limit.cost}, and tier `{name}` never has more than {most}: none would pass"
            )

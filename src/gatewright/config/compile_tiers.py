"""Tiers to their part of the snapshot."""

import datetime
import functools
import zoneinfo
from typing import TYPE_CHECKING, Any

from gatewright.config.limiting import algorithm_of, block_of, burst_of, limit_of
from gatewright.config.models import BUILT_IN_TIERS, Adaptive, Ban, IntrospectionIdentity, JwtIdentity, Tier
from gatewright.config.models.tiers import claim_of, counted_header_of, header_of

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded

FIRST_YEAR = 2026
LAST_YEAR = 2060
"""Years whose changes of offset a snapshot knows; from then on the last offset holds."""

_SHORTEST_STAY = datetime.timedelta(days=7)
"""No zone is known to keep an offset for less."""

DEFAULT_DELAY_MS = 1_000


def compile_tiers(loaded: "Loaded") -> list[dict[str, Any]]:
    """Give the tiers that are defined, then the built-in ones that something uses."""
    gateway = loaded.gateway
    limits = [limit_of(route, gateway.defaults) for route in gateway.routes]
    used = {name for limit in limits if limit is not None for name in limit.tier}
    used |= {gateway.defaults.unauthenticated_tier, gateway.defaults.failed_authentication_tier}
    for document in loaded.keys.values():
        callers = document.get("keys") or document.get("users") or []
        used |= {one["tier"] for one in callers if isinstance(one, dict) and one.get("tier")}
    tenants = gateway.tenants
    if tenants is not None:
        named = [(tenants.tier, tenants.quotas), *((one.tier, one.quotas or []) for one in tenants.known)]
        used |= {name for tier, quotas in named for name in (tier, *quotas) if name is not None}
    reads_tiers = any(
        isinstance(one, JwtIdentity | IntrospectionIdentity) and one.tier_claim for one in gateway.identities
    )
    if gateway.key_store is not None or reads_tiers:
        # Which tiers its keys or tokens name, nobody knows beforehand.
        used |= {tier.name for tier in BUILT_IN_TIERS}
    used |= {tier.within for tier in gateway.tiers if tier.within is not None}
    defined = [(tier, str(loaded.at("tiers", number))) for number, tier in enumerate(gateway.tiers)]
    names = {tier.name for tier in gateway.tiers}
    built_in = [(tier, "built-in") for tier in BUILT_IN_TIERS if tier.name in used - names]
    return [compile_tier(tier, at) for tier, at in (*defined, *built_in)]


def compile_tier(tier: Tier, at: str) -> dict[str, Any]:
    """Give the document of a tier."""
    return {
        "name": tier.name,
        "at": at,
        "limit": tier.limit,
        "window_ms": int(tier.window),
        "per": [_part(part) for part in tier.per],
        "algorithm": _algorithm(tier),
        "ipv6_prefix": tier.ipv6_prefix,
        "counts": _counts(tier.counts),
        "dry_run": tier.dry_run,
        "adaptive": _adaptive(tier.adaptive),
        "ban": _ban(tier.ban),
        "within": tier.within,
        "max_retry_after_ms": 0 if tier.max_retry_after is None else int(tier.max_retry_after),
        "share": {"leased": {"block": block_of(tier)}} if tier.share == "leased" else tier.share,
    }


def compile_shared_store(loaded: "Loaded") -> dict[str, Any] | None:
    """Give where and how nodes count together; `None` where every tier is counted by each node for itself."""
    gateway = loaded.gateway
    redis, limits, sentinel = gateway.redis, gateway.shared_limits, None
    if redis is None or all(tier.share == "none" for tier in gateway.tiers):
        return None
    if redis.sentinel is not None:
        sentinel = redis.sentinel.model_dump()
    return {
        "urls": redis.url,
        "sentinel": sentinel,
        "cluster": redis.cluster,
        "tls": loaded.tls.redis,
        "connect_timeout_ms": int(redis.timeout),
        "deadline_ms": int(limits.deadline),
        "max_waiting": limits.max_waiting,
        "failures": limits.failures,
        "open_for_ms": int(limits.open_for),
        "nodes": limits.nodes,
    }


def _algorithm(tier: Tier) -> str | dict[str, Any]:
    name = algorithm_of(tier)
    if name == "calendar":
        return {name: {"unit": tier.calendar, "offsets": [list(one) for one in offsets(tier.zone)]}}
    if name in ("token_bucket", "gcra"):
        return {name: {"burst": burst_of(tier)}}
    if name == "leaky_bucket":
        return {name: {"max_delay_ms": DEFAULT_DELAY_MS if tier.max_delay is None else int(tier.max_delay)}}
    return name


def _part(part: str) -> str | dict[str, str]:
    header, claim = header_of(part), claim_of(part)
    if claim is not None:
        return {"claim": claim}
    return part if header is None else {"header": header}


def _counts(counts: str) -> str | dict[str, str]:
    header = counted_header_of(counts)
    return counts if header is None else {"response_header": header}


def _adaptive(adaptive: Adaptive | None) -> dict[str, int] | None:
    if adaptive is None:
        return None
    return {
        "from_percent": round(adaptive.threshold * 100),
        "floor_percent": max(1, round(adaptive.floor * 100)),
    }


def _ban(ban: Ban | None) -> dict[str, int] | None:
    if ban is None:
        return None
    return {
        "after": ban.after,
        "within_ms": int(ban.within),
        "lasts_ms": int(ban.lasts),
        "at_most_ms": int(ban.at_most),
    }


@functools.cache
def offsets(zone: str) -> tuple[tuple[int, int], ...]:
    """Give from when on (milliseconds since the epoch) which offset to UTC (milliseconds) holds."""
    known = zoneinfo.ZoneInfo(zone)
    moment = datetime.datetime(FIRST_YEAR, 1, 1, tzinfo=datetime.UTC)
    end = datetime.datetime(LAST_YEAR, 1, 1, tzinfo=datetime.UTC)
    found = [(0, _offset(known, moment))]
    while moment < end:
        later = moment + _SHORTEST_STAY
        if _offset(known, later) != found[-1][1]:
            change = _change(known, moment, later)
            found.append((round(change.timestamp() * 1000), _offset(known, change)))
        moment = later
    return () if found == [(0, 0)] else tuple(found)


def _change(
    zone: zoneinfo.ZoneInfo, before: datetime.datetime, after: datetime.datetime
) -> datetime.datetime:
    """Give the second at which the offset changes between two moments."""
    old, second = _offset(zone, before), datetime.timedelta(seconds=1)
    while after - before > second:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: zoneinfo.ZoneInfo, moment: datetime.datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)

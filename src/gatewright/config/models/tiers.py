"""Models of rate limits: the tiers, and which of them a route has."""

import zoneinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gatewright.config.models.base import Name, OneOrMany, Section, _switched
from gatewright.config.quantities import Duration, duration

MOST = 1_000_000_000_000
MOST_TIERS = 8
MOST_PARTS = 4

_WORDS = ("user", "api_key", "client_ip", "route", "service", "tenant", "global", "fingerprint")
_HEADER = "header:"
_CLAIM = "claim:"
_RESPONSE_HEADER = "response_header:"


def _part(value: str) -> str:
    named = next((value.removeprefix(kind) for kind in (_HEADER, _CLAIM) if value.startswith(kind)), "")
    if value not in _WORDS and not named:
        known = ", ".join(f"`{word}`" for word in _WORDS)
        message = f"`{value}` is nothing to count by; use {known}, `claim:NAME` or `header:NAME`"
        raise ValueError(message)
    return value


def _counts(value: object) -> object:
    words = ("requests", "response_kib")
    if isinstance(value, str) and value not in words:
        name = value.removeprefix(_RESPONSE_HEADER)
        if name == value or not name:
            message = (
                f"`{value}` is nothing to count; use `requests`, `response_kib` or `response_header:NAME`"
            )
            raise ValueError(message)
    return value


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"`{name}` is not a zone that this system knows; use one such as `UTC` or `Europe/Berlin`"
        raise ValueError(message) from error
    return name


def _tiers_alone(value: object) -> object:
    return {"tier": value} if isinstance(value, str | list) else value


Part = Annotated[str, AfterValidator(_part)]
Counts = Annotated[str, BeforeValidator(_counts)]
Algorithm = Literal[
    "sliding_window",
    "fixed_window",
    "sliding_log",
    "token_bucket",
    "gcra",
    "leaky_bucket",
    "concurrency",
]


class Adaptive(Section):
    """How a limit shrinks while the node's processors are busy: evenly, from all of it at
    `threshold` to `floor` of it at 100 %.
    """

    threshold: float = Field(
        0.8, ge=0.1, le=0.99, description="Share of the processors that is in use when it begins to shrink."
    )
    floor: float = Field(0.2, ge=0.01, le=1, description="Share of the limit that is left at full load.")


class Ban(Section):
    """When callers are banned from a tier, and for how long: each ban twice as long as the one before."""

    after: int = Field(10, ge=1, le=1_000_000, description="Refusals by the tier that make a ban.")
    within: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("60s"), description="The time in which they have to come."
    )
    lasts: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("5m"), description="Length of the first ban; 429 `banned` until it is over."
    )
    at_most: Annotated[Duration, duration("1s", "7d")] = Field(
        Duration.of("1d"),
        description="Length of the longest ban. A caller that was not banned for as long starts over.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Ban":
        if int(self.at_most) < int(self.lasts):
            message = "`at_most` is shorter than `lasts`"
            raise ValueError(message)
        return self


class Tier(Section):
    """A named rate limit. `standard`, `premium`, `third_party` and `unauthenticated` exist without being
    defined.
    """

    name: Name = Field(description="Name that routes refer to; `none` means no limit and cannot be taken.")
    limit: int = Field(
        ge=1,
        le=MOST,
        description="Requests in a window, or whatever else it `counts`; above it 429. Of `concurrency`, "
        "requests under way at once.",
    )
    window: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("60s"),
        description="Length of the window; of buckets, the time in which `limit` flows back.",
    )
    algorithm: Algorithm | None = Field(
        None,
        description="How it counts: `sliding_window` (the default), `fixed_window`, `sliding_log` (exact, "
        "with memory for each request), `token_bucket` (the default where `burst` is set), `gcra` "
        "(requests evenly spaced), `leaky_bucket` (requests wait for their turn), `concurrency` (requests "
        "under way at once).",
    )
    burst: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Requests that a bucket takes at once: of `token_bucket` by default `limit`, of `gcra` "
        "1.",
    )
    max_delay: Annotated[Duration, duration("10ms", "60s")] | None = Field(
        None,
        description="How long a `leaky_bucket` lets a request wait for its turn, 1 s by default; what would "
        "wait longer gets 429.",
    )
    calendar: Literal["day", "month"] | None = Field(
        None,
        description="Count by days or months of a calendar in place of `window`. Such counts survive a "
        "restart.",
    )
    zone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC", description="Zone in which the days and months of `calendar` begin, such as `Europe/Berlin`."
    )
    per: Annotated[list[Part], OneOrMany] = Field(
        default_factory=lambda: ["user"],
        min_length=1,
        max_length=MOST_PARTS,
        description="Whom the limit is counted for: `user`, `api_key`, `client_ip`, `route`, `service`, "
        "`tenant`, `global`, `fingerprint` (what the client's software looks like), `claim:NAME` (of the "
        "token, at a path such as `claim:org.id`) or `header:NAME`; several together are counted for each "
        "combination. `user` by default. Requests without a tenant or the claim are counted by user, those "
        "without a user, key or header by client address.",
    )
    within: Name | None = Field(
        None,
        description="Name of a tier that counts every request of this one as well, such as that of a tenant "
        "for a tier of its users; that one may be within another. All admit together, or none is charged.",
    )
    ipv6_prefix: int = Field(
        64, ge=16, le=128, description="Length of the prefix that counts as one client address of IPv6."
    )
    counts: Counts = Field(
        "requests",
        description="What the limit is of: `requests` (each at the `cost` of its route), `response_kib` "
        "(begun KiB sent to the client) or `response_header:NAME` (the number in a header of the service's "
        "response). The latter two are charged when the response is over.",
    )
    dry_run: bool = Field(
        False, description="Count, record and measure what it would refuse, and refuse nothing."
    )
    adaptive: Annotated[Adaptive | None, BeforeValidator(_switched)] = Field(
        None, description="Shrink the limit while the node's processors are busy: `on`, or settings."
    )
    ban: Annotated[Ban | None, BeforeValidator(_switched)] = Field(
        None, description="Ban callers that are refused again and again: `on`, or settings."
    )
    share: Literal["none", "exact", "leased"] = Field(
        "none",
        description="Who counts: with `none` each node for itself; with `exact` all nodes together, each "
        "request asking Redis; with `leased` all together, each node taking `block` requests at a time from "
        "Redis before they are needed.",
    )
    block: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Requests that a node takes at a time with `share: leased`, a hundredth of the limit by "
        "default. All nodes together let pass at most so many each beyond the limit, or as many less.",
    )
    max_retry_after: Annotated[Duration, duration("1s", "1d")] | None = Field(
        None,
        description="Let `Retry-After` double for callers that come back before the time they were told, "
        "up to this. By default it is always the first moment at which a request can pass.",
    )


class RateLimit(Section):
    """The limit of a route. The name of a tier alone may stand for it, or a list of names; `none` for no
    limit."""

    tier: Annotated[list[Name], OneOrMany] = Field(
        min_length=1,
        max_length=MOST_TIERS,
        description="Names of tiers, all of which have to admit a request, or `none`. The tier of an API key "
        "takes the place of the first.",
    )
    on_failure: Literal["local", "open", "closed"] = Field(
        "local",
        description="When a request cannot be counted. Where there is no room for its caller "
        "(`node.max_limit_keys`), `local` forgets the oldest counts; where Redis does not answer for a tier "
        "with `share`, `local` counts on this node, within its part of the limit. `open` lets pass "
        "uncounted, `closed` refuses with 503.",
    )
    cost: int = Field(
        1, ge=1, le=1_000_000, description="What a request costs in tiers that count `requests`."
    )
    charge_refused: bool = Field(
        False,
        description="Charge tiers that would have admitted a request also where another refuses it. By "
        "default a refused request is charged by none.",
    )


def header_of(part: str) -> str | None:
    """Give the header of a part such as `header:X-Device`, in lower case; `None` for words."""
    return part.removeprefix(_HEADER).lower() if part.startswith(_HEADER) else None


def claim_of(part: str) -> str | None:
    """Give the path of a part such as `claim:org.id`; `None` for words."""
    return part.removeprefix(_CLAIM) if part.startswith(_CLAIM) else None


def counted_header_of(counts: str) -> str | None:
    """Give the header of `response_header:NAME`, in lower case; `None` for words."""
    return counts.removeprefix(_RESPONSE_HEADER).lower() if counts.startswith(_RESPONSE_HEADER) else None


BUILT_IN_TIERS = (
    Tier(name="standard", limit=100, per=["user"]),
    Tier(name="premium", limit=500, per=["user"]),
    Tier(name="third_party", limit=50, per=["api_key"]),
    Tier(name="unauthenticated", limit=30, per=["client_ip"]),
)
"""Tiers that exist unless a configuration defines one of the same name."""

RateLimitField = Annotated[RateLimit | None, BeforeValidator(_tiers_alone)]

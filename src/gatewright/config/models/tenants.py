"""Models of tenants: who shares the gateway, and how a request says whose it is."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gatewright.config.models.base import Name, OneOrMany, Section

MOST_TENANTS = 2_000
PLACE = "{tenant}"

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"[a-z0-9.-]*")
_PATH = re.compile(r"/([A-Za-z0-9._~-]+/)*")


def _source(text: str) -> str:
    kind, _, rest = text.partition(":")
    known = {
        "partner": text == "partner",
        "claim": bool(rest),
        "header": _HEADER.fullmatch(rest) is not None,
        "host": host_of(text) is not None,
        "path": path_of(text) is not None,
    }
    if not known.get(kind, False):
        message = (
            f"`{text}` does not say whose a request is; use `claim:NAME`, `partner`, `header:NAME`, "
            "`host:{tenant}.example.com` or `path:/t/{tenant}`"
        )
        raise ValueError(message)
    return text


def host_of(source: str) -> tuple[str, str] | None:
    """Give what stands before and after the tenant in `host:...`; `None` for what is no such source."""
    before, place, after = source.removeprefix("host:").partition(PLACE)
    fits = place and before + after and all(_HOST.fullmatch(part) for part in (before, after))
    return (before, after) if source.startswith("host:") and fits else None


def path_of(source: str) -> str | None:
    """Give what stands before the tenant in `path:...`; `None` for what is no such source."""
    before, place, after = source.removeprefix("path:").partition(PLACE)
    fits = place and after in ("", "/", "/*") and _PATH.fullmatch(before)
    return before if source.startswith("path:") and fits else None


Source = Annotated[str, AfterValidator(_source)]
TenantName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Quotas = Annotated[list[Name], OneOrMany]


class Tenant(Section):
    """One of those who share the gateway."""

    name: TenantName = Field(description="As sources say it: 1 to 64 letters, digits, `.`, `_` or `-`.")
    tier: Name | None = Field(
        None,
        description="Tier that takes the place of the first of each route, unless the key or the token names "
        "one; that of all tenants by default.",
    )
    quotas: Quotas | None = Field(
        None,
        max_length=4,
        description="Tiers that count each of its requests as well; those of all tenants by default.",
    )
    disabled: bool = Field(False, description="Refuse its requests with 403 `tenant_disabled`.")


class Tenants(Section):
    """Who shares the gateway: with tiers, quotas, circuit breakers and metrics of their own."""

    sources: Annotated[list[Source], OneOrMany] = Field(
        min_length=1,
        max_length=8,
        description="Where a request says whose it is: `claim:NAME` (of its token), `partner` (whose API "
        "key it is), `header:NAME`, `host:{tenant}.example.com`, `path:/t/{tenant}`. All that say something "
        "have to agree, or it is 403 `tenant_mismatch`; records name the first. The last three prove "
        "nothing.",
    )
    required: bool = Field(
        False, description="Refuse requests of no tenant with 403 `tenant_required`, on every route."
    )
    unknown: Literal["refuse", "accept"] = Field(
        "refuse",
        description="What becomes of tenants that are not in `known`: 403 `tenant_unknown`, or a tenant of "
        "its own like all others.",
    )
    tier: Name | None = Field(
        None,
        description="Tier that takes the place of the first of each route, for tenants without one of their "
        "own; none by default.",
    )
    quotas: Quotas = Field(
        default_factory=list,
        max_length=4,
        description="Tiers that count each request of a tenant as well, on routes without a limit too; for "
        "tenants without any of their own.",
    )
    max: int = Field(
        1_000,
        ge=1,
        le=MOST_TENANTS,
        description="Tenants that have metrics and circuit breakers of their own on a node; those beyond it "
        "share those of `other`. Limits are always each tenant's own.",
    )
    known: Annotated[list[Tenant], OneOrMany] = Field(
        default_factory=list, max_length=MOST_TENANTS, description="The tenants that there are."
    )

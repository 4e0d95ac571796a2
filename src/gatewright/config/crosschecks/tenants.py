"""Tenants: their tiers exist and fit, routes are for tenants that there are, and names prove something."""

from collections.abc import Iterator

from gatewright.config.crosschecks.nesting import above
from gatewright.config.crosschecks.view import View
from gatewright.config.limiting import limit_of
from gatewright.config.models import BUILT_IN_TIERS, Route, Tenants, Tier
from gatewright.config.models.tiers import MOST_TIERS
from gatewright.config.validation import unknown
from gatewright.errors import Problem

_PROVED = ("claim:", "partner")


def check(view: View) -> Iterator[Problem]:
    """Find tiers of nothing, too many quotas, tenants given twice, and what needs `tenants` without it."""
    tenants = view.gateway.tenants
    if tenants is None:
        yield from _without(view)
        return
    tiers = {tier.name: tier for tier in (*BUILT_IN_TIERS, *view.gateway.tiers)}
    yield from _names(view, tenants)
    yield from _sources(view, tenants)
    for location, lists in _lists(tenants):
        yield from _tiers(view, tiers, location, lists)
    quotas = [tenants.quotas, *(one.quotas for one in tenants.known if one.quotas is not None)]
    for number, route in view.routes():
        yield from _route(view, number, route, tenants)
        yield from _many(view, number, tiers, quotas)


def _without(view: View) -> Iterator[Problem]:
    for number, tier in enumerate(view.gateway.tiers):
        if "tenant" in tier.per:
            yield view.at("tiers", number, "per").problem(
                "there are no `tenants` to count by; say where requests name them"
            )
    for number, route in view.routes():
        given = {"tenants": route.tenants is not None, "circuit_breaker": route.circuit_breaker == "tenant"}
        for option in (option for option, is_given in given.items() if is_given):
            yield view.at("routes", number, option).problem(
                "there are no `tenants`; say where requests name them"
            )


def _names(view: View, tenants: Tenants) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, tenant in enumerate(tenants.known):
        where = view.at("tenants", "known", number, "name")
        if tenant.name in seen:
            yield where.problem(f"tenant `{tenant.name}` is given twice")
        if tenant.name == "other":
            yield where.problem(
                "`other` stands for tenants without metrics of their own; choose another name"
            )
        seen.add(tenant.name)
    if tenants.unknown == "refuse" and not tenants.known:
        yield view.at("tenants").problem(
            "nobody is `known`, so every request of a tenant is refused; list tenants, or write "
            "`unknown: accept`"
        )
    if len(tenants.known) > tenants.max:
        yield view.at("tenants", "max").problem(f"{len(tenants.known)} tenants are `known`; raise `max`")


def _sources(view: View, tenants: Tenants) -> Iterator[Problem]:
    for place, source in enumerate(tenants.sources):
        if source in tenants.sources[:place]:
            yield view.at("tenants", "sources", place).problem(f"`{source}` is given twice")
    if not any(source.startswith(_PROVED) for source in tenants.sources):
        yield view.at("tenants", "sources").warning(
            "nothing here is proved: whoever asks can name any tenant and use up its limits; add "
            "`claim:NAME` or `partner`, or let only a proxy that you trust reach this"
        )


def _lists(tenants: Tenants) -> Iterator[tuple[tuple[str | int, ...], tuple[str | None, list[str]]]]:
    yield ("tenants",), (tenants.tier, tenants.quotas)
    for number, tenant in enumerate(tenants.known):
        yield ("tenants", "known", number), (tenant.tier, tenant.quotas or [])


def _tiers(
    view: View,
    tiers: dict[str, Tier],
    location: tuple[str | int, ...],
    lists: tuple[str | None, list[str]],
) -> Iterator[Problem]:
    tier, quotas = lists
    known = [*tiers, *view.names["tiers"]]
    if tier is not None and tier not in known:
        yield view.at(*location, "tier").problem(unknown(tier, "tier", known))
    for place, name in enumerate(quotas):
        where = view.at(*location, "quotas", place)
        if name not in known:
            yield where.problem(unknown(name, "tier", known))
        elif name in quotas[:place]:
            yield where.problem(f"tier `{name}` is named twice")
        elif name in tiers and "tenant" not in tiers[name].per:
            yield where.warning(
                f"tier `{name}` does not count by `tenant`, so it is not the tenant's own; "
                "`per: tenant` would be"
            )


def _route(view: View, number: int, route: Route, tenants: Tenants) -> Iterator[Problem]:
    listed = [tenant.name for tenant in tenants.known]
    for place, name in enumerate(route.tenants or []):
        if tenants.unknown == "refuse" and name not in listed:
            yield view.at("routes", number, "tenants", place).problem(unknown(name, "tenant", listed))


def _many(view: View, number: int, tiers: dict[str, Tier], quotas: list[list[str]]) -> Iterator[Problem]:
    """Find routes whose requests might have more tiers than are decided together."""
    limit = limit_of(view.gateway.routes[number], view.gateway.defaults)
    named = [] if limit is None else limit.tier
    longest = max(1 + len(above(tier, tiers)) for tier in tiers.values()) if named else 0
    counts = []
    for names in quotas:
        chain = [one for one in (*named[1:], *names) if one in tiers]
        counts.append(longest + len({each for one in chain for each in (one, *above(tiers[one], tiers))}))
    if any(names and count > MOST_TIERS for names, count in zip(quotas, counts, strict=True)):
        yield view.at("routes", number).problem(
            f"with the quotas of tenants a request could have {max(counts)} tiers; {MOST_TIERS} at most"
        )

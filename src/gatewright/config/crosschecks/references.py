"""References: every service, identity and tier that is named exists."""

from collections.abc import Iterator, Sequence

from gatewright.config.crosschecks.view import View
from gatewright.config.models import (
    BUILT_IN_TIERS,
    IntrospectionIdentity,
    JwtIdentity,
    MtlsIdentity,
    RateLimit,
    Route,
)
from gatewright.config.validation import unknown
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find names of nothing, and scopes that nobody could have."""
    for number, route in view.routes():
        yield from _service(view, number, route)
        yield from _identities(view, number, route)
        if route.rate_limit is not None:
            yield from _limit(view, route.rate_limit, ("routes", number, "rate_limit"))
    defaults = view.gateway.defaults
    if defaults.rate_limit is not None:
        yield from _limit(view, defaults.rate_limit, ("defaults", "rate_limit"))
    yield from _tier(view, defaults.unauthenticated_tier, ("defaults", "unauthenticated_tier"))
    yield from _tier(view, defaults.failed_authentication_tier, ("defaults", "failed_authentication_tier"))
    for tier, position in view.key_tiers:
        if tier not in _tiers(view) or tier == "none":
            yield position.problem(f"a key or a user names an {unknown(tier, 'tier', _tiers(view))}")


def _service(view: View, number: int, route: Route) -> Iterator[Problem]:
    known = [*view.names["services"], "self"]
    if route.service is not None and route.service not in known:
        yield view.at("routes", number, "service").problem(unknown(route.service, "service", known))


def _identities(view: View, number: int, route: Route) -> Iterator[Problem]:
    if route.auth is None:
        return
    known = view.names["identities"]
    for place, name in enumerate(route.auth.accept):
        if name not in known:
            yield view.at("routes", number, "auth", "accept", place).problem(unknown(name, "identity", known))
        elif name in route.auth.accept[:place]:
            yield view.at("routes", number, "auth", "accept", place).problem(
                f"identity `{name}` is named twice"
            )
    if not route.auth.accept and not (route.auth.optional and route.auth.rules):
        what = "demands scopes but accepts nobody" if route.auth.scopes.is_demanding() else "accepts nobody"
        cure = "list identities in `accept`, or write `auth: none`"
        yield view.at("routes", number, "auth").problem(f"`auth` {what}; {cure}")
    yield from _unasked(view, number, route.auth.accept)


def _unasked(view: View, number: int, accept: Sequence[str]) -> Iterator[Problem]:
    asking = [one for one in view.gateway.listeners if one.tls and one.tls.client_certificates]
    if asking or not view.complete:
        return
    mtls = {
        one.name
        for one in view.gateway.identities
        if isinstance(one, MtlsIdentity)
        or (isinstance(one, JwtIdentity | IntrospectionIdentity) and one.certificate_bound)
    }
    for place, name in enumerate(accept):
        if name in mtls:
            cure = "add `tls: {client_certificates: ...}` to one"
            yield view.at("routes", number, "auth", "accept", place).warning(
                f"no listener asks for the certificates of identity `{name}`; {cure}"
            )


def _limit(view: View, limit: RateLimit, location: tuple[str | int, ...]) -> Iterator[Problem]:
    for place, name in enumerate(limit.tier):
        where = (*location, "tier", place)
        yield from _tier(view, name, where)
        if name in limit.tier[:place]:
            yield view.at(*where).problem(f"tier `{name}` is named twice")
        elif name == "none" and len(limit.tier) > 1:
            yield view.at(*where).problem("`none` means no limit and stands alone")


def _tiers(view: View) -> list[str]:
    return [*view.names["tiers"], *(tier.name for tier in BUILT_IN_TIERS), "none"]


def _tier(view: View, name: str, location: tuple[str | int, ...]) -> Iterator[Problem]:
    if name not in _tiers(view):
        yield view.at(*location).problem(unknown(name, "tier", _tiers(view)))

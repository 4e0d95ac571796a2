"""What callers may do: demands that nobody could meet, permissions that nobody has, rules that are none."""

import json
from collections.abc import Iterator, Mapping, Sequence

from gatewright.config.crosschecks.view import View
from gatewright.config.matching import classify
from gatewright.config.models import Auth, AuthRule, Demand
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find demands, permissions and rules that cannot be meant."""
    for number, route in view.routes():
        if route.auth is not None:
            yield from _demands(view, number, route.auth)
            yield from _permissions(view, number, route.auth)
            yield from _names(view, number, route.auth)
    yield from _expressions(view)
    yield from _plain(view)


def _demands(view: View, number: int, auth: Auth) -> Iterator[Problem]:
    demands: dict[str, Demand] = {"scopes": auth.scopes, "roles": auth.roles}
    for option, demand in demands.items():
        both = set(demand.none) & {*demand.all, *demand.any}
        for name in sorted(both):
            yield view.at("routes", number, "auth", option).problem(
                f"`{name}` is demanded and in `none`; leave it out of one"
            )
    needs = {
        "scopes": auth.scopes.is_demanding(),
        "roles": auth.roles.is_demanding(),
        "permission": bool(auth.permission),
        "endpoint_permissions": auth.endpoint_permissions,
    }
    for option, is_there in needs.items():
        leniency = "optional" if auth.optional else "grace_period"
        if is_there and (auth.optional or auth.grace_period):
            lacking = option if option in demands else "permissions"
            yield view.at("routes", number, "auth", leniency).problem(
                f"`{leniency}` lets anonymous callers through, who have no {lacking}; leave out "
                f"`{leniency}` or `{option}`"
            )


def _permissions(view: View, number: int, auth: Auth) -> Iterator[Problem]:
    patterns = [one for one in view.gateway.permissions.patterns() if not one.startswith("!")]
    for name in auth.permission:
        if not any(_grants(pattern, name) for pattern in patterns):
            yield view.at("routes", number, "auth", "permission").problem(
                f"nobody has the permission `{name}`; grant it to a scope or role in `permissions`"
            )
    if auth.endpoint_permissions and not any(" " in pattern for pattern in patterns):
        yield view.at("routes", number, "auth", "endpoint_permissions").problem(
            "no pattern in `permissions` is about methods and paths, so everybody would be refused; grant "
            "one, such as `GET /orders/**`"
        )


def _grants(pattern: str, name: str) -> bool:
    """Say whether a pattern is about a permission of this name, as `permissions/pattern.rs` does."""
    if " " in pattern:
        return False
    wanted, parts = pattern.split(":"), name.split(":")
    if wanted[-1] == "**":
        wanted, parts = wanted[:-1], parts[: len(wanted) - 1]
    return len(wanted) == len(parts) and all(a in ("*", b) for a, b in zip(wanted, parts, strict=True))


def _names(view: View, number: int, auth: Auth) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, rule in _written(view, number, auth):
        if rule.name in seen:
            yield view.at("routes", number, "auth", "rules", place).problem(
                f"two rules of this route are called `{rule.name}`; give each its own name"
            )
        seen.add(rule.name)


def _expressions(view: View) -> Iterator[Problem]:
    """Ask the engine, whose rules they are."""
    found: list[tuple[tuple[str | int, ...], AuthRule]] = []
    documents = []
    for number, route in view.routes():
        for place, rule in _written(view, number, route.auth):
            pattern = classify(route.match.path)
            names = [] if pattern.kind == "regex" else [name for name in pattern.names() if name != "*"]
            expression = rule.allow if rule.allow is not None else rule.deny
            documents.append({"expression": expression, "route": route.name, "parameters": names})
            found.append((("routes", number, "auth", "rules", place), rule))
    for (location, rule), mistake in zip(found, _mistakes(documents), strict=True):
        if mistake is not None:
            where = "" if mistake["line"] is None else f"{mistake['line']}:{mistake['column']}: "
            option = "allow" if rule.allow is not None else "deny"
            yield view.at(*location, option).problem(f"rule `{rule.name}`: {where}{mistake['message']}")


def _written(view: View, number: int, auth: Auth | None) -> Iterator[tuple[int, AuthRule]]:
    """Give the rules with their places in the file, where those with problems of their own count, too."""
    routes = view.root.entry("routes")
    written = routes.node.items()[number].entry("auth") if routes else None
    rules = written.node.entry("rules") if written else None
    names = [item.entry("name") for item in (rules.node.items() if rules else [])]
    place = 0
    for rule in auth.rules if auth is not None else ():
        while place < len(names) and (name := names[place]) is not None and name.node.value != rule.name:
            place += 1
        yield place, rule
        place += 1


def _mistakes(documents: Sequence[Mapping[str, object]]) -> list[dict[str, object] | None]:
    if not documents:
        return []
    # Imported here, so that configurations without rules need no engine.
    from gatewright import _engine  # noqa: PLC0415

    return json.loads(_engine.check_expressions(json.dumps(list(documents)).encode()))


def _plain(view: View) -> Iterator[Problem]:
    if not view.complete or any(one.tls or one.trusted_proxies for one in view.gateway.listeners):
        return
    cure = "add `tls` to a listener, or `trusted_proxies` where a proxy ends TLS"
    refusing = [(("routes", number, "https_only"), route.https_only) for number, route in view.routes()] + [
        (("defaults", "https_only"), view.gateway.defaults.https_only)
    ]
    for location, wanted in refusing:
        if wanted not in {None, "off"}:
            yield view.at(*location).warning(f"no listener speaks TLS, so nobody is served; {cure}")

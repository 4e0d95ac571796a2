"""`gatewright routes`: which requests go where."""

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from gatewright.config import Loaded
    from gatewright.config.models import Auth, Demand, Match, Route, ValueTest

_COLUMNS = ("methods", "host", "path", "matchers", "goes to", "auth", "limit", "route", "at")


def routes(
    config: Annotated[list[Path], Parameter(help="Files or directories; several are joined.")],
    /,
    *,
    json: Annotated[bool, Parameter(help="Print one JSON document instead of a table.", negative="")] = False,
) -> int:
    """Print which requests go where: the route that is tried first comes first.

    Exit code 0: printed; 1: the configuration is not valid; 2: wrong use.
    """
    from gatewright.config import ConfigError, load  # noqa: PLC0415 -- keeps other commands fast.

    try:
        loaded = load(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    rows = [_row(loaded, number) for number in in_order(loaded)]
    if json:
        print(json_module.dumps(rows, indent=2))
    else:
        _print(rows)
    return 0


def in_order(loaded: "Loaded") -> list[int]:
    """Give the numbers of the routes in the order in which the engine prefers them."""
    from gatewright.config.crosschecks.overlaps import hosts_of  # noqa: PLC0415
    from gatewright.config.matching import classify, host_rank  # noqa: PLC0415

    def rank(number: int) -> tuple[Any, ...]:
        route = loaded.gateway.routes[number]
        match = route.match
        host = max(host_rank(host) for host in hosts_of(match))
        matchers = len(match.headers) + len(match.query)
        return (route.precedence, host, classify(match.path).rank(), bool(match.methods), matchers, -number)

    return sorted(range(len(loaded.gateway.routes)), key=rank, reverse=True)


def _row(loaded: "Loaded", number: int) -> dict[str, Any]:
    from gatewright.config.crosschecks.overlaps import hosts_of  # noqa: PLC0415
    from gatewright.config.limiting import limit_of  # noqa: PLC0415

    route = loaded.gateway.routes[number]
    limit = limit_of(route, loaded.gateway.defaults)
    return {
        "route": route.name,
        "precedence": route.precedence,
        "methods": route.match.methods,
        "hosts": [host for host in hosts_of(route.match) if host],
        "path": route.match.path,
        "matchers": _matchers(route.match),
        "goes_to": _target(route),
        "accept": [] if route.auth is None else route.auth.accept,
        "scopes": [] if route.auth is None else _demanded(route.auth.scopes),
        "roles": [] if route.auth is None else _demanded(route.auth.roles),
        "permissions": [] if route.auth is None else _permissions(route.auth),
        "rules": [] if route.auth is None else [rule.name for rule in route.auth.rules],
        "optional": route.auth is None or route.auth.optional,
        "tiers": [] if limit is None else limit.tier,
        "at": str(loaded.at("routes", number)),
    }


def _demanded(demand: "Demand") -> list[str]:
    any_of = ["|".join(demand.any)] if demand.any else []
    return [*demand.all, *any_of, *(f"!{name}" for name in demand.none)]


def _permissions(auth: "Auth") -> list[str]:
    return [*auth.permission, *(["method and path"] if auth.endpoint_permissions else [])]


def _matchers(match: "Match") -> list[str]:
    headers = [_matcher(f"{name}:", test) for name, test in match.headers.items()]
    return headers + [_matcher(f"?{name}=", test) for name, test in match.query.items()]


def _matcher(name: str, test: "ValueTest") -> str:
    if test.present:
        return f"{name} present"
    if test.absent:
        return f"{name} absent"
    return f"{name} /{test.regex}/" if test.regex is not None else f"{name} {test.exact}"


def _target(route: "Route") -> str:
    if route.redirect is not None:
        return f"{route.redirect.status} {route.redirect.to}"
    if route.respond is not None:
        return f"{route.respond.status} fixed"
    changes = f" minus {route.strip_prefix}" if route.strip_prefix else ""
    return f"{route.service}{changes}{' rewritten' if route.rewrite else ''}"


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 -- slow to import.
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # A file or a pipe has no width of its own, and a cut line helps nobody there.
    console = Console(width=None if sys.stdout.isatty() else 250)
    table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        demands = [" ".join(row[kind]) for kind in ("scopes", "roles", "permissions") if row[kind]]
        demands += [f"rules {' '.join(row['rules'])}"] if row["rules"] else []
        proof = " or ".join(row["accept"]) + (f" with {', '.join(demands)}" if demands else "")
        auth = f"{proof} (optional)" if row["accept"] and row["optional"] else proof or "anybody"
        precedence = f" (precedence {row['precedence']})" if row["precedence"] else ""
        cells = (
            ",".join(row["methods"]) or "any",
            ",".join(row["hosts"]) or "any",
            row["path"],
            ", ".join(row["matchers"]),
            row["goes_to"],
            auth,
            " and ".join(row["tiers"]) or "none",
            row["route"] + precedence,
            row["at"],
        )
        # Texts, because square brackets in a path would be taken for markup.
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console.print(table)

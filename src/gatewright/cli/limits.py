"""`gatewright limits`: show and reset rate limits."""

import json
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson


def limits(
    *,
    reset: Annotated[
        bool, Parameter(help="Forget counters: all, or those of --tier or --caller.", negative=())
    ] = False,
    tier: Annotated[str | None, Parameter(help="Name of a tier.")] = None,
    caller: Annotated[str | None, Parameter(help="`user:ID`, `api_key:ID` or `ip:ADDRESS`.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show the tiers and their busiest callers, or forget what was counted."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.printing import table  # noqa: PLC0415

    try:
        if reset:
            chosen = {name: value for name, value in (("tier", tier), ("caller", caller)) if value}
            done = ask("POST", "/api/v1/rate-limits/reset", admin, chosen)
            print(json.dumps(done) if as_json else f"forgot {done['reset']}")
            return 0
        found = ask("GET", "/api/v1/rate-limits", admin)
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    table(("tier", "caller", "used"), rows([one for one in found["tiers"] if tier in (None, one["name"])]))
    return 0


def rows(tiers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each busy caller, and one for a tier without any."""
    found = []
    for tier in tiers:
        for usage in tier.get("busiest") or [{}]:
            found.append({"tier": tier["name"], **usage})
    return found

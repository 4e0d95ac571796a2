"""`gatewright limits`: show and reset rate limits, show and lift bans."""

import json
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson


def limits(  # noqa: PLR0913 - each is an option of the command.
    what: Annotated[
        Literal["show", "bans"], Parameter(help="The tiers and their busiest callers, or who is banned.")
    ] = "show",
    *,
    reset: Annotated[
        bool,
        Parameter(
            help="Forget counters, or with `bans` end bans: all, or those of --tier or --caller.", negative=()
        ),
    ] = False,
    tier: Annotated[str | None, Parameter(help="Name of a tier.")] = None,
    caller: Annotated[
        str | None, Parameter(help="As shown: `user:ID`, `api_key:ID`, `ip:ADDRESS`, several joined by `+`.")
    ] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show the tiers and their busiest callers, or who is banned; forget what was counted, or end bans."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.

    chosen = {name: value for name, value in (("tier", tier), ("caller", caller)) if value}
    path = "/api/v1/rate-limits" + ("/bans" if what == "bans" else "")
    try:
        if reset:
            done = ask("POST", f"{path}/lift" if what == "bans" else f"{path}/reset", admin, chosen)
            word, count = next(iter(done.items()))
            print(json.dumps(done) if as_json else f"{'forgot' if word == 'reset' else word} {count}")
            return 0
        found = ask("GET", path, admin)
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(found, indent=2))
    elif what == "bans":
        show_bans([one for one in found["bans"] if tier in (None, one["tier"])], caller)
    else:
        show_tiers([one for one in found["tiers"] if tier in (None, one["name"])])
    return 0


def show_tiers(tiers: list[dict[str, Any]]) -> None:
    """One row for each busy caller, and one for a tier without any."""
    from gatewright.cli.printing import table  # noqa: PLC0415

    rows = []
    for tier in tiers:
        name = tier["name"] + (" (dry run)" if tier.get("dry_run") else "")
        for usage in tier.get("busiest") or [{}]:
            rows.append({"tier": name, **usage})
    table(("tier", "caller", "used"), rows)


def show_bans(bans: list[dict[str, Any]], caller: str | None) -> None:
    """One row for each caller that is banned."""
    from gatewright.cli.printing import table  # noqa: PLC0415

    rows = [
        {**ban, "for": f"{-(-ban['remaining_ms'] // 1000)} s"}
        for ban in bans
        if caller in (None, ban["caller"])
    ]
    table(("tier", "caller", "for", "bans"), rows)

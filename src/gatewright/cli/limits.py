"""`gatewright limits`: show, reset and set rate limits, show and lift bans."""

import json
import sys
from typing import Annotated, Any, Literal
from urllib.parse import quote

from cyclopts import Parameter

from gatewright.cli.durations import seconds_of
from gatewright.cli.status import Admin, AsJson

What = Annotated[
    Literal["show", "bans", "set", "unset"],
    Parameter(
        help="The tiers and their busiest callers, or who is banned. `set` sets the limit of a tier for a "
        "while, `unset` gives it back to the configuration."
    ),
]
Reset = Annotated[
    bool,
    Parameter(
        help="Forget counters, or with `bans` end bans: all, or those of --tier or --caller.", negative=()
    ),
]
Caller = Annotated[
    str | None,
    Parameter(
        help="As shown: `user:ID`, `api_key:ID`, `ip:ADDRESS`, several joined by `+`; one of these stands "
        "for all that it is part of."
    ),
]
Lasts = Annotated[
    str, Parameter(name="--for", help="With `set`: how long it holds: `90s`, `15m`, `1h`, at most `7d`.")
]


def limits(  # noqa: PLR0913 - each is an option of the command.
    what: What = "show",
    name: Annotated[str | None, Parameter(help="The tier to set or unset.")] = None,
    *,
    reset: Reset = False,
    tier: Annotated[str | None, Parameter(help="Name of a tier.")] = None,
    caller: Caller = None,
    limit: Annotated[int | None, Parameter(help="With `set`: the limit; 0 lets nobody pass.")] = None,
    lasts: Lasts = "1h",
    why: Annotated[str | None, Parameter(help="With `set` and `unset`: why, for the audit.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show the tiers and their busiest callers, or who is banned; forget what was counted; set a limit."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.

    if what in ("set", "unset"):
        return change((what, name), (limit, lasts), why, admin, as_json=as_json)
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


def change(
    what: tuple[str, str | None],
    wanted: tuple[int | None, str],
    why: str | None,
    admin: str | None,
    *,
    as_json: bool,
) -> int:
    """Set the limit of a tier for so long, or give it back to the configuration."""
    from gatewright.cli.admin import (  # noqa: PLC0415 - start-up of the other commands.
        NodeError,
        ask,
        who,
    )

    (action, tier), (limit, lasts) = what, wanted
    if tier is None or (action == "set" and limit is None):
        print("write `limits set TIER --limit 10 --for 1h` or `limits unset TIER`", file=sys.stderr)
        return 2
    given: dict[str, Any] = {"by": who()} | ({"why": why} if why else {})
    try:
        given |= {"limit": limit, "seconds": seconds_of(lasts)} if action == "set" else {}
        done = ask("POST", f"/api/v1/rate-limits/{quote(tier, safe='')}/{action}", admin, given)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    said = f"limit of {tier}: " + (f"{limit} for {lasts}" if action == "set" else "as configured")
    print(json.dumps(done) if as_json else said)
    return 0


def show_tiers(tiers: list[dict[str, Any]]) -> None:
    """One row for each busy caller, and one for a tier without any."""
    from gatewright.cli.printing import table  # noqa: PLC0415

    rows = []
    for tier in tiers:
        name = tier["name"] + (" (dry run)" if tier.get("dry_run") else "")
        emergency = tier.get("emergency")
        by_hand = (
            f"{emergency['limit']} for {-(-emergency['remaining_ms'] // 1000)} s"
            if emergency is not None
            else ""
        )
        for usage in tier.get("busiest") or [{}]:
            rows.append({"tier": name, "set by hand": by_hand, **usage})
    table(("tier", "caller", "used", "set by hand"), rows)


def show_bans(bans: list[dict[str, Any]], caller: str | None) -> None:
    """One row for each caller that is banned."""
    from gatewright.cli.printing import table  # noqa: PLC0415

    rows = [
        {**ban, "for": f"{-(-ban['remaining_ms'] // 1000)} s"}
        for ban in bans
        if caller in (None, ban["caller"])
    ]
    table(("tier", "caller", "for", "bans"), rows)

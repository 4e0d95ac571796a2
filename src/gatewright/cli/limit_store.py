"""`gatewright limit-store`: show the Redis of shared limits, and go on without it for a time."""

import json
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gatewright.cli.durations import seconds_of
from gatewright.cli.status import Admin, AsJson

What = Annotated[
    Literal["show", "bypass", "resume"],
    Parameter(
        help="How the node stands with it; `bypass` asks it about no limit for a while, `resume` ends that."
    ),
]
Lasts = Annotated[str, Parameter(name="--for", help="With `bypass`: how long: `90s`, `10m`, at most `1d`.")]
Counting = Annotated[
    Literal["node", "none"],
    Parameter(help="During a bypass each node counts its part of the limits, or nobody counts."),
]


def limit_store(
    what: What = "show",
    *,
    lasts: Lasts = "10m",
    counting: Counting = "node",
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show how a node stands with the Redis of shared limits, or go on without it for a time."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.

    path = "/api/v1/rate-limits/store"
    try:
        if what == "show":
            show(ask("GET", path, admin)["store"], as_json)
            return 0
        chosen = {} if what == "resume" else {"seconds": str(seconds_of(lasts)), "counting": counting}
        done = ask("POST", f"{path}/{what}", admin, chosen)
    except (NodeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    seconds = done["bypassed_seconds"]
    words = f"Redis is asked about no limit for {seconds} s" if seconds else "Redis is asked again"
    print(json.dumps(done) if as_json else words)
    return 0


def show(found: dict[str, Any] | None, as_json: bool) -> None:
    """One row."""
    from gatewright.cli.printing import table  # noqa: PLC0415

    if as_json or found is None:
        print(json.dumps(found, indent=2) if as_json else "no limit is shared")
        return
    bypass = found["bypass"]
    left = "" if bypass is None else f"{-(-bypass['remaining_ms'] // 1000)} s"
    row = {
        "workers": found["workers"],
        "connected": found["connected_workers"],
        "not asking": found["open_workers"],
        "nodes": found["nodes"],
        "bypassed for": left,
        "error": found["error"] or "",
    }
    table(tuple(row), [row])

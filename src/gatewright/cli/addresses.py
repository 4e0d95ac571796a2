"""`gatewright addresses`: show, block and unblock networks."""

import json
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson

WRONG_USE = 2
USAGE = "name the network: `gatewright addresses block 192.0.2.0/24 --for 1h`"


def addresses(  # noqa: PLR0913 - each is an option of the command.
    what: Annotated[
        Literal["list", "block", "unblock"],
        Parameter(help="Blocked networks and files of addresses; block a network; end that."),
    ] = "list",
    network: Annotated[str | None, Parameter(help="`192.0.2.0/24`, or one address.")] = None,
    *,
    length: Annotated[
        str | None, Parameter(name="--for", help="`90s`, `15m`, `1h` or `7d`; until unblocked by default.")
    ] = None,
    why: Annotated[str | None, Parameter(help="A note for whoever sees the block later.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show what is known of addresses; refuse every request from a network, at once and on every node."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415

    if (network is None) != (what == "list"):
        print(USAGE if network is None else "`list` takes no network", file=sys.stderr)
        return WRONG_USE
    try:
        if what == "list":
            show(ask("GET", "/api/v1/addresses", admin), as_json)
            return 0
        asked = {"network": network, "seconds": seconds_of(length) if length else None, "why": why}
        chosen = {name: value for name, value in asked.items() if value is not None}
        done = ask("POST", f"/api/v1/addresses/{what}", admin, chosen)
    except (NodeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(done) if as_json else told(what, done))
    return 0


def told(what: str, done: dict[str, Any]) -> str:
    if what == "unblock":
        return f"unblocked {done['unblocked']}"
    return f"blocked {done['network']} {left(done['remaining_seconds'])}"


def left(seconds: float | None) -> str:
    return "until it is unblocked" if seconds is None else f"for {-(-seconds // 1):.0f} s"


def show(found: dict[str, Any], as_json: bool) -> None:
    from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.

    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [{**block, "blocked": left(block["remaining_seconds"])} for block in found["blocks"]]
    table(("network", "blocked", "why"), rows)
    if found["blocked"] > len(rows):
        print(f"and {found['blocked'] - len(rows)} more")
    if found["files"]:
        table(("kind", "name", "entries", "bytes", "error"), found["files"])

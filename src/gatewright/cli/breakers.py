"""`gatewright breakers`: show circuit breakers, and open, close or reset them by hand."""

import json
import sys
from typing import Annotated, Any, Literal
from urllib.parse import quote

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson

Named = Annotated[
    str | None,
    Parameter(help="A service, `SERVICE/ROUTE`, `SERVICE@INSTANCE` or `SERVICE:TENANT`, as shown."),
]


def breakers(  # noqa: PLR0913 - each is an option of the command.
    action: Annotated[
        Literal["show", "open", "close", "reset"],
        Parameter(help="`open` and `close` hold until `reset`, which gives a breaker back to its rules."),
    ] = "show",
    name: Named = None,
    *,
    every: Annotated[bool, Parameter(name="--all", help="Every breaker.", negative=())] = False,
    why: Annotated[str | None, Parameter(help="Why, for whoever looks at the breaker.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show the circuit breakers, or hold them open or closed by hand."""
    from gatewright.cli.admin import NodeError, ask, who  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.printing import table  # noqa: PLC0415

    if action != "show" and (name is None) != every:
        print(f"`{action}` needs the name of a breaker, or --all", file=sys.stderr)
        return 2
    try:
        if action != "show":
            given = {"by": who()} | ({"why": why} if why else {})
            done = ask("POST", path_of(name, action), admin, given)
            print(json.dumps(done) if as_json else f"changed {done['changed']}")
            return 0
        found = ask("GET", "/api/v1/circuit-breakers", admin)
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    shown = [one for one in found["circuit_breakers"] if name in (None, one["name"], one["service"])]
    if as_json:
        print(json.dumps(found | {"circuit_breakers": shown}, indent=2))
    else:
        table(
            ("name", "state", "admitted", "reason", "refused", "transitions", "held"),
            [row(one) for one in shown],
        )
    return 0


def path_of(name: str | None, action: str) -> str:
    """The operation on one breaker, or on all."""
    below = f"{quote(name, safe='')}/{action}" if name else action
    return f"/api/v1/circuit-breakers/{below}"


def row(breaker: dict[str, Any]) -> dict[str, Any]:
    """One line of the table."""
    held = breaker.get("held")
    recent = breaker.get("recent") or [{}]
    return {
        "name": breaker["name"],
        "state": breaker["state"],
        "admitted": f"{breaker.get('admitted_percent', 100)} %",
        "reason": recent[-1].get("reason", ""),
        "refused": breaker.get("refused", 0),
        "transitions": breaker.get("transitions", 0),
        "held": f"by {held['by']}" + (f": {held['why']}" if held["why"] else "") if held else "",
    }

"""`gatewright breakers`: show and reset circuit breakers."""

import json
import sys
from typing import Annotated

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson


def breakers(
    *,
    reset: Annotated[str | None, Parameter(help="Close the breaker of this service, or of `all`.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show the circuit breaker of every service, or close one by hand."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.printing import table  # noqa: PLC0415

    try:
        if reset is not None:
            path = "reset" if reset == "all" else f"{reset}/reset"
            done = ask("POST", f"/api/v1/circuit-breakers/{path}", admin)
            print(json.dumps(done) if as_json else f"closed {done['reset']}")
            return 0
        found = ask("GET", "/api/v1/circuit-breakers", admin)["circuit_breakers"]
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        table(list(dict.fromkeys(name for one in found for name in one)) or ["service"], found)
    return 0

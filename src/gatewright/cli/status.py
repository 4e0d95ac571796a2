"""`gatewright status`: is the node well?"""

import json
import sys
from typing import Annotated, Any

from cyclopts import Parameter

Admin = Annotated[
    str | None, Parameter(help="Admin URL of the node; see the manual for where else it is looked up.")
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON.", negative=())]


def status(*, admin: Admin = None, as_json: AsJson = False) -> int:
    """Say how the node, its services and its configuration are. Exit 0 when healthy, 1 when not."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.

    try:
        health = ask("GET", "/api/v1/status", admin)
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(health, indent=2))
    else:
        show(health)
    return 0 if health["status"] == "healthy" else 1


def show(health: dict[str, Any]) -> None:
    from gatewright.cli.printing import cell, console, table  # noqa: PLC0415 - start-up of the other commands.

    output, config = console(), health["config"]
    output.print("gateway", cell(health["status"]), f"version {health['version']}")
    output.print(
        "configuration", cell(config["state"]), f"version {config['version']} from {config['source']}"
    )
    for problem in config["errors"]:
        output.print(" ", cell(problem), soft_wrap=True)
    for one in health.get("certificates", []):
        ends = "expired" if one["days"] < 0 else "expires"
        line = (
            f"  certificate `{one['certificate']}` of listener `{one['listener']}` {ends} {one['expires_at']}"
        )
        output.print(cell(line), soft_wrap=True)
    services = health["dependencies"]["services"]
    table(("name", "healthy", "ejected", "draining", "panic", "instances"), services, output)
    if health["dependencies"]["key_sets"]:
        table(
            ("identity", "has_keys", "stale", "age_seconds", "next_refresh_seconds", "failures", "error"),
            health["dependencies"]["key_sets"],
            output,
        )

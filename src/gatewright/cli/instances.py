"""`gatewright instances`: show the instances of services, and drain them by name."""

import json
import sys
from typing import Annotated, Any, Literal
from urllib.parse import quote

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson

COLUMNS = (
    "service",
    "name",
    "address",
    "state",
    "weight",
    "share_percent",
    "in_flight",
    "requests",
    "ejections",
)


def instances(
    action: Annotated[
        Literal["list", "drain", "undrain"], Parameter(help="What to do; `list` when left out.")
    ] = "list",
    service: Annotated[str | None, Parameter(help="The service; all for `list` when left out.")] = None,
    instance: Annotated[str | None, Parameter(help="Its name, as the configuration has it.")] = None,
    *,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show instances and how they stand, stop sending one new requests, or let it have them again."""
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.

    try:
        if action != "list":
            if service is None or instance is None:
                print(f"{action} needs a service and an instance", file=sys.stderr)
                return 2
            path = f"/api/v1/services/{quote(service, safe='')}/instances/{quote(instance, safe='')}/{action}"
            done = ask("POST", path, admin)
            print(json.dumps(done) if as_json else f"changed {done['changed']}")
            return 0
        listed = rows(ask("GET", "/api/v1/services", admin)["services"], service)
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    show(listed, as_json=as_json)
    return 0


def rows(services: list[dict[str, Any]], wanted: str | None) -> list[dict[str, Any]]:
    """Every instance with the name of its service."""
    chosen = (one for one in services if wanted in {None, one["name"]})
    return [{"service": one["name"], **instance} for one in chosen for instance in one["instances"]]


def show(listed: list[dict[str, Any]], *, as_json: bool) -> None:
    from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.

    if as_json:
        print(json.dumps(listed, indent=2))
    else:
        table(COLUMNS, listed)

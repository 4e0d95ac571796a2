"""`gatewright records`: stored decision records."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson

COLUMNS = (
    "timestamp",
    "status",
    "method",
    "path",
    "route_id",
    "backend_instance",
    "total_latency_ms",
    "request_id",
)
FOLLOW_SECONDS = 1.0
DEFAULT_TAIL = 20


def records(  # noqa: PLR0913 - one argument an option of the command.
    *,
    tail: Annotated[int, Parameter(help="How many, the newest ones.")] = DEFAULT_TAIL,
    route: Annotated[str | None, Parameter(help="Name of a route.")] = None,
    status: Annotated[str | None, Parameter(help="`404` or `5xx`.")] = None,
    since: Annotated[str | None, Parameter(help="Not older than this, such as `1h`.")] = None,
    where: Annotated[
        list[str] | None, Parameter(help="`field=value`, also != < <= > >=.", negative=())
    ] = None,
    directory: Annotated[Path | None, Parameter(help="Read these segments instead of asking a node.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Print stored records that pass every filter, the newest last."""
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.errors import GatewrightError  # noqa: PLC0415

    try:
        asked: dict[str, Any] = {
            "where": [*(where or []), *([f"route_id={route}"] if route else [])],
            "limit": tail,
        }
        asked["status"] = status
        if since:
            asked["since"] = (datetime.now(UTC) - timedelta(seconds=seconds_of(since))).isoformat()
        found = fetch(asked, directory, admin)
    except (GatewrightError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    show(list(reversed(found)), as_json)
    return 0


def fetch(asked: dict[str, Any], directory: Path | None, admin: str | None) -> list[dict[str, Any]]:
    """Records from a directory or from a node. Raises `GatewrightError`."""
    from gatewright.cli.admin import ask  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.records.query import answer, records_from  # noqa: PLC0415

    if directory is not None:
        return records_from(json.dumps(answer(directory, asked)).encode())
    given = {name: value for name, value in asked.items() if value}
    return ask("GET", "/api/v1/records", admin, given)["records"]


def show(found: list[dict[str, Any]], as_json: bool) -> None:
    from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.

    if as_json:
        for record in found:
            print(json.dumps(record, ensure_ascii=False))
    else:
        table(COLUMNS, found)


def attempts(seconds: float) -> Iterator[None]:
    """One attempt at once, then more until `seconds` have passed: a record is stored a moment after the
    response.
    """
    deadline = time.monotonic() + seconds
    yield
    while time.monotonic() < deadline:
        time.sleep(min(FOLLOW_SECONDS / 5, seconds))
        yield

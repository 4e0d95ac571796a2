"""`gatewright alerts`: what fires, silences, tests of channels."""

import json
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson

WRONG_USE = 2
USAGE = "name the alert: `gatewright alerts silence service_silent --subject users --for 2h`"
COLUMNS = ("alert", "subject", "severity", "state", "value", "threshold", "silenced")


def alerts(  # noqa: PLR0913 - each is an option of the command.
    what: Annotated[
        Literal["list", "objectives", "silences", "silence", "unsilence", "test"],
        Parameter(help="What fires; objectives; silences; make one; end one; test the channels."),
    ] = "list",
    name: Annotated[
        str | None,
        Parameter(help="With `silence` the alert, `*` for any part; with `unsilence` the silence."),
    ] = None,
    *,
    subject: Annotated[str, Parameter(help="With `silence`: which service or route; all by default.")] = "*",
    length: Annotated[
        str, Parameter(name="--for", help="With `silence`: `90s`, `15m`, `2h`, at most `30d`.")
    ] = "1h",
    why: Annotated[str | None, Parameter(help="A note for whoever sees the silence later.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Show what fires and what is silenced; tell nobody of an alert for a while; test the channels. Exits
    with 1 where an alert fires.
    """
    from gatewright.cli.admin import NodeError, ask  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.durations import seconds_of  # noqa: PLC0415

    if (name is None) == (what in ("silence", "unsilence")):
        print(USAGE if name is None else f"`{what}` takes no name", file=sys.stderr)
        return WRONG_USE
    try:
        if what == "silence":
            asked = {"alert": name, "subject": subject, "seconds": int(seconds_of(length)), "why": why or ""}
            return shown(ask("POST", "/api/v1/alerts/silences", admin, asked), as_json)
        if what == "unsilence":
            return shown(ask("POST", f"/api/v1/alerts/silences/{name}/end", admin), as_json)
        if what == "test":
            return shown(ask("POST", "/api/v1/alerts/test", admin), as_json)
        return listed(what, ask("GET", "/api/v1/alerts", admin), as_json)
    except (NodeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def shown(done: dict[str, Any], as_json: bool) -> int:
    print(json.dumps(done) if as_json else ", ".join(f"{name} {value}" for name, value in done.items()))
    return 0


def listed(what: str, found: dict[str, Any], as_json: bool) -> int:
    from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.

    if as_json:
        print(json.dumps(found if what == "list" else found[what], indent=2))
    elif what == "silences":
        table(("id", "alert", "subject", "until", "by", "why"), found["silences"])
    elif what == "objectives":
        table(("name", "target", "budget_left", "complete", "burn_rates"), found["objectives"])
    else:
        table(COLUMNS, [{**one, "alert": one["name"]} for one in found["alerts"]])
    return int(what == "list" and any(one["state"] == "firing" for one in found["alerts"]))

"""`gatewright audit`: who did what to the gateway, whom it refused, and whether the log is as it was."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from gatewright.cli.status import Admin, AsJson

if TYPE_CHECKING:
    # Start-up of the other commands.
    from gatewright.audit.verify import Report

audit = App(
    name="audit",
    help="Show the audit log, and check that nobody changed it.",
    result_action="return_value",
)

Document = dict[str, Any]
COLUMNS = ("seq", "time", "who", "what", "outcome", "fields")
CHECKPOINT = re.compile(r"(\d{1,18}):([0-9a-f]{64})")
Directory = Annotated[
    Path | None,
    Parameter(
        help="The log's directory; by default that of the configuration, `audit` in its state directory."
    ),
]
Config = Annotated[
    Path | None,
    Parameter(help="The configuration that says where the log is, and its key; `gateway.yaml` by default."),
]


Keys = Annotated[
    list[Path] | None,
    Parameter(
        help="File with a key that the log is or was sealed with; may be repeated. `audit.key` of the "
        "configuration is known.",
        negative=(),
    ),
]
Checkpoints = Annotated[
    list[str] | None,
    Parameter(
        help="`SEQ:HASH` of an `audit checkpoint` in the gateway's own log; may be repeated. Shows "
        "whether the end was cut off.",
        negative=(),
    ),
]
Kind = Annotated[Literal["act", "decision", "log"] | None, Parameter(help="Only of this kind.")]
What = Annotated[str | None, Parameter(help="What was done, such as `key.*` or `refused.banned`.")]
Who = Annotated[str | None, Parameter(help="Anything that is known of who did it, such as an address.")]
Outcome = Annotated[str | None, Parameter(help="`done`, `refused`, `failed` or `passed`.")]


@audit.command
def verify(
    directory: Directory = None,
    *,
    config: Config = None,
    key: Keys = None,
    checkpoint: Checkpoints = None,
    as_json: AsJson = False,
) -> int:
    """Check every entry of the log. Exit 0 when it is as it was written, 1 when not: the first that is not
    is named.
    """
    from gatewright.audit.verify import verify as check  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.errors import GatewrightError  # noqa: PLC0415

    try:
        marks = dict(read_checkpoint(text) for text in checkpoint or ())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        where, keys = place(directory, config)
        keys += [file.read_bytes().strip() for file in key or ()]
        report = check(where, keys, marks)
    except (GatewrightError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(report.document(), indent=2))
    else:
        tell(report)
    return 0 if report.fault is None else 1


def tell(report: "Report") -> None:
    """What was found, for people."""
    for note in report.notes:
        print(f"note: {note}")
    if report.fault is not None:
        print(report.fault, file=sys.stderr)
        return
    print(f"{report.entries} entries, {report.first} to {report.last}, are as they were written")
    print(f"sealed with {', '.join(report.seals)}; the last hash is {report.hash}")
    if report.unsealed and report.unsealed < report.entries:
        print(f"note: the first {report.unsealed} were written before there was a key")


@audit.command(name="list")
def list_entries(  # noqa: PLR0913 - one argument an option of the command.
    *,
    tail: Annotated[int, Parameter(help="How many, the newest ones; at most 1,000.")] = 20,
    kind: Kind = None,
    what: What = None,
    who: Who = None,
    outcome: Outcome = None,
    since: Annotated[str | None, Parameter(help="Not older than this, such as `1h`.")] = None,
    directory: Annotated[
        Path | None, Parameter(help="Read the log of this directory instead of asking a node.")
    ] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Print entries that pass every filter, the newest last."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - start-up of the other commands.

    from gatewright.cli.durations import seconds_of  # noqa: PLC0415
    from gatewright.errors import GatewrightError  # noqa: PLC0415

    asked: Document = {"kind": kind, "what": what, "who": who, "outcome": outcome, "limit": tail}
    try:
        if since:
            asked["since"] = datetime.now(UTC) - timedelta(seconds=seconds_of(since))
        found = fetch(asked, directory, admin)
    except (GatewrightError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    show(list(reversed(found)), as_json)
    return 0


def read_checkpoint(text: str) -> tuple[int, str]:
    match = CHECKPOINT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"`{text}` is no checkpoint; write `SEQ:HASH`, as in `1204:9f86...`")
    return int(match[1]), match[2]


def place(directory: Path | None, config: Path | None) -> tuple[Path, list[bytes]]:
    """Where the log is, and the keys that the configuration knows. Raises `GatewrightError`."""
    file = config or Path("gateway.yaml")
    if directory is not None and config is None:
        return directory, []
    from gatewright.audit.files import AuditError  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.control.configuration import read  # noqa: PLC0415

    if not file.exists():
        raise AuditError(f"there is no {file}; name the log's directory, or a configuration with --config")
    configuration = read([file])
    key = configuration.audit.key
    return directory or configuration.state.audit, [key] if key is not None else []


def fetch(asked: Document, directory: Path | None, admin: str | None) -> list[Document]:
    """Entries of a directory or of a node, the newest first. Raises `GatewrightError`."""
    from gatewright.audit.reading import LONGEST_LIST, Wanted, read_newest  # noqa: PLC0415
    from gatewright.cli.admin import ask  # noqa: PLC0415 - start-up of the other commands.

    if not 1 <= asked["limit"] <= LONGEST_LIST:
        raise ValueError(f"--tail is 1 to {LONGEST_LIST}")
    if directory is not None:
        return read_newest(directory, Wanted(**asked)).entries
    given = {name: value for name, value in asked.items() if value is not None}
    if "since" in given:
        given["since"] = given["since"].isoformat()
    return ask("GET", "/api/v1/audit", admin, given)["entries"]


def show(found: list[Document], as_json: bool) -> None:
    from gatewright.cli.printing import table  # noqa: PLC0415 - start-up of the other commands.

    if as_json:
        for entry in found:
            print(json.dumps(entry))
        return
    table(
        COLUMNS, [entry | {"who": name_of(entry["who"]), "fields": brief(entry["fields"])} for entry in found]
    )


def name_of(who: Document) -> str:
    """Whom an entry names, in one word after another."""
    return " ".join(str(value) for value in who.values())


def brief(fields: Document) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, [], {}))

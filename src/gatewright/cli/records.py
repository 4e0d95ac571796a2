"""`gatewright records`: stored decision records."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

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
    "error_type",
    "request_id",
)
LESS_NEEDED = ("backend_instance", "method", "error_type", "route_id")
TOTALS = ("count", "rate_per_s", "errors", "error_share", "mean_ms", "p50_ms", "p95_ms", "p99_ms")
FOLLOW_SECONDS = 1.0
DEFAULT_TAIL = 20

Form = Literal["table", "json", "csv"]
Source = Literal["auto", "rollups", "records"]
Tail = Annotated[int | None, Parameter(help="How many, the newest ones; 20, or all with --output.")]
Follow = Annotated[
    bool,
    Parameter(name=["--follow", "-f"], negative=(), help="Go on with those that are stored from now on."),
]
Since = Annotated[str | None, Parameter(help="`1h` ago, `14:00`, `2026-11-27`, or an RFC 3339 time.")]
Where = Annotated[
    list[str] | None,
    Parameter(
        help="`field=value`, also != < <= > >= ~ (contains) !~; `null` for nothing; "
        "`decision.STAGE.PART=value` for what a stage decided.",
        negative=(),
    ),
]
Config = Annotated[
    Path | None, Parameter(help="With --user and --directory: the configuration whose keys hash users.")
]
Group = Annotated[
    list[str] | None, Parameter(help="Count by this field, with errors and percentiles.", negative=())
]
Column = Annotated[
    list[str] | None, Parameter(help="Print this field instead of the usual ones.", negative=())
]
Output = Annotated[
    Path | None,
    Parameter(name=["--output", "-o"], help="Write to this file: .jsonl, .csv, .parquet or .duckdb."),
]


def records(  # noqa: PLR0913 - one argument an option of the command.
    *,
    tail: Tail = None,
    follow: Follow = False,
    route: Annotated[str | None, Parameter(help="Name of a route.")] = None,
    user: Annotated[str | None, Parameter(help="A user, hashed in records or not.")] = None,
    config: Config = None,
    status: Annotated[str | None, Parameter(help="`404` or `5xx`.")] = None,
    since: Since = None,
    until: Annotated[str | None, Parameter(help="As --since; not included.")] = None,
    where: Where = None,
    group: Group = None,
    of: Annotated[str, Parameter(help="Latency whose percentiles are told.")] = "total_latency_ms",
    source: Annotated[Source, Parameter(help="What --group counts.")] = "auto",
    column: Column = None,
    form: Annotated[Form, Parameter(name="--format", help="How it is printed.")] = "table",
    output: Output = None,
    directory: Annotated[Path | None, Parameter(help="Read these segments instead of asking a node.")] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Print stored records that pass every filter, the newest last; or count them."""
    from gatewright.cli.record_source import RecordSource  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.errors import GatewrightError  # noqa: PLC0415

    filters = [*(where or []), *([f"route_id={route}"] if route else [])]
    asked = {"where": filters or None, "status": status, "since": since, "until": until}
    asked_of, form = RecordSource(directory, admin), "json" if as_json else form
    try:
        asked |= named(user, since, until, (directory, config))
        if group:
            return count(asked_of, asked | {"group": group, "of": of, "source": source}, form)
        if output is not None:
            return write(asked_of, asked, tail, output)
        columns = known_columns(column)
        show(last(asked_of, asked, DEFAULT_TAIL if tail is None else tail), form, columns)
        return keep_showing(asked_of, asked, form, columns) if follow else 0
    except (GatewrightError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def named(
    user: str | None, since: str | None, until: str | None, where: tuple[Path | None, Path | None]
) -> dict[str, Any]:
    """What is asked about a user: a node knows the keys that hash, for a directory the configuration says
    them. Raises `GatewrightError`.
    """
    directory, config = where
    if user is None or directory is None:
        return {} if user is None else {"user": user}
    if config is None:
        return {"user_ids": [user]}
    from gatewright.config import load  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.records.user_ids import asked_spellings  # noqa: PLC0415

    return {"user_ids": asked_spellings(load([config]).gateway.records.user_id, user, since, until)}


def known_columns(names: list[str] | None) -> tuple[str, ...]:
    """The columns to print. Raises `RecordQueryError` for a field that does not exist."""
    from gatewright.records.fields import known_field  # noqa: PLC0415 - start-up of the other commands.

    return tuple(known_field(name) for name in names) if names else COLUMNS


def last(source: Any, asked: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """The newest records, the newest last."""
    from gatewright.cli.record_source import progress_bar  # noqa: PLC0415 - start-up of the other commands.

    with progress_bar("reading") as progress:
        found = list(source.records(asked, most, progress))
    return found[::-1]


def show(found: list[dict[str, Any]], form: Form, columns: tuple[str, ...], head: bool = True) -> None:
    from gatewright.cli.printing import console, table  # noqa: PLC0415 - start-up of the other commands.

    if form == "json":
        for record in found:
            print(json.dumps(record, ensure_ascii=False))
    elif form == "csv":
        print_csv(found, columns, head)
    elif head:
        output = console()
        if output.is_terminal and columns == COLUMNS:
            columns, found = fitted(found, output.width)
        table(columns, found, output)
    else:
        for record in found:
            console().print(" ".join(text_of(record.get(name)) for name in columns), soft_wrap=True)


def fitted(found: list[dict[str, Any]], width: int) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """The usual columns as far as a terminal has room for them, with times that do not repeat the day."""
    days = {str(one.get("timestamp"))[:10] for one in found}
    rows = [one | {"timestamp": str(one.get("timestamp"))[11 if len(days) == 1 else 5 : -1]} for one in found]
    columns = COLUMNS
    for name in LESS_NEEDED:
        if sum(3 + widest(name, rows) for name in columns) > width:
            columns = tuple(one for one in columns if one != name)
    return columns, rows


def widest(name: str, rows: list[dict[str, Any]]) -> int:
    # The unit may stand in a line of its own.
    return max([len(name.removesuffix("_ms")), *(len(text_of(row.get(name))) for row in rows)])


def text_of(value: object) -> str:
    from gatewright.cli.printing import cell  # noqa: PLC0415 - start-up of the other commands.

    return cell(value).plain


def print_csv(found: list[dict[str, Any]], columns: tuple[str, ...], head: bool = True) -> None:
    import csv  # noqa: PLC0415 - start-up of the other commands.

    from gatewright.records.export import cell  # noqa: PLC0415

    writer = csv.writer(sys.stdout, lineterminator="\n")
    if head:
        writer.writerow(columns)
    for record in found:
        writer.writerow([cell(record.get(name)) for name in columns])


def keep_showing(source: Any, asked: dict[str, Any], form: Form, columns: tuple[str, ...]) -> NoReturn:
    """Print records as they are stored, until somebody interrupts."""
    followed = {name: asked[name] for name in ("where", "status", "user", "user_ids") if name in asked}
    shown: Any = None
    while True:
        answer = source.ask("newer", followed | {"shown": shown})
        shown = answer["shown"]
        show(answer["records"], form, columns, head=False)
        sys.stdout.flush()
        time.sleep(FOLLOW_SECONDS)


def write(source: Any, asked: dict[str, Any], most: int | None, output: Path) -> int:
    """Write all that pass the filters to a file, or the newest of them."""
    from gatewright.cli.record_source import progress_bar  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.records.export import export, form_of  # noqa: PLC0415

    form = form_of(output)
    with progress_bar("writing") as progress:
        lines = (json.dumps(record, ensure_ascii=False) for record in source.records(asked, most, progress))
        exported = export(lines, output, form)
    print(f"{exported.records} records in {output}")
    return 0


def count(source: Any, asked: dict[str, Any], form: Form) -> int:
    """Print counts and percentiles by group."""
    from gatewright.cli.printing import console, table  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.record_source import progress_bar  # noqa: PLC0415

    with progress_bar("counting") as progress:
        summary = source.summary(asked, progress)
    groups, columns = summary["groups"], (*asked["group"], *TOTALS)
    if form == "json":
        print(json.dumps(summary, ensure_ascii=False, indent=2))
    elif form == "csv":
        print_csv(groups, columns)
    else:
        table(columns, groups)
        left_out = f"; {summary['groups_left_out']} groups left out" if summary["groups_left_out"] else ""
        from_what = f"{summary['since']} to {summary['until']}, from {summary['source']}"
        console().print(
            f"{from_what}; percentiles of {summary['latency']} within 2.2 %{left_out}", soft_wrap=True
        )
    return 0


def attempts(seconds: float) -> Iterator[None]:
    """One attempt at once, then more until `seconds` have passed: a record is stored a moment after the
    response.
    """
    deadline = time.monotonic() + seconds
    yield
    while time.monotonic() < deadline:
        time.sleep(min(FOLLOW_SECONDS / 5, seconds))
        yield

"""`gatewright explain`: why a request got its answer, or what answer one would get."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from gatewright.cli.status import Admin, AsJson

Assume = Annotated[
    list[str] | None,
    Parameter(help="State of the node: `cpu=76`, `memory=81` (percent), `in_flight=3000`.", negative=()),
]
WRONG_USE = 2
WAIT_SECONDS = 2.0
USAGE = "write `gatewright explain REQUEST_ID`, or `gatewright explain --config FILE METHOD PATH`"


def explain(  # noqa: PLR0913 - one argument an option of the command.
    *what: str,
    config: Annotated[
        list[Path] | None, Parameter(help="Ask this configuration; nothing is sent.", negative=())
    ] = None,
    header: Annotated[
        list[str] | None, Parameter(name=["--header", "-H"], help="`Name: value`.", negative=())
    ] = None,
    client_ip: Annotated[str, Parameter(help="Address that the request comes from.")] = "127.0.0.1",
    listener: Annotated[str | None, Parameter(help="Name of the listener; the first by default.")] = None,
    keys: Annotated[
        list[str] | None, Parameter(help="`IDENTITY=JWKS_FILE` for a fetched key set.", negative=())
    ] = None,
    assume: Assume = None,
    directory: Annotated[
        Path | None, Parameter(help="Record segments to read instead of asking a node.")
    ] = None,
    admin: Admin = None,
    as_json: AsJson = False,
) -> int:
    """Say stage by stage why a request got its answer, or which answer it would get.

    Parameters
    ----------
    what
        The id of a recorded request; or, with `--config`, a method and a path.
    """
    from gatewright.errors import GatewrightError  # noqa: PLC0415 - start-up of the other commands.

    try:
        if config and len(what) == 2:
            request = request_of(what, header or [], client_ip, listener) | assumed(assume or [])
            return foretell(config, request, keys or [], as_json)
        if not config and len(what) == 1:
            return recount(what[0], directory, admin, as_json)
    except (GatewrightError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(USAGE, file=sys.stderr)
    return WRONG_USE


def recount(request_id: str, directory: Path | None, admin: str | None, as_json: bool) -> int:
    """Print the decisions of a recorded request; 1 when there is no record of it."""
    from gatewright.cli.printing import console  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.cli.record_source import RecordSource  # noqa: PLC0415
    from gatewright.cli.records import attempts  # noqa: PLC0415

    source, record = RecordSource(directory, admin), None
    for _ in attempts(WAIT_SECONDS):
        record = source.request(request_id)
        if record is not None:
            break
    if record is None:
        print(f"no record of request `{request_id}`", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return 0
    explanation, output = record["explanation"], console()
    output.print(f"{record.get('method')} {record.get('path')} at {record.get('timestamp')}", soft_wrap=True)
    output.print(f"{version_of(explanation)}, request id {request_id}", soft_wrap=True)
    show(record, explanation["answer"])
    show_lines(explanation["steps"])
    return 0


def version_of(explanation: dict[str, Any]) -> str:
    """Which configuration decided, and whether it still does."""
    configuration = explanation["configuration"]
    version, newest = configuration["version"], configuration["newest_version"]
    since = f", live since {configuration['applied_at']}" if configuration["applied_at"] else ""
    later = f"; version {newest} is live now" if newest is not None and newest != version else ""
    return f"configuration version {version}{since}{later}"


def show_lines(steps: list[dict[str, Any]]) -> None:
    """Print what the configuration said then where it decided, each place once; in full what refused, or the
    route where nothing did.
    """
    from rich.text import Text  # noqa: PLC0415 - start-up of the other commands.

    from gatewright.cli.printing import console, printable  # noqa: PLC0415

    output, shown = console(), set()
    in_full = next((one for one in steps if one["verdict"] == "refused"), steps[0] if steps else None)
    for step in sorted(steps, key=lambda one: one is not in_full):
        lines = step["lines"]
        if not lines or step["at"] in shown:
            continue
        shown.add(step["at"])
        changed = " (the file was changed since)" if step["changed_since"] else ""
        output.print(Text(f"\n{printable(step['at'])}{changed}", style="bold"), soft_wrap=True)
        for line in lines if step is in_full else lines[:1]:
            output.print(Text(f"    {printable(line)}"), soft_wrap=True)


def request_of(
    what: tuple[str, ...], headers: list[str], client_ip: str, listener: str | None
) -> dict[str, Any]:
    """A request as `decide` takes it. Raises `ValueError` for a header that is none."""
    import time  # noqa: PLC0415 - start-up of the other commands.

    pairs = [split_header(text) for text in headers]
    hosts = [value for name, value in pairs if name.lower() == "host"]
    lengths = [value for name, value in pairs if name.lower() == "content-length"]
    return {
        "method": what[0],
        "target": what[1],
        "host": hosts[0] if hosts else "localhost",
        "headers": [[name, value] for name, value in pairs if name.lower() not in {"host", "content-length"}],
        "peer": client_ip,
        "listener": listener,
        "now_ms": time.time_ns() // 1_000_000,
        "content_length": int(lengths[0]) if lengths else None,
    }


MOST = {"cpu": 1000, "memory": 1000, "in_flight": 2**32 - 1}
ASSUMED = {"cpu": "cpu_percent", "memory": "memory_percent", "in_flight": "in_flight"}


def assumed(facts: list[str]) -> dict[str, int]:
    """The state of the node to decide in, as `decide` takes it. Raises `ValueError` for what is none."""
    pairs = [fact.partition("=") for fact in facts]
    for name, _, value in pairs:
        if name not in ASSUMED or not value.isdigit() or int(value) > MOST[name]:
            message = (
                f"`{name}={value}` is nothing to assume; write `cpu=76`, `memory=81` or `in_flight=3000`"
            )
            raise ValueError(message)
    return {ASSUMED[name]: int(value) for name, _, value in pairs}


def split_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"`{text}` is no header; write `Name: value`")
    return name.strip(), value.strip()


def foretell(configs: list[Path], request: dict[str, Any], keys: list[str], as_json: bool) -> int:
    """Print what a configuration would do with a request. Sends nothing."""
    from gatewright.config.addresses import system_resolver  # noqa: PLC0415 - start-up of the other commands.
    from gatewright.control.configuration import read  # noqa: PLC0415
    from gatewright.records.explain import expected_outcome  # noqa: PLC0415

    configuration = read(configs)
    from gatewright._engine import decide  # noqa: PLC0415 - a wrong configuration is told without it.

    known = key_sets_of(keys)
    for source in configuration.key_sets:
        if source.identity not in known:
            hint = f"give --keys {source.identity}=FILE"
            print(
                f"note: the keys of `{source.identity}` are fetched and not known here; {hint}",
                file=sys.stderr,
            )
    if configuration.key_store is not None:
        print("note: the key store is not asked, so none of its keys is known here", file=sys.stderr)
    answers = decide(
        configuration.snapshot(1, system_resolver), json.dumps(known).encode(), json.dumps([request]).encode()
    )
    decision = json.loads(answers)[0]
    if as_json:
        print(json.dumps(decision, indent=2, ensure_ascii=False))
    else:
        show(decision, expected_outcome(decision))
    return 0


def key_sets_of(keys: list[str]) -> dict[str, Any]:
    """The key sets given on the command line. Raises `ValueError` or `OSError`."""
    pairs = [text.partition("=") for text in keys]
    return {name: json.loads(Path(file).read_bytes()) for name, _, file in pairs}


def show(document: dict[str, Any], outcome: str) -> None:
    from rich.text import Text  # noqa: PLC0415 - start-up of the other commands.

    from gatewright.cli.printing import console, printable, table  # noqa: PLC0415
    from gatewright.records.explain import steps_of  # noqa: PLC0415

    steps = steps_of(document)
    # Most requests wait for nothing.
    waited = ("waited",) if any(step.waited for step in steps) else ()
    columns = ("stage", "verdict", "rule", "inputs", *waited, "at")
    rows = [{name: getattr(step, name) for name in columns} for step in steps]
    output = console()
    table(columns, rows, output)
    colour = "red" if any(step.refuses for step in steps) else "green"
    output.print(Text.assemble(("answer: ", "bold"), (printable(outcome), colour)), soft_wrap=True)

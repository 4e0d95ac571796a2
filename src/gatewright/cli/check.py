"""`gatewright check`: everything that is wrong with a configuration."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from gatewright.config import Loaded, Problem

_COUNTED = {
    "listeners": "listener",
    "services": "service",
    "identities": "identity",
    "tiers": "tier",
    "routes": "route",
    "files": "file",
}
"""What the summary counts, and what one of each is called."""


def check(
    config: Annotated[list[Path], Parameter(help="Files or directories; several are joined.")],
    /,
    *,
    json: Annotated[bool, Parameter(help="Print one JSON document instead of lines.", negative="")] = False,
) -> int:
    """Check a configuration and say everything that is wrong with it.

    Exit code 0: it can go live (there may be warnings); 1: it cannot; 2: wrong use.
    """
    from gatewright.config import ConfigError, load  # noqa: PLC0415 -- keeps other commands fast.

    try:
        loaded = load(config)
        problems, counts = _compiled(loaded), _counts(loaded)
    except ConfigError as error:
        problems, counts = error.problems, {}
    errors = sum(problem.severity == "error" for problem in problems)
    if json:
        listed = [dataclasses.asdict(problem) for problem in problems]
        print(json_module.dumps({"ok": not errors, "problems": listed, "summary": counts}, indent=2))
    else:
        _print(problems, errors, counts)
    return 1 if errors else 0


def _compiled(loaded: "Loaded") -> list["Problem"]:
    """Give the warnings of a configuration, and what the engine has against its snapshot."""
    from gatewright.config import compile  # noqa: PLC0415 -- the word of the design.
    from gatewright.errors import SnapshotError  # noqa: PLC0415

    problems = list(loaded.warnings)
    snapshot = compile(loaded, 1, warnings=problems)
    try:
        from gatewright._engine import decide  # noqa: PLC0415 -- optional here.
    except ImportError:
        return problems
    try:
        # No keys: those that are fetched are not there yet, and the rest stands in the snapshot.
        decide(snapshot, b"{}", b"[]")
    except SnapshotError as error:
        # The engine's text says which rule it is about and where that stands.
        problems.append(loaded.at().problem(f"the engine refuses the configuration: {error}"))
    return problems


def _counts(loaded: "Loaded") -> dict[str, int]:
    sections = (section for section in _COUNTED if section != "files")
    return {section: len(getattr(loaded.gateway, section)) for section in sections} | {
        "files": len(loaded.files)
    }


def _print(problems: list["Problem"], errors: int, counts: dict[str, int]) -> None:
    for problem in problems:
        print(problem)
    warnings = len(problems) - errors
    found = f"{_number(errors, 'errors', 'error')}, {_number(warnings, 'warnings', 'warning')}"
    if errors:
        print(f"not valid: {found}")
        return
    parts = ", ".join(
        _number(count, section, _COUNTED[section]) for section, count in counts.items() if count
    )
    print(f"valid: {parts}" + (f"; {found}" if warnings else ""))


def _number(count: int, several: str, one: str) -> str:
    return f"1 {one}" if count == 1 else f"{count} {several}"

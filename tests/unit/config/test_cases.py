"""Every file of tests/config_cases: configuration above a line of `----`, what comes of it below.

Above: one file `gateway.yaml`, or several, each after a line `=== NAME`; `=== env` holds environment
variables. Below: every problem, line by line, and then, where the configuration is valid, an excerpt of the
snapshot as JSON: maps may leave keys out, lists are complete.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gatewright.config import ConfigError, compile, load

CASES = sorted((Path(__file__).parents[2] / "config_cases").glob("*.txt"))
ADDRESSES = {
    "localhost": ["::1", "127.0.0.1"],
    "users.internal": ["10.0.0.2", "10.0.0.1"],
    "six.internal": ["fd00::1"],
}


def test_there_are_cases() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_configuration_gives_what_its_case_says(case: Path, tmp_path: Path) -> None:
    given, _, expected = case.read_text().partition("\n----\n")
    paths, environment = write_files(given, tmp_path)
    problems, snapshot = outcome(paths, environment, tmp_path)
    lines, excerpt = _expectation(expected)
    assert problems == lines
    assert (snapshot is None) == any(": warning: " not in line for line in lines)
    if excerpt is not None:
        assert _cut(snapshot, excerpt) == excerpt


def write_files(given: str, directory: Path) -> tuple[list[Path], dict[str, str]]:
    """Write the files of a case; give the first one's path and the environment."""
    files: dict[str, list[str]] = {}
    name = "gateway.yaml"
    for line in given.splitlines():
        if line.startswith("=== "):
            name = line.removeprefix("=== ")
            continue
        files.setdefault(name, []).append(line)
    environment = dict(line.split("=", 1) for line in files.pop("env", []))
    for path, lines in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text("\n".join(lines) + "\n")
    return [directory / next(iter(files))], environment


def outcome(paths: Sequence[Path], environment: dict[str, str], directory: Path) -> tuple[list[str], Any]:
    """Give the problems, with paths relative to the directory, and the snapshot of a valid configuration."""
    warnings: list[Any] = []
    try:
        loaded = load(paths, environment)
        warnings += loaded.warnings
        snapshot = json.loads(
            compile(loaded, 1, lambda host, port: _resolve(host), warnings).replace(
                f"{directory}/".encode(), b""
            )
        )
    except ConfigError as error:
        return [str(problem).replace(f"{directory}/", "") for problem in error.problems], None
    return [str(problem).replace(f"{directory}/", "") for problem in warnings], snapshot


def _resolve(host: str) -> list[str]:
    if host not in ADDRESSES:
        raise OSError(-2, "Name or service not known")
    return ADDRESSES[host]


def _expectation(text: str) -> tuple[list[str], Any]:
    problems, _, excerpt = f"\n{text}".partition("\n{\n")
    return [line for line in problems.splitlines() if line], json.loads("{" + excerpt) if excerpt else None


def _cut(value: Any, like: Any) -> Any:
    """Give the part of a value that an excerpt shows."""
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: _cut(item, like[key]) for key, item in value.items() if key in like}
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [_cut(item, shown) for item, shown in zip(value, like, strict=True)]
    return value

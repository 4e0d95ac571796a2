"""Text of a configuration to data with positions, by the format that a file's name shows."""

import json
from pathlib import Path

from gatewright.config.positions import Node, Position, from_parsed
from gatewright.errors import ConfigError

SUFFIXES = {".yaml": "yaml", ".yml": "yaml", ".json": "yaml", ".kdl": "kdl", ".py": "python"}
"""Suffix of a file to its format. JSON is read as YAML 1.2, of which it is a part."""


def parse_text(text: bytes, text_format: str) -> bytes:
    """Parse with the engine: `yaml` or `kdl` to the JSON that `gatewright._engine.parse` describes."""
    # Imported here, so that Python configurations and `schema` need no engine.
    from gatewright import _engine  # noqa: PLC0415

    return _engine.parse(text, text_format)


def read_text(text: bytes, text_format: str, path: str) -> Node:
    """Give the data of a text. Raises `ConfigError` with every problem that the parser found."""
    parsed = json.loads(parse_text(text, text_format))
    if parsed["errors"]:
        raise ConfigError([
            Position(path, error["line"], error["column"]).problem(error["message"])
            for error in parsed["errors"]
        ])
    return from_parsed(parsed["document"], path)


def read_file(path: Path, shown: str) -> Node:
    """Give the data of a file; `shown` is how problems name it. Raises `ConfigError`."""
    start = Position(shown, 1, 1)
    text_format = SUFFIXES.get(path.suffix)
    if text_format is None:
        known = ", ".join(f"`{suffix}`" for suffix in SUFFIXES)
        raise ConfigError([start.problem(f"unknown kind of file; the name must end in one of {known}")])
    if text_format == "python":
        from gatewright.config.python_format import read_python  # noqa: PLC0415 -- loads every model.

        return read_python(path, shown)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError([start.problem(f"cannot be read: {error.strerror}")]) from error
    return read_text(text, text_format, shown)

"""Configurations written in Python: a file that defines `gateway`, or a function of that name."""

import runpy
import traceback
from collections.abc import Iterator
from pathlib import Path

from pydantic import BeforeValidator, ValidationError
from pydantic.fields import FieldInfo

from gatewright.config.models import Gateway
from gatewright.config.models.base import Section, _switched
from gatewright.config.models.csrf import _off
from gatewright.config.positions import Entry, Node, Position
from gatewright.config.validation import explain
from gatewright.errors import ConfigError, Problem

_WANTED = "define `gateway = gatewright.Gateway(...)`, or a function `gateway()` that gives one"


def read_python(path: Path, shown: str) -> Node:
    """Run a file and give what its `gateway` holds. Raises `ConfigError`.

    The file is code: it runs with the rights of this process. Positions are the lines where sections are
    constructed.
    """
    try:
        found = runpy.run_path(str(path)).get("gateway")
        gateway = found() if callable(found) and not isinstance(found, Gateway) else found
    except ValidationError as error:
        raise ConfigError(list(_invalid(error, path, shown))) from error
    except OSError as error:
        raise ConfigError([Position(shown, 1, 1).problem(f"cannot be read: {error.strerror}")]) from error
    except Exception as error:
        message = f"cannot be run: {type(error).__name__}: {error}"
        raise ConfigError([_failed_at(error, path, shown).problem(message)]) from error
    if not isinstance(gateway, Gateway):
        raise ConfigError([Position(shown, 1, 1).problem(f"no gateway found; {_WANTED}")])
    return _node(gateway, Position(shown, 1, 1), str(path))


def _failed_at(error: BaseException, path: Path, shown: str) -> Position:
    """Give the innermost line of the configuration file that an exception passed through."""
    lines = [
        frame.lineno or 1
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return Position(shown, error.lineno or 1, error.offset or 1)
    return Position(shown, lines[-1] if lines else 1, 1)


def _invalid(error: ValidationError, path: Path, shown: str) -> Iterator[Problem]:
    position = _failed_at(error, path, shown)
    for detail in error.errors(include_url=False, include_input=False):
        where = ".".join(str(segment) for segment in detail["loc"])
        message = explain(detail, error.title)
        yield position.problem(
            f"{error.title}: `{where}`: {message}" if where else f"{error.title}: {message}"
        )


SWITCHES = (_switched, _off)


def _given(value: object, field: FieldInfo) -> object:
    """What a file would say: what is on by default was turned `off` where it is `None`."""
    is_switch = field.default_factory is not None and any(
        isinstance(one, BeforeValidator) and one.func in SWITCHES for one in field.metadata
    )
    return "off" if value is None and is_switch else value


def _node(value: object, around: Position, path: str) -> Node:
    """Give what was set, with the line of the section it belongs to."""
    if isinstance(value, Section):
        position = _position(value, around, path)
        fields = type(value).model_fields
        # The kind of a union's member is set by its class, so it is written although nobody did.
        # What is `None` says nothing, as in a file that leaves it out.
        written = value.model_fields_set | {"kind"}
        given = {name: _given(getattr(value, name), fields[name]) for name in fields if name in written}
        return Node(
            position,
            {
                fields[name].alias or name: Entry(position, _node(one, position, path))
                for name, one in given.items()
                if one is not None
            },
        )
    if isinstance(value, list | tuple):
        return Node(around, [_node(item, around, path) for item in value])
    if isinstance(value, dict):
        return Node(
            around, {str(key): Entry(around, _node(item, around, path)) for key, item in value.items()}
        )
    return Node(around, value)


def _position(section: Section, around: Position, path: str) -> Position:
    constructed = section._constructed
    if constructed is None or constructed[0] != path:
        return around
    return Position(around.path, constructed[1], 1)

"""`python -m gatewright.config.reference`: the reference of every option, written from the models."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gatewright.config.models import Gateway
from gatewright.config.models.base import Section
from gatewright.config.quantities import Between, Duration, Size
from gatewright.config.validation import PATTERNS

DEFAULT_PATH = Path("docs/reference/configuration.md")

_INTRODUCTION = """# Configuration reference

Written by `python -m gatewright.config.reference` from the models; do not edit.

Durations are written `250ms`, `10s`, `5m`, `1h` or `30d`; sizes `512B`, `64KiB`, `10MiB` or `1MB`. A list of
one may be
written as that one. `${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}` are replaced inside any text;
`$${` stands
for the characters themselves. Paths are relative to the file that holds them. Unknown keys are errors.

YAML, JSON, KDL and Python have the same options. In KDL a singular section (`listener`, `service`,
`identity`, `tier`,
`route`) adds one of its kind, named by its argument. In Python every heading below that names a class is one
of
`gatewright`: `gatewright.Route(name="users", ...)`.
"""

_HEAD = "| option | type | default | bounds | what it does |\n|---|---|---|---|---|\n"

_WORDS = {
    str: "text",
    int: "number",
    float: "number",
    bool: "`true` or `false`",
    Duration: "duration",
    Size: "size",
}


def reference() -> str:
    """Give the whole reference as Markdown."""
    return _INTRODUCTION + "".join(_section(model, path) for model, path in _sections(Gateway, "", set()))


def _sections(
    model: type[Section], path: str, seen: set[type[Section]]
) -> Iterator[tuple[type[Section], str]]:
    """Give every section once, with the place where it is first met."""
    if model in seen:
        return
    seen.add(model)
    yield model, path
    for name, info in model.model_fields.items():
        key = info.alias or name
        for below, suffix in _models(info.annotation, ""):
            yield from _sections(below, f"{path}.{key}{suffix}" if path else f"{key}{suffix}", seen)


def _models(annotation: object, suffix: str) -> Iterator[tuple[type[Section], str]]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _models(get_args(annotation)[0], suffix)
    elif origin is list:
        yield from _models(get_args(annotation)[0], f"{suffix}[]")
    elif origin is dict:
        yield from _models(get_args(annotation)[1], f"{suffix}.NAME")
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _models(member, suffix)
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, suffix


def _section(model: type[Section], path: str) -> str:
    title = f"`{path}` ({model.__name__})" if path else f"The file ({model.__name__})"
    rows = "".join(_row(info.alias or name, info) for name, info in model.model_fields.items())
    about = " ".join((model.__doc__ or "").split())
    return f"\n## {title}\n\n{about}\n\n{_HEAD}{rows}"


def _row(key: str, info: FieldInfo) -> str:
    bounds = ", ".join(dict.fromkeys([*_bounds(info.metadata), *_inner_bounds(info.annotation)]))
    cells = (f"`{key}`", _type(info.annotation), _default(info), bounds, info.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _type(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"map to {_type(arguments[1])}"
    if origin is Literal:
        return " or ".join("`true`" if value is True else f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(member) for member in arguments if member is not type(None)))
    # `Any` is a class since Python 3.11.
    known = isinstance(annotation, type) and annotation is not Any
    return _WORDS.get(annotation, annotation.__name__) if known else "anything"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value: Any = info.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, Section) or (
        isinstance(value, list) and any(isinstance(item, Section) for item in value)
    ):
        return "see there"
    return f"`{_written(value)}`" if value != "" else ""


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    return "{}" if value == {} else str(value)


def _bounds(metadata: list[Any]) -> Iterator[str]:
    """Give the bounds among a field's annotations, in words."""
    for item in metadata:
        match item:
            case Between():
                yield item.bounds()
            case annotated_types.Ge():
                yield f"at least {item.ge}"
            case annotated_types.Gt():
                yield f"more than {item.gt}"
            case annotated_types.Le():
                yield f"at most {item.le}"
            case annotated_types.Lt():
                yield f"less than {item.lt}"
            case annotated_types.MinLen():
                yield "not empty" if item.min_length == 1 else f"length at least {item.min_length}"
            case annotated_types.MaxLen():
                yield f"length at most {item.max_length}"
            case FieldInfo():
                yield from _bounds(item.metadata)
            case _:
                pattern = getattr(item, "pattern", None)
                if isinstance(pattern, str):
                    yield PATTERNS.get(pattern, f"`{pattern}`")


def _inner_bounds(annotation: object) -> Iterator[str]:
    """Give the bounds inside `X | None` and lists; those of sections stand with the sections."""
    if get_origin(annotation) is Annotated:
        yield from _bounds(list(get_args(annotation)[1:]))
        yield from _inner_bounds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _inner_bounds(member)


def main() -> None:
    """Write the reference to the path given, `docs/reference/configuration.md` by default."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reference())


if __name__ == "__main__":
    main()

"""A tree to a `Gateway`: every problem with its place and with what would work."""

import difflib
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from gatewright.config.models import Gateway
from gatewright.config.models.base import Section
from gatewright.config.positions import Node
from gatewright.errors import Problem

_MAX_ROUNDS = 20

_EXPECTED = {
    "string_type": "expected text; put the value in quotes",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected `true` or `false`",
    "bool_parsing": "expected `true` or `false`",
    "list_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} elements",
    "too_long": "must have at most {max_length} elements",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "unknown `kind`; known: {expected_tags}",
    "union_tag_not_found": "`kind` is missing",
}
"""Kinds of pydantic's errors to our words; none of them shows the value, which may be a secret."""

PATTERNS = {
    r"^0?[0-7]{3}$": 'three octal digits in quotes, such as `"0660"`',
    r"^[0-9A-Za-z._~-]+$": "letters, digits, `-`, `.`, `_` and `~`",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": "1 to 100 letters, digits, `.`, `_` or `-`, the first no sign",
    r"^[A-Za-z0-9._-]{1,64}$": "1 to 64 letters, digits, `.`, `_` or `-`",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits in lower case, as `gatewright keys` writes them",
    r"^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,252})$": "a host name or an IP address",
    r"^/[^\s#]*$": "a path that starts with `/` and has no spaces or `#`",
    r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$": "a name of letters, digits, `-` and `_`",
    r"^[1-5](xx|[0-9]{2}(-[1-5][0-9]{2})?)$": "a status such as `204`, `2xx` or `200-399`",
    r"^/[!-:<-~]*$": "a path of visible characters that starts with `/` and has no `;`",
    r"^[!-~]+$": "visible characters without spaces",
    r"^[A-Za-z0-9_.-]{1,100}$": "1 to 100 letters, digits, `.`, `_` or `-`",
    r'^(https?://|/)[^\s<>"\\]+$': "a path, or an address with `https://`",
    r"^[A-Za-z_][A-Za-z0-9_]{0,99}$": "1 to 100 letters, digits or `_`, the first no digit",
    r"^[a-z0-9][a-z0-9._-]{0,199}$": "1 to 200 small letters, digits, `.`, `_` or `-`, the first no sign",
    r"^[A-Za-z0-9._-]{1,249}$": "1 to 249 letters, digits, `.`, `_` or `-`",
    r"^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$": "a host, or a host and a port as `host:port`",
    "^[A-Z]{2}$": "two capital letters (ISO 3166-1), such as `DE`",
    r'^https?://[^\s<>"\\]+$': "an address with `https://`",
    r"^/.*[^/]$": "a path that starts with `/` and does not end with it, such as `/api/v2`",
}


def validate(root: Node) -> tuple[Gateway, list[Problem]]:
    """Give the configuration, and every problem of its shape.

    With problems, what they name is left out of the configuration, so that cross-checks can find theirs in
    the rest.
    """
    data = root.plain()
    problems: list[Problem] = []
    for round_number in range(_MAX_ROUNDS):
        try:
            return Gateway.model_validate(data), problems
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            # Later rounds only see what leaving things out has caused.
            if round_number == 0:
                problems = [_problem(detail, root) for detail in details]
            _leave_out(data, [detail["loc"] for detail in details])
    return Gateway(), problems


def _problem(detail: Any, root: Node) -> Problem:
    location = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return root.find_key(location).problem(_unknown_key(location, ""))
    return root.find(location).problem(explain(detail, ""))


def explain(detail: Any, title: str) -> str:
    """Say in our words what pydantic found; `title` is the model that unknown keys belong to, or nothing."""
    kind, context = detail["type"], detail.get("ctx") or {}
    if kind == "extra_forbidden":
        return _unknown_key(detail["loc"], title)
    if kind == "missing":
        return f"`{detail['loc'][-1]}` is missing"
    if kind == "string_pattern_mismatch":
        return f"expected {PATTERNS.get(context['pattern'], context['pattern'])}"
    if context.get("min_length") == 1:
        return "cannot be empty"
    if kind in _EXPECTED:
        # Pydantic lists choices as Python writes them, we as a configuration does.
        return _EXPECTED[kind].format(**context).replace("'", "`").replace("True", "`true`")
    return str(detail["msg"]).removeprefix("Value error, ")


def _unknown_key(location: Sequence[str | int], title: str) -> str:
    kinds = _kinds_with(location, title)
    listed = " and ".join(f"`{kind}`" for kind in kinds)
    cure = f"; only `kind: {kinds[0]}` has it" if len(kinds) == 1 else f"; only the kinds {listed} have it"
    return unknown(str(location[-1]), "key", known_keys(location[:-1], title), cure if kinds else "")


def unknown(name: str, kind: str, known: Iterable[str], cure: str = "") -> str:
    """Say that a name is not known, what would work or which one was probably meant, and which there are."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    meant = cure or (f"; did you mean `{close[0]}`?" if close else "")
    listed = ", ".join(f"`{known_name}`" for known_name in names[:40]) or "none"
    more = ", ..." if len(names) > 40 else ""
    return f"unknown {kind} `{name}`{meant} (known: {listed}{more})"


def known_keys(location: Sequence[str | int], title: str = "") -> list[str]:
    """Give the keys that the section at a location has."""
    return [key for model in _models(_at(location, title)) for key in _keys(model)]


def _kinds_with(location: Sequence[str | int], title: str) -> list[str]:
    """Give the kinds of a section that have the key at a location, where only others have it."""
    choice = list(_models(_at(location[:-2], title))) if len(location) > 1 else []
    having = [model for model in choice if location[-1] in _keys(model)]
    is_of_a_kind = any(location[-2] in _tags(model) for model in choice)
    return sorted(str(kind) for model in having for kind in _tags(model)) if is_of_a_kind else []


def _keys(model: type[Section]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _at(location: Sequence[str | int], title: str) -> object:
    """Give the annotation at a location."""
    found: object = _named(title) if title else Gateway
    for segment in location:
        found = _below(found, segment)
    return found


def _named(title: str) -> type[Section]:
    from gatewright.config import models  # noqa: PLC0415 -- only where a Python configuration is wrong.

    return getattr(models, title, Gateway)


def _bare(annotation: object) -> object:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _models(annotation: object) -> Iterator[type[Section]]:
    """Give the sections that an annotation allows."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _models(member)


def _below(annotation: object, segment: str | int) -> object:
    """Give the annotation one step below; the name of a union's member chooses it."""
    annotation = _bare(annotation)
    origin = get_origin(annotation)
    if origin in (list, dict):
        return get_args(annotation)[-1]
    if origin in (Union, types.UnionType):
        # Unions may lie in unions; the model itself is meant.
        for model in _models(annotation):
            if segment in _tags(model):
                return model
        below = [_below(member, segment) for member in get_args(annotation) if member is not type(None)]
        return below[0] if below else None
    if isinstance(annotation, type) and issubclass(annotation, Section):
        fields = {info.alias or name: info for name, info in annotation.model_fields.items()}
        return fields[str(segment)].annotation if segment in fields else None
    return None


def _tags(annotation: object) -> tuple[object, ...]:
    """Give the values of `kind` that choose a member of a union."""
    for model in _models(annotation):
        info = model.model_fields.get("kind")
        if info is not None and get_origin(info.annotation) is Literal:
            return get_args(info.annotation)
    return ()


def _leave_out(data: object, locations: list[tuple[int | str, ...]]) -> None:
    """Take out what was wrong: unknown and wrong values alone, a list's element where something is missing in
    it.

    A wrong `match` is replaced by one that meets no other route, so that the rest of its route is still
    checked.
    """
    locations = [location for location in locations if not _replace_match(data, location)]
    holders = [_holder(data, location) for location in locations]
    # From the back, so that numbers of list elements still hold.
    for holder, segment in sorted(
        (item for item in holders if item is not None), key=lambda item: str(item[1]).zfill(9), reverse=True
    ):
        if isinstance(holder, list) and isinstance(segment, int) and segment < len(holder):
            holder[segment] = _GONE
        elif isinstance(holder, dict):
            holder.pop(segment, None)
    _sweep(data)


_GONE = object()


def _replace_match(data: object, location: tuple[int | str, ...]) -> bool:
    if len(location) < 3 or location[0] != "routes" or location[2] != "match":
        return False
    route = _child(_child(data, "routes"), location[1])
    if not isinstance(route, dict):
        return False
    route["match"] = {"path": f"regex:/.*{location[1]}", "host": f"wrong-{location[1]}.invalid"}
    return True


def _sweep(data: object) -> None:
    if isinstance(data, list):
        data[:] = [item for item in data if item is not _GONE]
        for item in data:
            _sweep(item)
    elif isinstance(data, dict):
        for item in data.values():
            _sweep(item)


def _holder(data: object, location: tuple[int | str, ...]) -> tuple[Any, int | str] | None:
    """Give the map or list to take something out of, and what."""
    trail: list[tuple[Any, int | str]] = []
    current = data
    for segment in location:
        below = _child(current, segment)
        if below is _GONE:
            continue
        trail.append((current, segment))
        current = below
    missing = (
        bool(location)
        and _child(current, location[-1]) is _GONE
        and not (trail and trail[-1][1] == location[-1])
    )
    if missing:
        elements = [step for step in trail if isinstance(step[0], list)]
        return elements[-1] if elements else (trail[-1] if trail else None)
    return trail[-1] if trail else None


def _child(data: object, segment: int | str) -> Any:
    if isinstance(data, dict) and segment in data:
        return data[segment]
    if isinstance(data, list) and isinstance(segment, int) and segment < len(data):
        return data[segment]
    return _GONE

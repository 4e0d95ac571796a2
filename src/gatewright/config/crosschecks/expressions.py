"""Regular expressions: they compile, Rust's syntax has what they use, and requests can match them.

Python's syntax is not Rust's. What both have is checked here; `gatewright check` then asks the engine as
well.
"""

import re
from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.matching import classify
from gatewright.config.models import Route
from gatewright.config.positions import Position
from gatewright.errors import Problem

_MISSING = (
    (re.compile(r"\(\?<?[=!]"), "look-around"),
    (re.compile(r"\\[1-9]|\(\?P="), "back-references"),
    (re.compile(r"\(\?>"), "atomic groups"),
    (re.compile(r"\(\?\("), "conditions"),
    (re.compile(r"[*+?}]\+"), "possessive quantifiers"),
)
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_ONLY_RUST = (
    (re.compile(r"\(\?<([A-Za-z_])"), r"(?P<\1"),
    (re.compile(r"\\[pP](\{[^}]*\}|[A-Za-z])"), r"\\w"),
    (re.compile(r"\\z"), r"\\Z"),
)
MAX_LENGTH = 4096


def check(view: View) -> Iterator[Problem]:
    """Find expressions that cannot be compiled or cannot match."""
    for number, route in view.routes():
        for expression, location in _expressions(number, route):
            position = view.at(*location)
            yield from (position.problem(text) for text in _faults(expression))
        yield from _start(view.at("routes", number, "match", "path"), route)


def _expressions(number: int, route: Route) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    matching = ("routes", number, "match")
    if route.match.path.startswith("regex:"):
        yield route.match.path.removeprefix("regex:"), (*matching, "path")
    for kind, tests in (("headers", route.match.headers), ("query", route.match.query)):
        for name, test in tests.items():
            if test.regex is not None:
                yield test.regex, (*matching, kind, name, "regex")
    if route.rewrite is not None:
        yield route.rewrite.regex, ("routes", number, "rewrite", "regex")


def _faults(expression: str) -> Iterator[str]:
    if len(expression) > MAX_LENGTH:
        yield f"the regular expression is longer than {MAX_LENGTH} characters"
        return
    # Escaped backslashes and sets of characters would look like what is looked for.
    bare = _CLASS.sub("[]", expression.replace(r"\\", ""))
    missing = [name for pattern, name in _MISSING if pattern.search(bare)]
    if missing:
        yield f"regular expressions here have no {' or '.join(missing)}; use several routes or plain matchers"
        return
    translated = expression
    for pattern, replacement in _ONLY_RUST:
        translated = pattern.sub(replacement, translated)
    try:
        re.compile(translated)
    except (re.error, OverflowError, RecursionError) as error:
        where = (
            f" at character {error.pos + 1}" if isinstance(error, re.error) and error.pos is not None else ""
        )
        yield f"not a regular expression: {getattr(error, 'msg', error)}{where}"


def _start(position: Position, route: Route) -> Iterator[Problem]:
    pattern = classify(route.match.path)
    first = pattern.text.removeprefix("^")[:1]
    if pattern.kind == "regex" and (not first or first.isalnum() or first in "-_%~"):
        yield position.problem(
            f"`{route.match.path}` can never match: every path starts with `/` and the whole path is compared"
        )

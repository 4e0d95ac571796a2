"""Enough of PromQL to tell which metrics and labels an expression names."""

import re
from dataclasses import dataclass, field

CLAUSE = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\}|\()?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"[^\"]*\"")
WORDS = {"and", "or", "unless", "bool", "offset", "time", "inf"}


@dataclass
class Named:
    """What an expression names."""

    selectors: dict[str, set[str]] = field(default_factory=dict)
    """Metrics, with the labels that are matched."""
    grouped: set[str] = field(default_factory=set)
    """Labels that it groups or matches by."""


def named(expression: str) -> Named:
    found = Named()
    for _, labels in CLAUSE.findall(expression):
        found.grouped |= {label.strip() for label in labels.split(",") if label.strip()}
    bare = CLAUSE.sub(" ", expression)
    bare = re.sub(r"\[[^\]]*\]|\boffset\s+\w+|\b\d[\w.]*", " ", bare)
    for name, rest in SELECTOR.findall(bare):
        if rest == "(" or name in WORDS:
            continue
        found.selectors.setdefault(name, set()).update(MATCHER.findall(rest))
    return found

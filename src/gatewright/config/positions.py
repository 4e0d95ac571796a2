"""Data that knows where it was written: what the formats give and what every error message points into."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gatewright.errors import Problem

Scalar = object
"""Text, a number, a truth value or `None`; from Python also a `Duration`, a `Size` or a date."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    def problem(self, message: str) -> Problem:
        """Give an error at this place."""
        return Problem(self.path, self.line, self.column, message)

    def warning(self, message: str) -> Problem:
        """Give a warning at this place."""
        return Problem(self.path, self.line, self.column, message, "warning")


@dataclass(slots=True)
class Entry:
    """One key of a map and its value. `position` is the key's own."""

    position: Position
    node: "Node"


@dataclass(slots=True)
class Node:
    """A value and its place: a scalar, a list of nodes, or a map from text to entries."""

    position: Position
    value: "Scalar | list[Node] | dict[str, Entry]"

    def plain(self) -> object:
        """Give the value without positions."""
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        if isinstance(self.value, dict):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        return self.value

    def entry(self, key: str) -> Entry | None:
        """Give the entry of a map; `None` where there is none or where this is no map."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def items(self) -> "list[Node]":
        """Give the elements of a list; none where this is no list."""
        return self.value if isinstance(self.value, list) else []

    def scalars(self) -> "Iterator[Node]":
        """Give every scalar below this node, itself included."""
        if isinstance(self.value, list):
            for node in self.value:
                yield from node.scalars()
        elif isinstance(self.value, dict):
            for entry in self.value.values():
                yield from entry.node.scalars()
        else:
            yield self

    def step(self, segment: str | int) -> "tuple[Position, Node] | None":
        """Go one step down; give the place to name in an error (a key's own place in a map) and the node."""
        if isinstance(segment, int):
            items = self.items()
            return (items[segment].position, items[segment]) if 0 <= segment < len(items) else None
        entry = self.entry(segment)
        return (entry.position, entry.node) if entry else None

    def find(self, location: Sequence[str | int]) -> Position:
        """Give the place of the deepest part of a location that was written; unknown segments are passed
        over.

        The place of a map's value is that of the value, except for the last segment being absent below it.
        Unknown segments are pydantic's names for the members of a union, and fields that were left out.
        """
        node = self
        for segment in location:
            step = node.step(segment)
            if step is not None:
                node = step[1]
        return node.position

    def find_key(self, location: Sequence[str | int]) -> Position:
        """Give the place of the last key of a location rather than of its value."""
        node, position = self, self.position
        for segment in location:
            step = node.step(segment)
            if step is not None:
                position, node = step
        return position


def from_parsed(parsed: dict, path: str) -> Node:
    """Make a node of what the engine's `parse` gives for a file."""
    position = Position(path, parsed["line"], parsed["column"])
    if "list" in parsed:
        return Node(position, [from_parsed(item, path) for item in parsed["list"]])
    if "map" in parsed:
        return Node(
            position,
            {
                item["key"]: Entry(
                    Position(path, item["line"], item["column"]), from_parsed(item["value"], path)
                )
                for item in parsed["map"]
            },
        )
    return Node(position, parsed["value"])

"""Tables for people: aligned, coloured only on a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

GOOD = {
    "healthy",
    "closed",
    "admitted",
    "matched",
    "ready",
    "live",
    "ok",
    "granted",
    "verified",
    "picked",
    "allowed",
}
BAD = {"unhealthy", "ejected", "open", "refused", "invalid", "failed", "denied", "down"}

# A pipe has no width; cutting what a program reads would be a silent loss.
PIPE_WIDTH = 400


def console() -> Console:
    """Standard output."""
    plain = Console(highlight=False, emoji=False, markup=False)
    return (
        plain if plain.is_terminal else Console(highlight=False, emoji=False, markup=False, width=PIPE_WIDTH)
    )


def table(
    columns: Sequence[str], rows: Sequence[Mapping[str, object]], output: Console | None = None
) -> None:
    """Print rows below their column names; text of others is printed as it is, never as markup."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*(cell(row.get(column)) for column in columns))
    (output or console()).print(grid)


def cell(value: object) -> Text:
    """A value as people read it."""
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, list):
        return Text(" ".join(map(str, value)))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    # Control characters in a path or a name must not steer the terminal.
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else printable(str(value))
    return Text(text, style=style_of(text))


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def style_of(text: str) -> str:
    if text in GOOD:
        return "green"
    return "red" if text in BAD or (text.isdigit() and len(text) == 3 and text >= "500") else ""

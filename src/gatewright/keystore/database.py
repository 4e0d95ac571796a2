"""What the store needs of a database: rows out, changes in, each with `?` for its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gatewright.errors import GatewrightError

Row = Sequence[Any]
Statement = tuple[str, Sequence[object]]
Migrations = Sequence[Sequence[str]]


class KeyStoreError(GatewrightError):
    """The store of API keys cannot be opened, asked or changed."""


class NewerSchemaError(KeyStoreError):
    """A newer release has changed the tables."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"its tables have version {found}, and this release knows {known}; use a newer release"
        )


class Database(Protocol):
    """A place for tables. Every call raises `KeyStoreError`; deadlines are the caller's."""

    async def open(self, migrations: Migrations) -> None:
        """Connect, and bring the tables up to date; two that do so at once do not disturb each other."""
        ...

    async def rows(self, query: str, *values: object) -> Sequence[Row]: ...

    async def change(self, statements: Sequence[Statement]) -> list[int]:
        """Do all or nothing, one such call after the other over all nodes; give the rows each changed."""
        ...

    async def many(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        """Do each statement for each of its rows, all or nothing. Not in order with others."""
        ...

    async def close(self) -> None: ...

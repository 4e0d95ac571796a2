"""SQLite: the store of one node, in a file that its owner alone can read. Commands may use it meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gatewright.keystore import schema
from gatewright.keystore.database import KeyStoreError, Migrations, NewerSchemaError, Row, Statement

SEQUENCE = "INTEGER PRIMARY KEY AUTOINCREMENT"
BUSY_SECONDS = 2.0

Result = TypeVar("Result")


class SqliteDatabase:
    """One connection, which belongs to one thread: the loop never waits for a disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "key-store")
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False

    async def open(self, migrations: Migrations) -> None:
        await self._run(self._open, migrations)

    async def rows(self, query: str, *values: object) -> Sequence[Row]:
        return await self._run(lambda: self._connected().execute(query, values).fetchall())

    async def change(self, statements: Sequence[Statement]) -> list[int]:
        return await self._run(self._change, statements)

    async def many(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        await self._run(self._many, statements)

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._run(self._close)
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except (sqlite3.Error, OSError) as error:
            raise KeyStoreError(f"`{self._path}`: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise KeyStoreError(f"`{self._path}` is not open")
        return self._connection

    def _open(self, migrations: Migrations) -> None:
        self._close()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode=WAL")
        # A key is shown once: what was promised must survive a power cut.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        with Transaction(connection):
            connection.execute(schema.VERSION_TABLE)
            (version,) = connection.execute(schema.VERSION).fetchone()
            if version > len(migrations):
                raise NewerSchemaError(version, len(migrations))
            for number, statements in enumerate(migrations[version:], start=version + 1):
                for statement in statements:
                    connection.execute(statement.replace("{sequence}", SEQUENCE))
                connection.execute("INSERT INTO api_key_schema VALUES (?)", (number,))

    def _change(self, statements: Sequence[Statement]) -> list[int]:
        connection = self._connected()
        with Transaction(connection):
            return [connection.execute(query, values).rowcount for query, values in statements]

    def _many(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        connection = self._connected()
        with Transaction(connection):
            for query, rows in statements:
                connection.executemany(query, rows)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Transaction:
    """From the first statement on nobody else writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")

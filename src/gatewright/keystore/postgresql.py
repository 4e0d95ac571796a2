"""PostgreSQL: the store of several nodes. The client is an extra: it is imported where it is used."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from typing import Any

from gatewright.keystore import schema
from gatewright.keystore.database import KeyStoreError, Migrations, NewerSchemaError, Row, Statement

SEQUENCE = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
CONNECTIONS = 8
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 1.0
# Whoever holds it changes keys: the numbers of changes are then in the order in which they can be seen.
LOCK = "SELECT pg_advisory_xact_lock(7310579238471001)"


class PostgresDatabase:
    """A few connections, made when they are needed and made anew when they are lost."""

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        self._url = url
        self._connections = connections
        self._pool: Any = None

    async def open(self, migrations: Migrations) -> None:
        await self.close()
        with translated():
            self._pool = await self._connect()
        async with self._connection() as connection, connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(schema.VERSION_TABLE)
            version = int(await connection.fetchval(schema.VERSION))
            if version > len(migrations):
                raise NewerSchemaError(version, len(migrations))
            for number, statements in enumerate(migrations[version:], start=version + 1):
                for statement in statements:
                    await connection.execute(statement.replace("{sequence}", SEQUENCE))
                await connection.execute("INSERT INTO api_key_schema VALUES ($1)", number)

    async def _connect(self) -> Any:
        import asyncpg  # noqa: PLC0415 - an extra.

        making = asyncio.ensure_future(
            asyncpg.create_pool(self._url, min_size=1, max_size=self._connections, timeout=CONNECT_SECONDS)
        )
        try:
            # Not cancelled half way: the client would leave the failure of its connection to nobody.
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(dropped)
            raise

    async def rows(self, query: str, *values: object) -> Sequence[Row]:
        async with self._connection() as connection:
            return [tuple(row) for row in await connection.fetch(numbered(query), *values)]

    async def change(self, statements: Sequence[Statement]) -> list[int]:
        async with self._connection() as connection, connection.transaction():
            await connection.execute(LOCK)
            answers = [await connection.execute(numbered(query), *values) for query, values in statements]
        return [int(answer.rpartition(" ")[2]) for answer in answers]

    async def many(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        async with self._connection() as connection, connection.transaction():
            for query, rows in statements:
                await connection.executemany(numbered(query), rows)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        pool = self._pool
        if pool is None:
            raise KeyStoreError("the database is not open")
        with translated():
            connection = await pool.acquire()
            try:
                yield connection
            except (asyncio.CancelledError, TimeoutError):
                # An answer may still be under way: whoever used the connection next would get it.
                connection.terminate()
                raise
            finally:
                await pool.release(connection, timeout=CLOSE_SECONDS)


def dropped(making: asyncio.Future[Any]) -> None:
    """Close what was made for nobody any more."""
    if not making.cancelled() and making.exception() is None:
        making.result().terminate()


@contextlib.contextmanager
def translated() -> Any:
    """Every failure of the client as one of ours, without the address: it may hold a password."""
    import asyncpg  # noqa: PLC0415 - an extra.

    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise KeyStoreError(f"PostgreSQL: {str(error) or type(error).__name__}") from error


@lru_cache(maxsize=100)
def numbered(query: str) -> str:
    """`$1`, `$2` in the place of each `?`."""
    numbers = itertools.count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", query)

"""A PostgreSQL for all tests of its sink."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest

from gateway import Postgres
from gateway.ports import unused_ports
from gateway.thinned_day import BAD, LIMITED, Store
from gatewright.records.sinks import postgresql_thinning

TABLES = ("gateway_records", "gateway_records_chunks", "gateway_records_late")


@pytest.fixture(scope="package")
def server() -> Iterator[Postgres]:
    running = Postgres(next(unused_ports()))
    yield running
    running.close()


@pytest.fixture
def ask(server: Postgres) -> Iterator[Callable[..., list[Any]]]:
    """Asks the server; each test has tables of its own."""

    def send(query: str, *values: object) -> list[Any]:
        async def once() -> list[Any]:
            connection = await asyncpg.connect(server.url)
            try:
                return [tuple(row) for row in await connection.fetch(query, *values)]
            finally:
                await connection.close()

        return asyncio.run(once())

    yield send
    for name in TABLES:
        send(f"DROP TABLE IF EXISTS {name} CASCADE")


@pytest.fixture
def store(server: Postgres, ask, record_line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A day in PostgreSQL that is filled, and takes several steps to thin."""
    monkeypatch.setattr(postgresql_thinning, "FIRST_BLOCKS", 1)
    monkeypatch.setattr(postgresql_thinning, "MOST_BLOCKS", 1)
    made = Store(server, record_line, BAD, LIMITED)
    made.fill()
    yield made
    made.sink.close()

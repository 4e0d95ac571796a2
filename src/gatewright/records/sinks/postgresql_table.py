"""The table of records in PostgreSQL: its columns, its partitions by day, how both are named, and what goes
wrong with a connection to it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import asyncpg

CONNECT_SECONDS = 5.0
# The client calls it an error of its own where a connection ends while nothing is asked.
FAULTS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
TYPES = {"bool": "boolean", "int": "bigint", "float": "double precision", "str": "text"}
COLUMNS = {
    "request_id": "str",
    "method": "str",
    "path": "str",
    "status": "int",
    "client_ip": "str",
    "user_id": "str",
    "partner_id": "str",
    "tenant_id": "str",
    "backend_service": "str",
    "backend_instance": "str",
    "route_id": "str",
    "total_latency_ms": "float",
    "gateway_overhead_ms": "float",
    "upstream_latency_ms": "float",
    "rate_limited": "bool",
    "request_bytes": "int",
    "response_bytes": "int",
    "error_type": "str",
    "gateway_instance": "str",
    "config_version": "int",
    "host": "str",
    "trace_id": "str",
}
"""Fields that people filter by, as columns beside the time and the whole record."""


PARTITIONS = (
    "SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_inherits i "
    "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::text::regclass"
)
"""Names of the partitions of a table, and what is noted of each."""


def schema_of(table: str, *, has_rules: bool) -> list[str]:
    # `json` and not `jsonb`, which would double the work of the server (22 us a record instead of 12).
    columns = ", ".join(f"{name} {TYPES[kind]}" for name, kind in COLUMNS.items())
    statements = [
        f"CREATE TABLE IF NOT EXISTS {table} (timestamp timestamptz NOT NULL, {columns}, "
        "record json NOT NULL) PARTITION BY RANGE (timestamp)",
        f"CREATE INDEX IF NOT EXISTS {table}_by_timestamp ON {table} (timestamp)",
        f"CREATE INDEX IF NOT EXISTS {table}_by_request_id ON {table} (request_id)",
        f"CREATE TABLE IF NOT EXISTS {table}_chunks (id uuid PRIMARY KEY)",
    ]
    if has_rules:
        statements.append(f"CREATE TABLE IF NOT EXISTS {table}_late (day date NOT NULL)")
    return statements


def partition_of(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def day_of(partition: str, table: str) -> date | None:
    try:
        return datetime.strptime(partition.removeprefix(f"{table}_"), "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def begins(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def ends(day: date) -> datetime:
    return begins(day) + timedelta(days=1)


def bounds(day: date) -> tuple[str, str]:
    """First time of a day, and first of the next, as SQL has them."""
    first, after = (f"'{one.isoformat()} 00:00:00+00'" for one in (day, day + timedelta(days=1)))
    return first, after


def text_of(error: BaseException) -> str:
    """What went wrong, without the address: it may hold a password."""
    if isinstance(error, asyncpg.PostgresError):
        return f"{type(error).__name__}: {error.args[0] if error.args else ''}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__

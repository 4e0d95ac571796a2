"""Thins days of records in PostgreSQL that are over their time: of each only those records stay that a rule
keeps for longer, in a partition that takes the place of the day's own.

All of a day is done in one transaction of a connection of its own, so whoever is killed leaves the day as it
was. What stays is copied in steps, while everybody reads and writes; then the partitions change places while
the table is locked, for some milliseconds. The comment of the new one says up to which age it was thinned.
Who writes to a day that late notes it in `TABLE_late`, in the same transaction, so that a day that was
written meanwhile is found out and left as it is.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from gatewright.config.models.records import PostgresqlSink as PostgresqlModel
from gatewright.records.sinks.postgresql_table import (
    CONNECT_SECONDS,
    FAULTS,
    PARTITIONS,
    bounds,
    day_of,
    ends,
    partition_of,
    text_of,
)
from gatewright.records.sinks.thinning import Judge, Retention, Thinner

log = logging.getLogger("gatewright.records")

THINNED = re.compile(r"thinned to (\d+) s")
# One node thins a table at a time; the others go on and look again later.
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(731057923, $1::text::regclass::oid::int4)"
# A client that hangs, or a machine that is gone, must not hold its locks for ever.
GUARD = "SET LOCAL idle_in_transaction_session_timeout = '1min'"
LEAST_STEP_SECONDS = 10.0

# Autovacuum gives way to who has waited for a second (`deadlock_timeout`), and this wait holds off nobody who
# reads or writes; that for the table does: often and briefly rather than long.
DAY_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '300ms'"
LOCK_ATTEMPTS = 10
LOCK_PAUSE_SECONDS = 1.0

# What a step reads: at first some blocks of the table, then as many as have about this much text.
FIRST_BLOCKS, MOST_BLOCKS = 16, 4096
STEP_BYTES = 4 << 20


class _EndingError(Exception):
    """The sink is closed; what is under way is given up."""


class _WrittenError(Exception):
    """Somebody wrote to the day meanwhile."""


@dataclass(frozen=True, slots=True)
class Due:
    """A day that has passed a limit."""

    day: date
    limit: timedelta


class PostgresqlThinner(Thinner):
    """Has a connection of its own for as long as something is due."""

    def __init__(self, model: PostgresqlModel, retention: Retention) -> None:
        super().__init__(retention)
        self._url, self._table = model.url, model.table
        self._step_seconds = max(model.timeout / 1000, LEAST_STEP_SECONDS)
        self._late: asyncio.TimerHandle | None = None

    def _thin_due(self, now: datetime) -> None:
        try:
            asyncio.run(self._thin_all(now))
        except (*FAULTS, sqlite3.Error) as error:
            self._failed(error, None)

    async def _thin_all(self, now: datetime) -> None:
        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": "gatewright-thinning"},
        )
        try:
            self._step(connection)
            for due in await self._due(connection, now):
                if not await self._tried(connection, due, now):
                    return
        except _EndingError:
            return
        finally:
            connection.terminate()

    async def _tried(self, connection: Any, due: Due, now: datetime) -> bool:
        """Thin a day; give whether it makes sense to go on with the next."""
        try:
            self.counts.segments += await self._thin(connection, due, now)
        except _WrittenError:
            log.info("a day of records was written while it was thinned", extra=self._told(due))
        except (*FAULTS, sqlite3.Error) as error:
            self._failed(error, due)
            # Where the table is in use, each further attempt would hold off the others again.
            return not (connection.is_closed() or isinstance(error, asyncpg.LockNotAvailableError))
        return True

    def _failed(self, error: Exception, due: Due | None) -> None:
        if not self._ending.is_set():
            self.counts.failures += 1
            extra = {**self._told(due), "error": text_of(error)}
            log.warning("a day of records cannot be thinned", extra=extra)

    def _told(self, due: Due | None) -> dict[str, object]:
        return {"table": self._table, "day": None if due is None else due.day.isoformat()}

    def _step(self, connection: Any) -> None:
        """Let what comes next have its time, then close the connection. Raises `_EndingError`."""
        if self._ending.is_set():
            raise _EndingError
        if self._late is not None:
            self._late.cancel()
        # Not a cancellation: the client would ask the server, which does not answer, to give up first.
        self._late = asyncio.get_running_loop().call_later(self._step_seconds, connection.terminate)

    async def _due(self, connection: Any, now: datetime) -> list[Due]:
        """Days that have passed a limit and were not thinned since, or were written since; the oldest first.
        Those of which nothing is kept any more are dropped by the sink.
        """
        late = {day for (day,) in await connection.fetch(f"SELECT DISTINCT day FROM {self._table}_late")}  # noqa: S608
        found = []
        for name, comment in await connection.fetch(PARTITIONS, self._table):
            day = day_of(name, self._table)
            limit = None if day is None else self._retention.passed(now - ends(day))
            if day is None or limit is None or limit == self._retention.longest:
                continue
            thinned = THINNED.fullmatch(comment)
            if day in late or thinned is None or int(thinned[1]) < int(limit.total_seconds()):
                found.append(Due(day, limit))
        return sorted(found, key=lambda due: due.day)

    async def _thin(self, connection: Any, due: Due, now: datetime) -> bool:
        """Give whether that is done: not where another node is at it, or was."""
        self._step(connection)
        # Each statement sees what was committed before it, whatever the database has by default.
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(GUARD)
            if not await connection.fetchval(TRY_LOCK, self._table):
                return False
            if due not in await self._due(connection, now):
                return False
            # What is noted from here on was perhaps not copied.
            await connection.execute(f"DELETE FROM {self._table}_late WHERE day = $1", due.day)  # noqa: S608
            await execute(connection, self._making(due))
            kept = await self._copy(connection, due)
            await self._lock(connection, due)
            query = f"SELECT EXISTS (SELECT FROM {self._table}_late WHERE day = $1)"  # noqa: S608
            if await connection.fetchval(query, due.day):
                raise _WrittenError
            await execute(connection, self._swapping(due, kept))
        log.info("a day of records is thinned", extra={**self._told(due), "kept": kept})
        return True

    async def _copy(self, connection: Any, due: Due) -> int:
        """Copy what rules keep of the day, step by step; give how many records that is."""
        partition = partition_of(self._table, due.day)
        judge = Judge(self._retention.rules_beyond(due.limit))
        size = "pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint"
        blocks = await connection.fetchval(f"SELECT {size}", partition)
        first, step, kept = 0, FIRST_BLOCKS, 0
        query = (
            "SELECT array_agg(ctid), '[' || string_agg(record::text, ',') || ']' "  # noqa: S608
            f"FROM {partition} WHERE ctid >= $1 AND ctid < $2"
        )
        while first < blocks:
            self._step(connection)
            places, records = await connection.fetchrow(query, (first, 0), (first + step, 0))
            first += step
            if records is None:
                continue
            wanted = [places[place] for place in judge.kept(records)]
            await self._move(connection, partition, wanted)
            kept += len(wanted)
            step = max(1, min(step * STEP_BYTES // len(records), step * 2, MOST_BLOCKS))
        return kept

    async def _move(self, connection: Any, partition: str, places: Sequence[tuple[int, int]]) -> None:
        """By way of this client, since only what a client copies can be seen by transactions that began
        before: to them the day's own partition is gone as well.
        """
        if not places:
            return
        rows = io.BytesIO()
        ids = ", ".join(f"'({block},{offset})'" for block, offset in places)
        query = f"SELECT * FROM {partition} WHERE ctid = ANY (ARRAY[{ids}]::tid[])"  # noqa: S608
        await connection.copy_from_query(query, output=rows, format="binary")
        rows.seek(0)
        await connection.copy_to_table(f"{partition}_kept", source=rows, format="binary", freeze=True)

    async def _lock(self, connection: Any, due: Due) -> None:
        """Have the table alone. Raises `LockNotAvailableError` where it is never free."""
        for left in reversed(range(LOCK_ATTEMPTS)):
            self._step(connection)
            try:
                await self._lock_once(connection, due)
            except asyncpg.LockNotAvailableError:
                if not left:
                    raise
            else:
                return
            await asyncio.sleep(LOCK_PAUSE_SECONDS)

    async def _lock_once(self, connection: Any, due: Due) -> None:
        """Both or neither."""
        async with connection.transaction():
            await connection.execute(DAY_LOCK_TIMEOUT)
            partition = partition_of(self._table, due.day)
            await connection.execute(f"LOCK TABLE {partition} IN SHARE UPDATE EXCLUSIVE MODE")
            await connection.execute(LOCK_TIMEOUT)
            await connection.execute(f"LOCK TABLE ONLY {self._table} IN ACCESS EXCLUSIVE MODE")

    def _making(self, due: Due) -> list[str]:
        partition = partition_of(self._table, due.day)
        first, after = bounds(due.day)
        return [
            f"CREATE TABLE {partition}_kept (LIKE {partition} INCLUDING ALL)",
            # Spares the server a look at each record while the table is locked.
            f"ALTER TABLE {partition}_kept ADD CONSTRAINT of_its_day "
            f"CHECK (timestamp >= {first} AND timestamp < {after})",
        ]

    def _swapping(self, due: Due, kept: int) -> list[str]:
        table, partition = self._table, partition_of(self._table, due.day)
        if not kept:
            return [f"DROP TABLE {partition}", f"DROP TABLE {partition}_kept"]
        first, after = bounds(due.day)
        return [
            f"DROP TABLE {partition}",
            f"ALTER TABLE {partition}_kept RENAME TO {partition}",
            f"ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({after})",
            f"ALTER TABLE {partition} DROP CONSTRAINT of_its_day",
            f"COMMENT ON TABLE {partition} IS 'thinned to {due.limit.total_seconds():.0f} s'",
        ]


async def execute(connection: Any, statements: Iterable[str]) -> None:
    """All in one message, since the table is locked meanwhile."""
    await connection.execute("; ".join(statements))

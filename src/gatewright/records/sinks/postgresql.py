"""Records in PostgreSQL: copied into a table that is partitioned by day, each exactly once.

Every transaction notes the ids of its chunks, so that a batch whose outcome is unknown (the server died while
it committed) is tried again and stores nothing twice. What is noted is deleted once the batch after it comes:
only then is it certain that nobody asks again. What rules keep for longer than the rest of its day is copied
out before the day is dropped (`postgresql_thinning.py`). asyncpg is an extra.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from gatewright.config.models.records import PostgresqlSink as PostgresqlModel
from gatewright.records.batch import Batch, Chunk, decoded, new_id
from gatewright.records.build import Place
from gatewright.records.sink import RejectedError, SinkError
from gatewright.records.sinks.postgresql_table import (
    COLUMNS,
    CONNECT_SECONDS,
    FAULTS,
    PARTITIONS,
    begins,
    bounds,
    day_of,
    ends,
    partition_of,
    schema_of,
    text_of,
)
from gatewright.records.sinks.postgresql_thinning import PostgresqlThinner
from gatewright.records.sinks.thinning import Retention

log = logging.getLogger("gatewright.records")

EXPIRE_EVERY = timedelta(hours=1)
# Dropping a day waits for those who read the table, and those who come after wait for it.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
# Whoever holds it changes tables: several nodes may start at once.
LOCK = "SELECT pg_advisory_xact_lock(7310579238471002)"
KINDS = {"bool": bool | None, "int": int | None, "float": float | None, "str": str | None}
NAMES = ("timestamp", *COLUMNS, "record")
# Read in C, into what the client copies as it is.
Fields = msgspec.defstruct(
    "Fields", [("timestamp", datetime), *((name, KINDS[kind], None) for name, kind in COLUMNS.items())]
)
DECODER = msgspec.json.Decoder(Fields)
# PostgreSQL has no character of this number.
NUL, REPLACEMENT = b"\\u0000", b"\\ufffd"

# What it says where something in the rows is wrong.
REFUSALS = (asyncpg.DataError, ValueError, OverflowError)

Row = tuple[Any, ...]


class _NewDayError(Exception):
    """A row is of a day for which this connection has not seen a partition, or which is to be noted."""


class PostgresqlSink:
    """One connection of one thread, made anew after every failure."""

    def __init__(
        self, model: PostgresqlModel, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.name = model.name or model.kind
        self._model = model
        self._now = now
        self._retention = Retention.of(model.retention, model.keep)
        self.thinner = PostgresqlThinner(model, self._retention)
        self._runner: asyncio.Runner | None = None
        self._connection: Any = None
        self._days: set[date] = set()
        self._expire_at: datetime | None = None
        # The chunks that were given last: when others come, these are certainly not tried again.
        self._noted: list[UUID] = []

    def write(self, batch: Batch) -> None:
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            rejected = self._runner.run(self._within(batch))
        except FAULTS as error:
            raise SinkError(f"PostgreSQL: {text_of(error)}") from error
        if rejected:
            raise RejectedError(f"PostgreSQL refused {rejected} records for what is in them", rejected)

    def reopen(self) -> None:
        """No files; nothing to do."""

    def close(self) -> None:
        self.thinner.close()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        if self._runner is not None:
            with contextlib.suppress(RuntimeError):
                self._runner.close()

    async def _within(self, batch: Batch) -> int:
        seconds = self._model.timeout / 1000
        is_new = self._connection is None or self._connection.is_closed()
        if is_new:
            connecting = asyncpg.connect(self._model.url, timeout=min(seconds, CONNECT_SECONDS))
            self._connection = await connecting
        connection = self._connection
        # Not a cancellation: the client would ask the server, which does not answer, to give up first.
        late = asyncio.get_running_loop().call_later(seconds, connection.terminate)
        try:
            await self._prepare(connection, is_new=is_new)
            return await self._store(connection, batch)
        except BaseException:
            # Whatever state it is in, nobody knows.
            connection.terminate()
            self._connection = None
            raise
        finally:
            late.cancel()

    async def _store(self, connection: Any, batch: Batch) -> int:
        ids = [UUID(bytes=chunk.id) for chunk in batch.chunks]
        before = [one for one in self._noted if one not in ids]
        async with connection.transaction():
            chunks = f"{self._model.table}_chunks"
            if before:
                await connection.execute(f"DELETE FROM {chunks} WHERE id = ANY($1)", before)  # noqa: S608 - a name.
            new = await connection.fetch(
                f"INSERT INTO {chunks} SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING id", ids
            )
            new_ids = {row[0].bytes for row in new}
            wanted = [chunk for chunk in batch.chunks if chunk.id in new_ids]
            try:
                async with connection.transaction():
                    await self._send(self._rows_of_known_days(wanted))
                rejected = 0
            except (_NewDayError, *REFUSALS):
                rows = [row for chunk in wanted for row in rows_of(chunk.lines)]
                await self._make_days({day_of_row(row) for row in rows})
                rejected = await self._copy(rows)
        self._noted = ids
        return rejected

    async def _prepare(self, connection: Any, *, is_new: bool) -> None:
        if is_new:
            self._days.clear()
            async with connection.transaction():
                await connection.execute(LOCK)
                for statement in schema_of(self._model.table, has_rules=bool(self._retention.rules)):
                    await connection.execute(statement)
        if self._expire_at is None or self._now() >= self._expire_at:
            self._expire_at = self._now() + EXPIRE_EVERY
            await self._expire(connection)
            self.thinner.begin(self._now())

    async def _make_days(self, days: set[date]) -> None:
        table = self._model.table
        late = [day for day in days if self._is_late(day)]
        if late:
            await self._connection.execute(f"INSERT INTO {table}_late SELECT unnest($1::date[])", late)
        for day in sorted(days - self._days):
            await self._make_day(day)
        self._days |= days

    async def _make_day(self, day: date) -> None:
        table, partition = self._model.table, partition_of(self._model.table, day)
        await self._connection.execute(LOCK)
        if await self._connection.fetchval("SELECT to_regclass($1) IS NOT NULL", partition):
            return
        first, after = bounds(day)
        # Made as a partition it would wait for everybody who reads the table, and hold off who comes after.
        await self._connection.execute(
            f"CREATE TABLE {partition} (LIKE {table} INCLUDING ALL); "
            f"ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({after})"
        )

    def _is_late(self, day: date) -> bool:
        """Whether a day may be thinned while it is written, or was: from a day before it is due on, so that
        no clock of another node matters.
        """
        return bool(self._retention.rules) and begins(day) + self._retention.everything <= self._now()

    def _rows_of_known_days(self, chunks: Iterable[Chunk]) -> Iterator[Row]:
        """Rows chunk by chunk, so that the server takes some while others are made here.

        Raises `_NewDayError` at a row whose day may have no partition, or is to be noted.
        """
        first = after = datetime.min.replace(tzinfo=UTC)
        for row in chain.from_iterable(rows_of(chunk.lines) for chunk in chunks):
            if not first <= row[0] < after:
                day = day_of_row(row)
                if day not in self._days or self._is_late(day):
                    raise _NewDayError
                first, after = begins(day), ends(day)
            yield row

    async def _copy(self, rows: Sequence[Row]) -> int:
        """Copy rows and give how many the server refuses for what is in them."""
        if not rows:
            return 0
        try:
            async with self._connection.transaction():
                await self._send(rows)
        except REFUSALS:
            if len(rows) == 1:
                return 1
            half = len(rows) // 2
            return await self._copy(rows[:half]) + await self._copy(rows[half:])
        return 0

    async def _send(self, rows: Iterable[Row]) -> None:
        await self._connection.copy_records_to_table(self._model.table, records=rows, columns=NAMES)

    async def _expire(self, connection: Any) -> None:
        """Drop the days of which nothing is kept any more."""
        table, oldest = self._model.table, self._now() - self._retention.longest
        names = [name for name, _ in await connection.fetch(PARTITIONS, table)]
        expired = [name for name in names if (day := day_of(name, table)) and ends(day) <= oldest]
        try:
            async with connection.transaction():
                await connection.execute(LOCK_TIMEOUT)
                for name in expired:
                    await connection.execute(f"DROP TABLE IF EXISTS {name}")
                await self._forget(connection)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            log.warning(
                "old records cannot be dropped yet: the table is in use", extra={"days": len(expired)}
            )
            return
        self._days.clear()
        if expired:
            log.info("days of records dropped", extra={"table": table, "days": len(expired)})

    async def _forget(self, connection: Any) -> None:
        """Delete what is noted of chunks that nobody gives again, and of days that are dropped."""
        table, now = self._model.table, self._now()
        old = UUID(bytes=new_id((now - self._retention.everything).timestamp())[:6] + bytes(10))
        await connection.execute(f"DELETE FROM {table}_chunks WHERE id < $1", old)  # noqa: S608
        if self._retention.rules:
            first = (now - self._retention.longest).date()
            await connection.execute(f"DELETE FROM {table}_late WHERE day < $1", first)  # noqa: S608


def build_postgresql(model: PostgresqlModel, place: Place) -> PostgresqlSink:
    return PostgresqlSink(model)


def rows_of(lines: bytes) -> list[Row]:
    """What is copied. A record without a time is left out and logged: a retry would not mend it."""
    if NUL in lines:
        lines = lines.replace(NUL, REPLACEMENT)
    return [(*msgspec.structs.astuple(fields), line.decode()) for fields, line in decoded(lines, DECODER)]


def day_of_row(row: Row) -> date:
    return row[0].astimezone(UTC).date()

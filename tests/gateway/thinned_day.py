"""A day of records in PostgreSQL that is thinned, for tests that look at what is left and what happens
meanwhile.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.postgres import Postgres
from gatewright.config.models import PostgresqlSink as Model
from gatewright.config.models.records import Keep
from gatewright.config.quantities import Duration
from gatewright.records.batch import Batch
from gatewright.records.sinks.postgresql import PostgresqlSink
from gatewright.records.sinks.thinning import Judge

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
MIDNIGHT = NOON + 12 * HOUR
BAD = Keep(where=["status>=500"], retention=Duration.of("30d"))
LIMITED = Keep(where=["status=4xx", "rate_limited=true"], retention=Duration.of("90d"))
OF_THE_DAY = "timestamp >= '2026-11-10 00:00+00' AND timestamp < '2026-11-11 00:00+00'"
IDS = f"SELECT request_id FROM gateway_records WHERE {OF_THE_DAY} ORDER BY 1"  # noqa: S608 - of this test.
TABLES = (
    "SELECT relname FROM pg_class WHERE relname LIKE 'gateway_records_2026111%' AND relkind = 'r' ORDER BY 1"
)
KEPT = ["bad 0", "bad 1", "bad 2", "bad 3", "limited"]
"""What rules keep of the records that fill the day."""


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Store:
    """A sink whose clock a test sets."""

    def __init__(self, server: Postgres, line: Callable[..., bytes], *rules: Keep) -> None:
        self.now = NOON
        self._line = line
        self.model = Model(url=server.url, retention=Duration.of("7d"), keep=list(rules))
        self.sink = PostgresqlSink(self.model, lambda: self.now)

    def write(self, moment: datetime, *ids: str, **fields: object) -> None:
        lines = [self._line(timestamp=at(moment), request_id=name, **fields) for name in ids]
        self.sink.write(Batch.of(b"".join(lines)))

    def begin(self, days: float) -> None:
        """Let it be so many days after the day, and something be written: thinning begins."""
        # Nothing is begun beside what is under way.
        self.wait()
        self.now = MIDNIGHT + days * DAY
        self.write(self.now, "new")

    def wait(self) -> None:
        thread = self.sink.thinner._thread
        if thread is not None:
            thread.join(60)
            assert not thread.is_alive()

    def pass_to(self, days: float) -> None:
        """Let it be so many days after the day, and everything due be thinned."""
        self.begin(days)
        self.wait()

    def fill(self) -> None:
        """Write some records of each kind, so many that they take several steps."""
        self.write(NOON, "good 0", "good 1")
        self.write(NOON, "bad 0", "bad 1", status=503)
        for number in (2, 3):
            self.write(NOON, *(f"good {number}{one}" for one in range(20)), path="/" * 900)
            self.write(NOON, f"bad {number}", status=500)
        self.write(NOON, "limited", status=429, rate_limited=True)
        self.write(NOON, "missing", status=404)
        # A record without a status is nobody's.
        self.write(NOON, "gone", status=None)

    @property
    def counts(self) -> tuple[int, int]:
        return self.sink.thinner.counts.segments, self.sink.thinner.counts.failures


def names(rows: list[Any]) -> list[Any]:
    return [name for (name,) in rows]


def during(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> None:
    """Have something happen once, as soon as the second step of a day was read."""
    left = [None, call]
    kept = Judge.kept

    def meanwhile(judge: Judge, records: str) -> list[int]:
        if left:
            happens = left.pop(0)
            if happens is not None:
                # The thread that thins has a loop, in which nothing may wait.
                thread = threading.Thread(target=happens)
                thread.start()
                thread.join(60)
        return kept(judge, records)

    monkeypatch.setattr(Judge, "kept", meanwhile)

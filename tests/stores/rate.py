"""How many records a second the two stores that we write row by row take, with our side on one core.

`make sinks-rate` takes two minutes and wants an idle machine. A lane with its defaults is offered records at
a fixed rate, as the data plane would, while this process has one core, and the server of PostgreSQL the
other; then it is offered as many as it takes. A rate is kept when nothing is dropped and what waits at the
end is less than a second of it. With `--profile`, what a sink's time goes into.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from faults.process import wait_until
from gateway import Node, Origin, get
from gateway.ports import unused_ports
from gateway.postgres import Postgres
from gatewright.config.models.records import PostgresqlSink as PostgresqlModel
from gatewright.config.models.records import SqliteSink as SqliteModel
from gatewright.records.batch import Batch, Chunk
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings
from gatewright.records.sink import Sink
from gatewright.records.sinks.postgresql import PostgresqlSink
from gatewright.records.sinks.sqlite import SqliteSink

Model = SqliteModel | PostgresqlModel

SERVER, OURS = 0, 1
CHUNK = 1000
TEXT = """\
services: [{{name: users, instances: ["{address}"]}}]
routes: [{{name: users, match: "/api/*", service: users, rate_limit: standard}}]
"""
PATH = "/api/v2/users/me?fields=name,email&page=2"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a lane did with what it was offered."""

    offered: int
    stored: int
    dropped: int
    waiting: int
    seconds: float
    cpu_seconds: float


def template() -> tuple[bytes, bytes, bytes]:
    """A record of a proxied and limited request: what is before its time, between time and id, and after."""
    with Origin() as origin, Node(TEXT.format(address=origin.address)) as node:
        get(node.address, PATH)
        record = node.record()
    line = msgspec.json.encode(record)
    before, _, rest = line.partition(record["timestamp"].encode())
    between, _, after = rest.partition(record["request_id"].encode())
    return before, between, after + b"\n"


class Source:
    """Makes records of this moment."""

    def __init__(self) -> None:
        self._before, self._between, self._after = template()
        self.line_bytes = len(self._before) + len(self._between) + len(self._after) + 60
        self._made = 0

    def chunk(self) -> Chunk:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
        head, tail = self._before + now + self._between, self._after
        first, self._made = self._made, self._made + CHUNK
        ids = range(first, first + CHUNK)
        return Chunk(b"".join([b"%b0f5d7347-0273-4972-8259-%012x%b" % (head, id, tail) for id in ids]))


def offer(lane: Lane, source: Source, rate: int | None, seconds: float) -> Taken:
    """Offer records for so long, at a rate or as fast as the lane takes them."""
    used = time.process_time()
    began = time.monotonic()
    offered = 0
    while (passed := time.monotonic() - began) < seconds:
        is_early = lane.counts().queued > 20 * CHUNK if rate is None else offered > passed * rate
        if is_early:
            time.sleep(0.002)
            continue
        lane.offer(source.chunk())
        offered += CHUNK
    passed, cpu = time.monotonic() - began, time.process_time() - used
    counts = lane.counts()
    waiting = counts.queued + counts.in_flight
    return Taken(offered, counts.stored, counts.dropped, waiting, passed, cpu)


def measure(model: Model, make: Callable[[], Sink], source: Source, options: argparse.Namespace) -> None:
    batch = model.batch
    settings = LaneSettings(batch.records, int(batch.bytes), batch.wait / 1000, int(model.queue))
    for rate in (options.rate, None):
        lane = Lane(make(), settings)
        lane.offer(source.chunk())
        wait_until("a first chunk is stored", lambda lane=lane: lane.counts().stored == CHUNK)
        taken = offer(lane, source, rate, options.seconds)
        wait_until("the rest is stored", lambda lane=lane: lane.counts().queued == 0, 60)
        lane.close(10)
        tell(model.kind, rate, taken)
    if options.profile:
        profile(make(), source)


def tell(name: str, rate: int | None, taken: Taken) -> None:
    stored, seconds = taken.stored - CHUNK, taken.seconds
    wanted = f"offered {rate:,}/s" if rate else "offered what it takes"
    kept = "" if rate is None else ": kept" if not taken.dropped and taken.waiting < rate else ": NOT kept"
    print(
        f"{name:10} {wanted:22} stored {stored / seconds:8,.0f}/s in {seconds:.0f} s,"
        f" dropped {taken.dropped}, waiting {taken.waiting}, CPU {taken.cpu_seconds / seconds:.0%} of a core,"
        f" {taken.cpu_seconds / max(stored, 1) * 1e6:.1f} us a record{kept}",
        flush=True,
    )


def profile(sink: Sink, source: Source) -> None:
    batches = [Batch([source.chunk()]) for _ in range(100)]
    profiler = cProfile.Profile()
    profiler.enable()
    for batch in batches:
        sink.write(batch)
    profiler.disable()
    sink.close()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(8)


@contextmanager
def server() -> Iterator[Postgres]:
    """PostgreSQL on the other core."""
    os.sched_setaffinity(0, {SERVER})
    postgres = Postgres(next(unused_ports()))
    os.sched_setaffinity(0, {OURS})
    try:
        yield postgres
    finally:
        postgres.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50_000, help="records per second (50,000)")
    parser.add_argument("--seconds", type=float, default=20, help="how long each is measured (20)")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    options = parser.parse_args()
    source = Source()
    print(f"records of {source.line_bytes} bytes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as directory, server() as postgres:
        measure(SqliteModel(), lambda: SqliteSink(Path(directory)), source, options)
        model = PostgresqlModel(url=postgres.url)
        measure(model, lambda: PostgresqlSink(model), source, options)


if __name__ == "__main__":
    main()

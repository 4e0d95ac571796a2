"""Stores that are killed while records stream into them and started again: nothing is lost, and where the
store can tell repetitions, nothing is there twice.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.ports import unused_ports
from gatewright.outgoing.posting import Destination
from gatewright.records.batch import Chunk
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings, RetrySettings, SpillSettings
from gatewright.records.sinks.http_sink import ANSWER_BYTES, HttpSink
from stores.http import STORES
from stores.mortal import MortalStore
from stores.sinks import ENCODERS

TELL_REPETITIONS = {"elasticsearch", "clickhouse"}
SENT = 2000
BATCH = 100


@pytest.fixture(params=list(STORES))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[MortalStore]:
    directory = tmp_path / "store"
    directory.mkdir()
    store = MortalStore(kind, next(unused_ports()), directory)
    yield store
    store.kill()


def lane_of(kind: str, store: MortalStore, directory: Path) -> Lane:
    encoder = ENCODERS[kind]()
    sink = HttpSink(kind, Destination(store.url + encoder.path, 5.0, ANSWER_BYTES), encoder)
    retry = RetrySettings(first=0.02, longest=0.1)
    return Lane(sink, LaneSettings(BATCH, batch_wait=0.01, retry=retry, spill=SpillSettings(directory)))


def offer(lane: Lane, numbers: range) -> None:
    """Chunks of 25 records."""
    for first in numbers[::25]:
        lines = [
            f'{{"timestamp":"2026-11-21T10:45:08.199Z","status":200,"number":{number}}}\n'
            for number in range(first, first + 25)
        ]
        lane.offer(Chunk("".join(lines).encode()))


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_store_that_is_killed_twice_gets_every_record(
    kind: str, store: MortalStore, tmp_path: Path
) -> None:
    store.start("stored:3")
    lane = lane_of(kind, store, tmp_path / "spill")
    offer(lane, range(SENT // 2))
    assert store.wait() == -9
    offer(lane, range(SENT // 2, SENT))
    until(lambda: lane.counts().failures > 2)
    store.start("received:2")
    assert store.wait() == -9
    store.start("never")
    until(lambda: lane.counts().stored == SENT)
    lane.close(5)
    counts, times = lane.counts(), Counter(store.numbers)
    assert (counts.stored, counts.dropped, counts.queued, counts.spilled) == (SENT, 0, 0, 0)
    assert set(times) == set(range(SENT))
    # Only the request that was in flight when it was killed after storing is there twice.
    repeated = sum(times.values()) - SENT
    assert repeated == 0 if kind in TELL_REPETITIONS else 0 < repeated <= BATCH
    assert store.wrong == []


def test_a_gateway_that_ends_while_the_store_is_dead_leaves_every_record_to_the_next(
    kind: str, store: MortalStore, tmp_path: Path
) -> None:
    store.start("stored:2")
    lane = lane_of(kind, store, tmp_path / "spill")
    offer(lane, range(SENT))
    assert store.wait() == -9
    until(lambda: lane.counts().failures > 0)
    lane.close(0.1)
    assert lane.counts().dropped == 0
    store.start("never")
    successor = lane_of(kind, store, tmp_path / "spill")
    until(lambda: set(store.numbers) == set(range(SENT)))
    successor.close(5)
    repeated = len(store.numbers) - SENT
    assert repeated == 0 if kind == "elasticsearch" else repeated <= BATCH

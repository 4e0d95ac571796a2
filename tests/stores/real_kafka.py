"""`make sinks-kafka`: the sink against a broker of Apache Kafka that is killed while records stream into it.
Nothing is lost and nothing is there twice while the spill lasts.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.ports import unused_ports
from gatewright.records.batch import Chunk
from gatewright.records.lane import Lane
from gatewright.records.settings import LaneSettings, RetrySettings, SpillSettings
from gatewright.records.sinks.kafka import KafkaSettings, KafkaSink
from stores.kafka import Broker, consumed, create_topic

JARS = Path(os.environ["GATEWRIGHT_STORES"]) / "kafka"
SENT = 40_000
TOPIC = "records"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    ports = unused_ports()
    broker = Broker(JARS, tmp_path, (next(ports), next(ports)))
    broker.start()
    broker.wait()
    yield broker
    broker.kill()


def lane_of(broker: Broker, directory: Path) -> Lane:
    sink = KafkaSink("kafka", KafkaSettings((broker.address,), TOPIC, key="request_id", timeout=1.0))
    retry = RetrySettings(first=0.05, longest=0.5)
    spill = SpillSettings(directory)
    return Lane(sink, LaneSettings(500, batch_wait=0.01, retry=retry, spill=spill))


def offer(lane: Lane, numbers: range) -> None:
    """Chunks of 50 records of 300 bytes."""
    for first in numbers[::50]:
        lines = [
            f'{{"timestamp":"2026-11-21T10:45:08.199Z","request_id":"{number}","x":"{"y" * 230}"}}\n'
            for number in range(first, first + 50)
        ]
        lane.offer(Chunk("".join(lines).encode()))


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stored_in(broker: Broker) -> Counter[int]:
    return Counter(int(message.key()) for message in consumed(broker.address, TOPIC))


def test_a_broker_that_is_killed_twice_has_every_record_once(broker: Broker, tmp_path: Path) -> None:
    create_topic(broker.address, TOPIC)
    lane = lane_of(broker, tmp_path / "spill")
    half = SENT // 2
    for first in (0, half):
        failures = lane.counts().failures
        offer(lane, range(first, first + half // 2))
        # In the middle of a stream: something is stored, something in flight, and something waits.
        until(lambda: lane.counts().stored > first)  # noqa: B023 - called at once.
        broker.kill()
        offer(lane, range(first + half // 2, first + half))
        until(lambda: lane.counts().failures > failures and lane.counts().spilled > 0)  # noqa: B023
        broker.start()
        broker.wait()
        until(lambda: lane.counts().stored == first + half)  # noqa: B023
    lane.close(10)
    counts, times = lane.counts(), stored_in(broker)
    print(f"sent {SENT}, stored {counts.stored}, failures {counts.failures}, in Kafka {sum(times.values())}")
    assert (counts.dropped, counts.queued, counts.spilled) == (0, 0, 0)
    assert set(times) == set(range(SENT))
    assert sum(times.values()) == SENT


def test_records_of_a_gateway_that_ended_reach_the_broker_from_the_spill(
    broker: Broker, tmp_path: Path
) -> None:
    create_topic(broker.address, TOPIC)
    lane = lane_of(broker, tmp_path / "spill")
    offer(lane, range(1000))
    until(lambda: lane.counts().stored == 1000)
    broker.kill()
    offer(lane, range(1000, 5000))
    until(lambda: lane.counts().failures > 0)
    lane.close(0.1)
    assert lane.counts().dropped == 0
    broker.start()
    broker.wait()
    successor = lane_of(broker, tmp_path / "spill")
    until(lambda: successor.counts().stored == 4000)
    successor.close(10)
    times = stored_in(broker)
    print(f"sent 5000, in Kafka {sum(times.values())}")
    assert set(times) == set(range(5000))
    # What was on its way to the broker when it died may be there: its answer never came.
    assert sum(times.values()) - 5000 <= 500


def test_the_topic_may_come_later(broker: Broker, tmp_path: Path) -> None:
    lane = lane_of(broker, tmp_path / "spill")
    offer(lane, range(1000))
    until(lambda: lane.counts().failures > 0)
    create_topic(broker.address, TOPIC)
    until(lambda: lane.counts().stored == 1000)
    lane.close(10)
    assert sum(stored_in(broker).values()) == 1000

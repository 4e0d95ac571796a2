"""The Kafka sink against the mock cluster of librdkafka; `make sinks-kafka` has a broker that is killed."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gatewright.records.batch import Batch, Chunk
from gatewright.records.sink import RejectedError, SinkError
from gatewright.records.sinks.kafka import KafkaSettings, KafkaSink
from stores.kafka import consumed, mock_cluster

RECORD = {
    "timestamp": "2026-11-21T10:45:08.199Z",
    "request_id": "demo-1",
    "route_id": "users",
    "client_ip": "192.0.2.1",
    "user_id": None,
    "partner_id": None,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with mock_cluster() as address:
        yield address


@pytest.fixture
def sinks(cluster: str) -> Iterator[Any]:
    """Makes sinks that are closed at the end."""
    made: list[KafkaSink] = []

    def make(topic: str, **settings: Any) -> KafkaSink:
        given: dict[str, Any] = {"brokers": (cluster,), "topic": topic} | settings
        made.append(KafkaSink("kafka", KafkaSettings(**given)))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def batch_of(*fields: dict[str, Any]) -> Batch:
    return Batch.of(b"".join(json.dumps(RECORD | one).encode() + b"\n" for one in fields))


def test_each_record_is_a_message_as_it_was(cluster: str, sinks: Any) -> None:
    batch = batch_of({"user_agent": "é"}, {}, {"status": 404})
    sinks("whole").write(batch)
    found = sorted(message.value() for message in consumed(cluster, "whole"))
    assert found == sorted(batch.lines.splitlines())


@pytest.mark.parametrize(
    ("key", "fields", "expected"),
    [
        ("caller", {"user_id": "u1", "partner_id": "p1"}, b"u1"),
        ("caller", {"partner_id": "p1"}, b"p1"),
        ("caller", {}, b"192.0.2.1"),
        ("route_id", {}, b"users"),
        ("request_id", {}, b"demo-1"),
        ("client_ip", {}, b"192.0.2.1"),
        ("tenant_id", {}, None),
        ("tenant_id", {"tenant_id": "t1"}, b"t1"),
        ("none", {}, None),
    ],
)
def test_the_key_is_the_field_that_is_configured(
    cluster: str, sinks: Any, key: str, fields: dict[str, Any], expected: bytes | None
) -> None:
    topic = f"key-{key}-{len(fields)}-{expected!r}".translate(str.maketrans("'", "."))
    sinks(topic, key=key).write(batch_of(fields))
    assert [message.key() for message in consumed(cluster, topic)] == [expected]


def test_equal_keys_keep_their_order(cluster: str, sinks: Any) -> None:
    sink = sinks("order", key="route_id")
    for first in range(0, 300, 100):
        sink.write(batch_of(*({"status": number} for number in range(first, first + 100))))
    messages = consumed(cluster, "order")
    assert [json.loads(message.value())["status"] for message in messages] == list(range(300))
    assert len({message.partition() for message in messages}) == 1


def test_a_record_has_the_same_id_when_it_is_sent_by_another_process(cluster: str, sinks: Any) -> None:
    batch = batch_of({}, {})
    sinks("ids").write(batch)
    sinks("ids").write(Batch([Chunk(chunk.lines, chunk.id) for chunk in batch.chunks]))
    ids = [dict(message.headers())["gatewright-id"] for message in consumed(cluster, "ids")]
    assert len(ids) == 4
    assert len(set(ids)) == 2


def test_a_record_that_is_too_large_is_rejected_and_the_others_stored(cluster: str, sinks: Any) -> None:
    with pytest.raises(RejectedError, match="too large") as caught:
        sinks("large", max_message=2000).write(batch_of({}, {"path": "x" * 3000}, {}))
    assert caught.value.records == 1
    assert len(consumed(cluster, "large")) == 2


def test_a_batch_that_is_larger_than_the_buffer_is_handed_over_in_parts(cluster: str, sinks: Any) -> None:
    batch = batch_of(*({"path": "x" * 1000, "status": number} for number in range(5000)))
    assert batch.size > 4 << 20
    sinks("parts", buffer=1 << 20, timeout=60.0).write(batch)
    assert len(consumed(cluster, "parts")) == 5000


def test_a_broker_that_is_not_there_is_an_error_within_the_timeout(sinks: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sink, batch = sinks("absent", brokers=(f"127.0.0.1:{port}",), timeout=0.3), batch_of({}, {})
    for _ in range(2):
        with pytest.raises(SinkError, match="2 messages are not acknowledged"):
            sink.write(batch)


def test_a_batch_that_was_given_up_is_not_sent_later(sinks: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sink = sinks("given-up", brokers=(f"127.0.0.1:{port}",), timeout=0.2)
    with pytest.raises(SinkError):
        sink.write(batch_of({}, {}, {}))
    with pytest.raises(SinkError, match="1 messages"):
        sink.write(batch_of({}))
    assert len(sink._producer) == 1


def test_settings_that_the_client_refuses_are_an_error(sinks: Any) -> None:
    sink = sinks("refused", options={"ssl.ca.location": "/nowhere.pem", "security.protocol": "SSL"})
    with pytest.raises(SinkError, match="does not start"):
        sink.write(batch_of({}))

"""Kafka for tests: the mock cluster of librdkafka in a process of its own, and a broker of Apache Kafka in
KRaft mode that can be killed.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOCK = """
import sys
from confluent_kafka import Producer
mock = Producer({"test.mock.num.brokers": "1"})
[broker] = mock.list_topics(timeout=10).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
"""
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={directory}/logs
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""
START_SECONDS = 120.0


@contextmanager
def mock_cluster() -> Iterator[str]:
    """The address of a cluster of one broker that keeps messages in memory."""
    process = subprocess.Popen(
        [sys.executable, "-c", MOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class Broker:
    """A broker of Apache Kafka whose jars are in `jars`; it keeps its log when it is killed."""

    def __init__(self, jars: Path, directory: Path, ports: tuple[int, int]) -> None:
        self.address = f"127.0.0.1:{ports[0]}"
        self._java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        self._properties = directory / "server.properties"
        self._properties.write_text(
            PROPERTIES.format(broker=ports[0], controller=ports[1], directory=directory)
        )
        self._output = directory / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "-t", name, "-c", str(self._properties)]
        subprocess.run([*self._java, *tool], check=True, capture_output=True, timeout=START_SECONDS)

    def start(self) -> None:
        with self._output.open("ab") as output:
            command = [*self._java, "kafka.Kafka", str(self._properties)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed and nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def wait(self) -> None:
        """Until it answers."""
        from confluent_kafka import KafkaException, Producer

        asking = Producer({"bootstrap.servers": self.address, "log_level": 0})
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                asking.list_topics(timeout=1)
            except KafkaException:
                assert time.monotonic() < deadline, self._output.read_text()[-2000:]
            else:
                return


def create_topic(address: str, topic: str, **settings: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    # Held by a name: what it was asked is given up where it is gone.
    client = AdminClient({"bootstrap.servers": address})
    made = client.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1, config=settings)])
    made[topic].result(30)


def consumed(address: str, topic: str) -> list[Any]:
    """Every message of a topic, up to its end now, in the order of its partition."""
    from confluent_kafka import Consumer, TopicPartition

    settings = {"group.id": "test", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    consumer = Consumer({"bootstrap.servers": address, **settings})
    try:
        places = [
            TopicPartition(topic, partition, 0)
            for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        left = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
        consumer.assign(places)
        found: list[Any] = []
        while len(found) < left:
            message = consumer.poll(10)
            assert message is not None, f"{len(found)} messages of {left}"
            assert message.error() is None, message.error()
            found.append(message)
        return sorted(found, key=lambda message: (message.partition(), message.offset()))
    finally:
        consumer.close()

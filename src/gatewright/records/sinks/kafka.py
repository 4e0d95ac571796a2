"""Records for Kafka: a message each, keyed, by an idempotent producer. The client is an extra.

A batch is stored when the brokers have acknowledged every message of it. While they cannot, its messages stay
with the client, which sends them in order and once; trying the batch again waits for them instead of sending
them a second time.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec

from gatewright.records.batch import Batch, decoded
from gatewright.records.sink import RejectedError, SinkError

log = logging.getLogger("gatewright.records.sinks.kafka")

Key = Literal["caller", "route_id", "request_id", "client_ip", "tenant_id", "none"]
ID = "gatewright-id"
POLL_SECONDS = 0.1
MEBIBYTE = 1 << 20
# By the names that librdkafka gives them.
TOO_LARGE = "MSG_SIZE_TOO_LARGE"
FINAL = frozenset({"INVALID_RECORD", "INVALID_TIMESTAMP"})
# Its other messages come several times a second while a broker is gone; what matters of them is in the error
# of the sink.
CRITICAL = 2


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where messages go. `options` are those of librdkafka about TLS and the login; times are in seconds."""

    brokers: tuple[str, ...]
    topic: str
    key: Key = "caller"
    compression: str = "zstd"
    timeout: float = 5.0
    buffer: int = 64 * MEBIBYTE
    max_message: int = MEBIBYTE
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


class Fields(msgspec.Struct):
    """What of a record may be its key."""

    request_id: str | None = None
    route_id: str | None = None
    client_ip: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    partner_id: str | None = None

    @property
    def caller(self) -> str | None:
        """Who called; by the address where nobody is known."""
        return self.user_id or self.partner_id or self.client_ip

    @property
    def none(self) -> None:
        """Without a key, messages spread over the partitions."""


FIELDS = msgspec.json.Decoder(Fields)


class Outgoing(NamedTuple):
    """A message; `name` is the same each time the record is sent, also by another process."""

    key: str | None
    value: bytes
    name: str


class Delivery:
    """What became of the messages of a batch. Reports of one that was given up change nothing else."""

    def __init__(self, batch: Batch, key: Key) -> None:
        self.batch = batch
        self.messages = list(outgoing(batch, key))
        # Places of those that have to be handed to the client, that it has, and that failed since.
        self.left = deque(range(len(self.messages)))
        self.in_flight: set[int] = set()
        self.failed: list[int] = []
        self.rejected = 0
        self.error = ""

    def report(self, place: int, error: Any, _message: object) -> None:
        """The client is done with a message."""
        self.in_flight.discard(place)
        if error is not None:
            self.error = error.str()
            if error.name() in FINAL:
                self.rejected += 1
            else:
                self.failed.append(place)

    def refused(self, error: str) -> None:
        """The client does not take the first message that is left."""
        self.left.popleft()
        self.rejected += 1
        self.error = error


class KafkaSink:
    """Produces each record as a message. Used by one thread; connects at the first batch."""

    def __init__(self, name: str, settings: KafkaSettings) -> None:
        self.name = name
        self._settings = settings
        self._producer: Any = None
        self._delivery: Delivery | None = None
        # What the client last said of its connections, and whether it can go on.
        self._trouble = ""
        self._is_broken = False

    def write(self, batch: Batch) -> None:
        """Store a batch, or wait on for what earlier attempts left in flight."""
        deadline = time.monotonic() + self._settings.timeout
        delivery = self._delivery_of(batch)
        if self._producer is None:
            self._producer = self._connected()
        while (delivery.left or delivery.in_flight) and not self._is_broken:
            self._hand_over(delivery)
            self._producer.poll(POLL_SECONDS)
            if time.monotonic() >= deadline:
                break
        self._conclude(delivery)

    def reopen(self) -> None:
        """There is no file; nothing to do."""

    def close(self) -> None:
        """Nothing is sent after this, so that what is not acknowledged may be spilled."""
        self._disconnect()
        self._delivery = None

    def _disconnect(self) -> None:
        producer, self._producer, self._is_broken = self._producer, None, False
        if producer is not None:
            producer.purge()
            # Serves the reports of what was purged.
            producer.flush(POLL_SECONDS)

    def _delivery_of(self, batch: Batch) -> Delivery:
        delivery = self._delivery
        if delivery is not None and delivery.batch is batch:
            return delivery
        if delivery is not None and self._producer is not None:
            # It was given up: what did not leave is not to arrive later.
            self._producer.purge(in_flight=False)
        self._delivery = Delivery(batch, self._settings.key)
        return self._delivery

    def _hand_over(self, delivery: Delivery) -> None:
        """Give the client what it has room for."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - an extra.

        produce, topic = self._producer.produce, self._settings.topic
        while delivery.left:
            place = delivery.left[0]
            key, value, name = delivery.messages[place]
            report = partial(delivery.report, place)
            try:
                produce(topic, value, key, headers=[(ID, name)], on_delivery=report)
            except BufferError:
                return
            except KafkaException as error:
                if error.args[0].name() != TOO_LARGE:
                    raise SinkError(f"the client takes no message: {error.args[0].str()}") from error
                delivery.refused(error.args[0].str())
                continue
            delivery.left.popleft()
            delivery.in_flight.add(place)

    def _conclude(self, delivery: Delivery) -> None:
        """Raise unless every message is acknowledged."""
        trouble = self._trouble or "no answer in time"
        if self._is_broken:
            # Whether those in flight arrived will never be known. A new client sends them again.
            self._disconnect()
            delivery.failed.extend(delivery.in_flight)
            delivery.in_flight.clear()
        waiting = len(delivery.left) + len(delivery.failed) + len(delivery.in_flight)
        if waiting:
            why = delivery.error if delivery.failed and delivery.error else trouble
            delivery.left.extend(sorted(delivery.failed))
            delivery.failed.clear()
            raise SinkError(f"{waiting} messages are not acknowledged: {why}")
        self._delivery = None
        if delivery.rejected:
            raise RejectedError(delivery.error, delivery.rejected)

    def _connected(self) -> Any:
        try:
            from confluent_kafka import KafkaException, Producer  # noqa: PLC0415 - an extra.
        except ImportError as error:
            raise SinkError("Kafka needs its client: `pip install 'gatewright[kafka]'`") from error
        try:
            return Producer(options(self._settings), error_cb=self._heard, logger=log)
        except (KafkaException, ValueError, TypeError) as error:
            raise SinkError(f"the client does not start: {error}") from error

    def _heard(self, error: Any) -> None:
        """The client says that something is wrong; it goes on by itself unless that is fatal."""
        self._trouble = error.str()
        self._is_broken = self._is_broken or error.fatal()


def outgoing(batch: Batch, key: Key) -> Iterator[Outgoing]:
    for chunk in batch.chunks:
        name = chunk.id.hex()
        for place, (fields, line) in enumerate(decoded(chunk.lines, FIELDS)):
            yield Outgoing(getattr(fields, key), line, f"{name}-{place}")


def options(settings: KafkaSettings) -> dict[str, Any]:
    """The configuration of librdkafka: idempotent, so in order, once, and acknowledged by all replicas."""
    return {
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": "gatewright",
        "enable.idempotence": True,
        "acks": "all",
        # Never given up by the client: only what is not acknowledged is spilled, and only this sink knows it.
        "message.timeout.ms": 0,
        "compression.type": settings.compression,
        # Equal keys go where the clients in Java put them.
        "partitioner": "murmur2_random",
        "queue.buffering.max.kbytes": max(settings.buffer // 1024, 1),
        "message.max.bytes": settings.max_message,
        "log_level": CRITICAL,
        **settings.options,
    }

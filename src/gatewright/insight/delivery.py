"""Telling people of alerts. Each channel has a queue and a task of its own: a dead one delays nothing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from gatewright.errors import GatewrightError
from gatewright.insight.states import Message
from gatewright.outgoing import posting
from gatewright.tasks import end

log = logging.getLogger("gatewright.insight")

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
Document = dict[str, Any]


class DeliveryError(GatewrightError):
    """A channel did not take a message; it is tried again."""


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel. Seconds. No severities stand for all."""

    name: str
    kind: str
    urls: tuple[str, ...] = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    severities: frozenset[str] = frozenset()
    resolved: bool = True
    timeout: float = 5.0
    attempts: int = 5

    def wants(self, message: Message) -> bool:
        if self.severities and message.alert.severity not in self.severities:
            return False
        return self.resolved or message.happening == "firing"


class Channel(Protocol):
    """Where alerts are told."""

    async def tell(self, document: Document) -> None:
        """Raises `DeliveryError`."""
        ...

    async def close(self) -> None: ...


def document_of(message: Message, node: str) -> Document:
    """What is told of an alert, as JSON. The same alert has the same `key` each time."""
    alert = message.alert
    moment = {"began_at": alert.began_at, "fired_at": alert.fired_at, "resolved_at": alert.resolved_at}
    return {
        "status": message.happening,
        "repeated": message.is_repeated,
        "key": f"{node}/{alert.name}/{alert.subject}",
        "alert": alert.name,
        "subject": alert.subject,
        "severity": alert.severity,
        "text": alert.text,
        "value": alert.value,
        "threshold": alert.threshold,
        "node": node,
        "fields": alert.fields,
        **{
            name: None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
            for name, at in moment.items()
        },
    }


class Webhook:
    """Posts JSON, signed where there is a secret."""

    def __init__(self, settings: ChannelSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        # Only the status of an answer matters, so that nobody waits for its body.
        self._poster = posting.Poster(posting.Destination(settings.urls[0], settings.timeout, answer_bytes=0))

    async def tell(self, document: Document) -> None:
        body = json.dumps(document).encode()
        headers = {"content-type": "application/json"}
        if self._settings.secret is not None:
            headers["x-gatewright-signature"] = signature(self._settings.secret, body, int(self._clock()))
        try:
            answer = await self._poster.post(posting.Message(body, headers))
        except posting.NoAnswerError as error:
            raise DeliveryError(str(error)) from error
        if not answer.is_success:
            raise DeliveryError(f"status {answer.status}")

    async def close(self) -> None:
        await self._poster.close()


def signature(secret: str, body: bytes, seconds: int) -> str:
    """`t=SECONDS,v1=HEX`: with the moment, so that whoever has one cannot send it again much later."""
    told = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={told}"


class Apprise:
    """Any service that Apprise knows."""

    def __init__(self, settings: ChannelSettings) -> None:
        import apprise  # noqa: PLC0415 - an extra.

        self._settings = settings
        self._senders: Any = apprise.Apprise()
        wrong = [number for number, url in enumerate(settings.urls) if not self._senders.add(url)]
        if wrong:
            raise DeliveryError(
                f"address {wrong[0] + 1} of channel `{settings.name}` is none that Apprise knows"
            )

    async def tell(self, document: Document) -> None:
        title = f"[{document['severity']}] {document['alert']} {document['status']}"
        told = f"{document['text']}\n{document['subject']}: {document['value']:g}\nnode {document['node']}"
        kind = "success" if document["status"] == "resolved" else "failure"
        try:
            async with asyncio.timeout(self._settings.timeout):
                was_taken = await self._senders.async_notify(body=told, title=title, notify_type=kind)
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {self._settings.timeout:g} s") from error
        if not was_taken:
            raise DeliveryError("Apprise could not deliver it")

    async def close(self) -> None:
        """Nothing is held."""


class Outbox:
    """One channel with its queue and its task."""

    def __init__(self, settings: ChannelSettings, channel: Channel, queue: int) -> None:
        self.settings = settings
        self._channel = channel
        self._queue: deque[Document] = deque()
        self._most = queue
        self._has_some = asyncio.Event()
        self.delivered = self.failed = self.dropped = 0
        self.error: str | None = None
        self._task = asyncio.create_task(self._run(), name=f"alerts to {settings.name}")

    @property
    def queued(self) -> int:
        return len(self._queue)

    def offer(self, document: Document) -> None:
        """Never waits: the oldest are dropped and counted when the queue is full."""
        while len(self._queue) >= self._most:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(document)
        self._has_some.set()

    async def close(self) -> None:
        """What is queued is not told any more."""
        await end(self._task)
        await self._channel.close()

    async def _run(self) -> None:
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            while self._queue:
                await self._deliver(self._queue.popleft())

    async def _deliver(self, document: Document) -> None:
        wait = FIRST_RETRY_SECONDS
        for attempt in range(1, self.settings.attempts + 1):
            try:
                await self._channel.tell(document)
            except Exception as error:
                # Libraries of senders raise what they like; none of it may end the telling.
                self._failed(error)
            else:
                self.delivered, self.error = self.delivered + 1, None
                return
            if attempt < self.settings.attempts:
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_RETRY_SECONDS)
        self.failed += 1

    def _failed(self, error: Exception) -> None:
        told = str(error) if isinstance(error, DeliveryError) else type(error).__name__
        if self.error is None:
            log.error("an alert cannot be told", extra={"channel": self.settings.name, "error": told})
        self.error = told

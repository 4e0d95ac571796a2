"""Telling people: tried again, bounded, signed, and nobody waits for a channel that is dead."""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway import until
from gateway.listening import Listening
from gatewright.insight import delivery
from gatewright.insight.delivery import (
    Apprise,
    ChannelSettings,
    DeliveryError,
    Outbox,
    Webhook,
    document_of,
    signature,
)
from gatewright.insight.states import Alert, Message

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY_SECONDS", 0.01)


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def message(happening: Any = "firing", severity: str = "high") -> Message:
    alert = Alert("error_rate", "gateway", severity, "many requests fail", 0.5, 0.05, 1e9, 1e9)
    return Message(happening, alert, 1e9)


def outbox(opened: AsyncExitStack, settings: ChannelSettings, queue: int = 10) -> Outbox:
    made = Outbox(settings, Webhook(settings, lambda: 1e9), queue)
    opened.push_async_callback(made.close)
    return made


async def test_what_was_not_taken_is_tried_again_and_then_given_up(opened: AsyncExitStack) -> None:
    with Listening(500, 404, 307) as listening:
        settings = ChannelSettings("ops", "webhook", (listening.url,), attempts=2)
        box = outbox(opened, settings)
        for _ in range(2):
            box.offer(document_of(message(), "node-1"))
        await until(lambda: box.delivered + box.failed == 2)
        assert (box.delivered, box.failed) == (1, 1)
        # Whoever redirects is not followed: the third was the first attempt at the second message.
        assert len(listening.bodies) == 4
        told = listening.told.get(timeout=30)
        assert (told["alert"], told["status"], told["node"]) == ("error_rate", "firing", "node-1")
        assert told["key"] == "node-1/error_rate/gateway"


async def test_a_channel_that_hangs_keeps_the_newest_and_delays_nobody(opened: AsyncExitStack) -> None:
    with Listening() as listening, Listening() as other:
        listening.held.clear()
        stuck = outbox(opened, ChannelSettings("stuck", "webhook", (listening.url,), timeout=30.0), queue=3)
        well = outbox(opened, ChannelSettings("well", "webhook", (other.url,)))
        for _ in range(10):
            stuck.offer(document_of(message(), "n"))
        await until(lambda: stuck.queued <= 3)
        well.offer(document_of(message(), "n"))
        await until(lambda: well.delivered == 1)
        assert stuck.dropped >= 6
        assert stuck.delivered == 0


async def test_a_deadline_ends_an_attempt(opened: AsyncExitStack) -> None:
    with Listening() as listening:
        listening.held.clear()
        settings = ChannelSettings("ops", "webhook", (listening.url,), timeout=0.05, attempts=1)
        box = outbox(opened, settings)
        box.offer(document_of(message(), "n"))
        await until(lambda: box.failed == 1)
        assert box.error == "no answer within 0.05 s"


def test_a_channel_wants_what_it_was_told() -> None:
    one = ChannelSettings("a", "webhook", (), severities=frozenset({"critical"}), resolved=False)
    assert not one.wants(message())
    assert one.wants(message(severity="critical"))
    assert not one.wants(message("resolved", "critical"))
    assert ChannelSettings("b", "webhook", ()).wants(message("resolved", "low"))


def test_a_signature_covers_moment_and_body() -> None:
    first = signature("secret", b"body", 1)
    assert first.startswith("t=1,v1=")
    others = {signature("secret", b"body", 2), signature("secret", b"bodx", 1), signature("x", b"body", 1)}
    assert len(others | {first}) == 4


def test_no_secret_is_in_what_is_printed_of_a_channel() -> None:
    shown = repr(ChannelSettings("a", "webhook", ("https://user:pass@host/",), "a secret"))
    assert "pass" not in shown
    assert "a secret" not in shown


needs_apprise = pytest.mark.skipif(importlib.util.find_spec("apprise") is None, reason="needs apprise")
# Of a module that it imports.
old = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@old
@needs_apprise
async def test_apprise_tells_services_that_it_knows() -> None:
    with Listening() as listening:
        url = listening.url.replace("http://", "json://")
        channel = Apprise(ChannelSettings("chat", "apprise", (url,), timeout=10.0))
        await channel.tell(document_of(message(), "node-1"))
        told = listening.told.get(timeout=30)
        assert told["title"] == "[high] error_rate firing"
        assert "many requests fail" in told["message"]


@old
@needs_apprise
async def test_apprise_says_when_it_could_not_deliver_and_which_address_it_does_not_know() -> None:
    with Listening(500) as listening:
        url = listening.url.replace("http://", "json://")
        channel = Apprise(ChannelSettings("chat", "apprise", (url,), timeout=10.0))
        with pytest.raises(DeliveryError, match="could not deliver"):
            await channel.tell(document_of(message(), "n"))
    with pytest.raises(DeliveryError, match="address 1 of channel `chat`"):
        Apprise(ChannelSettings("chat", "apprise", ("nothing",)))

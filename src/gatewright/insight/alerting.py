"""Alerting of one node: counts what comes, evaluates the rules off the path, tells who has to know.

One task in the node's loop; what takes long runs in a thread. Nothing here is on a request's path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.insight.delivery import (
    Apprise,
    Channel,
    ChannelSettings,
    DeliveryError,
    Outbox,
    Webhook,
    document_of,
)
from gatewright.insight.events import Events
from gatewright.insight.objectives import Budget, Goal
from gatewright.insight.reading import Finding, burns, findings
from gatewright.insight.samples import Samples, read_page
from gatewright.insight.shipped import SHIPPED, Rule
from gatewright.insight.silences import Silences
from gatewright.insight.states import Alert, Message, States
from gatewright.insight.traffic import Traffic

log = logging.getLogger("gatewright.insight")

EVENT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What is watched and who is told. Seconds."""

    enabled: bool = True
    # Whether requests are counted for it; there is nobody to tell otherwise.
    counts_requests: bool = True
    interval: float = 10.0
    rules: tuple[Rule, ...] = tuple(SHIPPED.values())
    goals: tuple[Goal, ...] = ()
    channels: tuple[ChannelSettings, ...] = ()
    repeat: float = 14_400.0
    resolve_after: float = 60.0
    queue: int = 1000
    most: int = 100
    node: str = "gateway"


@dataclass(frozen=True, slots=True)
class Sources:
    """What an evaluation asks for, in its thread: the metrics page, that what was counted of requests is
    handed out, and that objectives get what was counted before (`False`: ask again later).
    """

    page: Callable[[], str]
    take_counts: Callable[[], None]
    fill: Callable[[Sequence[Budget], float], bool]


@dataclass(slots=True)
class Progress:
    """How evaluating goes."""

    evaluated_at: float | None = None
    failures: int = 0
    put_off: int = 0
    """Evaluations that could not look yet for what objectives counted before."""
    told: list[Message] = field(default_factory=list)


class Alerting:
    """Belongs to one event loop; `traffic` is told what was counted of requests. `silences` is their file."""

    def __init__(self, silences: Path, sources: Sources, clock: Callable[[], float] = time.time) -> None:
        self.settings = AlertSettings(enabled=False)
        self.traffic = Traffic(clock=clock)
        self.silences = Silences(silences, clock)
        self.states = States()
        self.events = Events()
        self.outboxes: dict[str, Outbox] = {}
        self.progress = Progress()
        self._sources = sources
        self._clock = clock
        self._samples = Samples()
        self._changed = asyncio.Event()

    async def use(self, settings: AlertSettings) -> None:
        """Watch this from now on; alerts of rules that are no more are forgotten, channels made anew where
        they differ.
        """
        if settings == self.settings:
            return
        before, self.settings = self.settings, settings
        if settings.enabled != before.enabled:
            # When it begins, too: an evaluation that was under way at the end may have filled them since.
            self.traffic.budgets.pause()
        if settings.enabled and not before.enabled:
            await asyncio.to_thread(self.silences.load)
            self.events.attach()
        self.traffic.slot_seconds = settings.interval
        self.traffic.budgets.use(settings.goals)
        self.states.resolve_after, self.states.repeat = settings.resolve_after, settings.repeat
        self.states.most = settings.most
        await self._use_channels(settings.channels)
        self._changed.set()

    async def run(self) -> None:
        """Evaluate for ever."""
        while True:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.interval):
                    await self._changed.wait()
            if self.settings.enabled:
                await self.evaluate()

    async def evaluate(self) -> None:
        """Evaluate once, and tell what came of it."""
        try:
            now, found = await asyncio.to_thread(self._read)
        except Exception:
            # A rule that cannot be evaluated must not end the watching.
            self.progress.failures += 1
            log.exception("alerts cannot be evaluated")
            return
        messages = list(self.states.update(found, now))
        for alert in self.events.taken(now):
            messages += self.states.happened(alert, now)
        messages += self.states.end_events(EVENT_SECONDS, now)
        self.progress.evaluated_at = now
        for message in messages:
            self.tell(message)

    def tell(self, message: Message) -> None:
        """Log it, and give it to every channel that wants it, unless it is silenced."""
        alert = message.alert
        told = {
            "rule": alert.name,
            "subject": alert.subject,
            "severity": alert.severity,
            "value": alert.value,
        }
        log.warning("alert %s: %s", message.happening, alert.text, extra=told)
        if self.silences.is_silent(alert.name, alert.subject):
            return
        document = document_of(message, self.settings.node)
        for outbox in self.outboxes.values():
            if outbox.settings.wants(message):
                outbox.offer(document)

    def test(self) -> int:
        """Tell every channel of an alert that is none; give how many there are."""
        now = self._clock()
        alert = Alert("test", "gateway", "low", "this is a test of the channel", 0.0, 0.0, now, now)
        document = document_of(Message("firing", alert, now), self.settings.node)
        for outbox in self.outboxes.values():
            outbox.offer(document)
        return len(self.outboxes)

    async def close(self) -> None:
        """End."""
        self.events.detach()
        await self._use_channels(())

    def _read(self) -> tuple[float, list[Finding]]:
        """What all rules say, and at what moment."""
        self._sources.take_counts()
        self._fill()
        now = self._clock()
        self._samples.add(now, read_page(self._sources.page()))
        found = [
            one for rule in self.settings.rules for one in findings(rule, self.traffic, self._samples, now)
        ]
        return now, [*found, *burns(self.traffic.budgets.all(), now)]

    def _fill(self) -> None:
        """Let objectives that are new count on from what was before."""
        new = [budget for budget in self.traffic.budgets.all() if not budget.is_filled]
        if not new:
            return
        try:
            if not self._sources.fill(new, self._clock()):
                self.progress.put_off += 1
                return
        except Exception:
            log.exception("what objectives counted before cannot be read; they count from now on")
            for budget in new:
                budget.missed = [(0, self._clock())]
        for budget in new:
            budget.is_filled = True

    async def _use_channels(self, wanted: Iterable[ChannelSettings]) -> None:
        named = {one.name: one for one in wanted}
        for name, outbox in list(self.outboxes.items()):
            if named.get(name) != outbox.settings:
                del self.outboxes[name]
                await outbox.close()
        for name, settings in named.items():
            if name in self.outboxes:
                continue
            # A library of senders takes its time to be imported.
            channel = await asyncio.to_thread(self._channel, settings)
            if channel is not None:
                self.outboxes[name] = Outbox(settings, channel, self.settings.queue)

    def _channel(self, settings: ChannelSettings) -> Channel | None:
        try:
            return Webhook(settings, self._clock) if settings.kind == "webhook" else Apprise(settings)
        except (ImportError, DeliveryError) as error:
            extra = {"channel": settings.name, "error": str(error)}
            log.error("a channel of alerts cannot be used", extra=extra)
            return None

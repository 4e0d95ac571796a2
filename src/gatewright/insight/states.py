"""What became of each alert: pending, firing, resolved. Time is told, and nothing waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from gatewright.insight.reading import Finding

Happening = Literal["firing", "resolved"]
MOST_RESOLVED = 200


@dataclass(slots=True)
class Alert:
    """One subject of one rule, from when it was first beyond the bound."""

    name: str
    subject: str
    severity: str
    text: str
    value: float
    threshold: float
    began_at: float
    fired_at: float | None = None
    well_since: float | None = None
    told_at: float | None = None
    resolved_at: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        if self.resolved_at is not None:
            return "resolved"
        return "pending" if self.fired_at is None else "firing"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of an alert."""

    happening: Happening
    alert: Alert
    at: float
    is_repeated: bool = False


class States:
    """Every alert that is pending or fires, and the last ones that are over."""

    def __init__(self, resolve_after: float = 60.0, repeat: float = 14_400.0, most: int = 100) -> None:
        self.resolve_after, self.repeat, self.most = resolve_after, repeat, most
        self.alerts: dict[tuple[str, str], Alert] = {}
        self.resolved: list[Alert] = []
        self.left_out = 0

    def update(self, found: Iterable[Finding], now: float) -> Iterator[Message]:
        """Take note of what rules say now. One that says nothing of a subject any more finds it well."""
        seen = set()
        for finding in found:
            key = (finding.rule.name, finding.subject)
            seen.add(key)
            alert = self.alerts.get(key)
            if alert is None and finding.is_beyond:
                alert = self._begin(finding, now)
            if alert is not None:
                yield from self._follow(alert, finding, now)
        for key, alert in list(self.alerts.items()):
            if key not in seen and not alert.fields:
                yield from self._well(alert, now)

    def happened(self, alert: Alert, now: float) -> Iterator[Message]:
        """An event that is an alert by itself: it fires at once, and is over when it comes no more."""
        known = self.alerts.get((alert.name, alert.subject))
        if known is not None:
            known.value += 1
            known.well_since = None
            known.began_at = now
            return
        if self._has_room(alert.name):
            self.alerts[alert.name, alert.subject] = alert
            yield self._fire(alert, now)

    def end_events(self, hold: float, now: float) -> Iterator[Message]:
        """End alerts that were events and did not come again for so long."""
        for alert in list(self.alerts.values()):
            if alert.fields and now - alert.began_at >= hold:
                yield from self._resolve(alert, now)
            elif alert.fields:
                yield from self._again(alert, now)

    def counts(self) -> Counter[tuple[str, str]]:
        """How many alerts fire, by name and severity."""
        return Counter((one.name, one.severity) for one in self.alerts.values() if one.fired_at is not None)

    def _has_room(self, name: str) -> bool:
        has_room = sum(key[0] == name for key in self.alerts) < self.most
        self.left_out += not has_room
        return has_room

    def _begin(self, finding: Finding, now: float) -> Alert | None:
        rule = finding.rule
        if not self._has_room(rule.name):
            return None
        alert = Alert(
            rule.name, finding.subject, rule.severity, rule.text, finding.value, rule.threshold, now
        )
        self.alerts[rule.name, finding.subject] = alert
        return alert

    def _follow(self, alert: Alert, finding: Finding, now: float) -> Iterator[Message]:
        alert.value = finding.value
        if finding.is_beyond:
            alert.well_since = None
            if alert.fired_at is not None:
                yield from self._again(alert, now)
            elif now - alert.began_at >= finding.rule.lasts:
                yield self._fire(alert, now)
        elif alert.fired_at is None:
            # Not for long enough to be an alert.
            del self.alerts[alert.name, alert.subject]
        elif finding.is_well:
            yield from self._well(alert, now)
        else:
            alert.well_since = None
            yield from self._again(alert, now)

    def _well(self, alert: Alert, now: float) -> Iterator[Message]:
        if alert.fired_at is None:
            del self.alerts[alert.name, alert.subject]
            return
        if alert.well_since is None:
            alert.well_since = now
        if now - alert.well_since >= self.resolve_after:
            yield from self._resolve(alert, now)

    def _fire(self, alert: Alert, now: float) -> Message:
        alert.fired_at = alert.told_at = now
        return Message("firing", alert, now)

    def _again(self, alert: Alert, now: float) -> Iterator[Message]:
        if alert.told_at is not None and now - alert.told_at >= self.repeat:
            alert.told_at = now
            yield Message("firing", alert, now, is_repeated=True)

    def _resolve(self, alert: Alert, now: float) -> Iterator[Message]:
        del self.alerts[alert.name, alert.subject]
        alert.resolved_at = now
        self.resolved = [*self.resolved[-MOST_RESOLVED + 1 :], alert]
        yield Message("resolved", alert, now)

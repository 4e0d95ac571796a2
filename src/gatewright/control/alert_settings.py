"""From a configuration to what alerting watches, and whom it tells."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

from gatewright.config.models import AlertRule, AppriseChannel, Gateway, Objective, WebhookChannel
from gatewright.insight.alerting import AlertSettings
from gatewright.insight.delivery import ChannelSettings
from gatewright.insight.objectives import Goal
from gatewright.insight.reading import with_changes
from gatewright.insight.shipped import SHIPPED, Rule


def alert_settings(gateway: Gateway) -> AlertSettings:
    """What the live configuration says of alerts."""
    alerts = gateway.alerts
    changed = {rule.name: rule_of(rule) for rule in alerts.rules}
    return AlertSettings(
        enabled=alerts.enabled,
        counts_requests=gateway.watches_requests,
        interval=alerts.interval / 1000,
        rules=tuple(with_changes(SHIPPED, changed, frozenset(alerts.off))),
        goals=tuple(goal_of(objective) for objective in gateway.objectives),
        channels=tuple(channel_of(channel) for channel in alerts.channels),
        repeat=alerts.repeat / 1000,
        resolve_after=alerts.resolve_after / 1000,
        queue=alerts.queue,
        most=alerts.max_firing,
        node=gateway.node.name or socket.gethostname(),
    )


def rule_of(written: AlertRule) -> Rule:
    """A rule of the configuration; what it leaves out is as in the shipped one of its name."""
    shipped = SHIPPED.get(written.name)
    base = shipped or Rule(written.name, "high", f"rule `{written.name}` of the configuration")
    given: dict[str, Any] = {
        "watch": written.watch,
        "test": written.test,
        "threshold": written.threshold,
        "percentile": written.percentile,
        "window": None if written.window is None else written.window / 1000,
        "minimum": written.minimum,
        "lasts": None if written.lasts is None else written.lasts / 1000,
        "by": written.by,
        "severity": written.severity,
    }
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def goal_of(objective: Objective) -> Goal:
    return Goal(
        objective.name,
        objective.kind,
        objective.target,
        None if objective.threshold is None else float(objective.threshold),
        objective.of,
        frozenset(objective.routes),
        frozenset(objective.services),
        objective.window / 1000,
    )


def channel_of(channel: WebhookChannel | AppriseChannel) -> ChannelSettings:
    is_webhook = isinstance(channel, WebhookChannel)
    return ChannelSettings(
        channel.name,
        channel.kind,
        (channel.url,) if is_webhook else tuple(channel.urls),
        channel.secret if is_webhook else None,
        frozenset(channel.severities),
        channel.resolved,
        channel.timeout / 1000,
        channel.attempts,
    )

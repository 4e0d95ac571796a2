"""Metrics of alerts and objectives."""

from __future__ import annotations

import time
from collections import Counter

from gatewright.control.node import Node
from gatewright.insight.alerting import Alerting
from gatewright.metrics.family import Family, Sample, counter, gauge


def alert_metrics(node: Node) -> list[Family]:
    alerting = node.alerting
    counts = Counter({(one.name, one.severity): 0 for one in alerting.settings.rules})
    counts.update(alerting.states.counts())
    firing: list[Sample] = [
        ({"alert": name, "severity": severity}, n) for (name, severity), n in counts.items()
    ]
    outboxes = alerting.outboxes.values()
    outcomes: list[Sample] = [
        ({"channel": one.settings.name, "outcome": outcome}, count)
        for one in outboxes
        for outcome, count in (("delivered", one.delivered), ("failed", one.failed), ("dropped", one.dropped))
    ]
    queued: list[Sample] = [({"channel": one.settings.name}, one.queued) for one in outboxes]
    return [
        gauge("gateway_alerts_firing", "Alerts that fire now.", firing),
        counter(
            "gateway_alert_messages_total",
            "Messages to channels of alerts, by what became of them.",
            outcomes,
        ),
        gauge("gateway_alert_messages_queued", "Messages that wait for a channel of alerts.", queued),
        counter(
            "gateway_alerts_left_out_total", "Alerts beyond `alerts.max_firing`.", alerting.states.left_out
        ),
        counter(
            "gateway_alert_events_dropped_total", "Events that no alert was made of.", alerting.events.dropped
        ),
        counter(
            "gateway_alert_evaluation_failures_total", "Evaluations that failed.", alerting.progress.failures
        ),
        *objective_metrics(alerting),
    ]


def objective_metrics(alerting: Alerting) -> list[Family]:
    """Of an objective that does not know yet what was counted before nothing is said."""
    now = time.time()
    known = [one for one in alerting.traffic.budgets.all() if one.is_filled]
    budgets: list[Sample] = [({"objective": one.goal.name}, one.left(now)) for one in known]
    complete: list[Sample] = [({"objective": one.goal.name}, int(one.is_complete(now))) for one in known]
    return [
        gauge("gateway_objective_budget_left_ratio", "Share of the error budget that is left.", budgets),
        gauge("gateway_objective_complete", "Whether all requests of the window are counted.", complete),
        counter(
            "gateway_objective_fills_put_off_total",
            "Evaluations that could not look yet for what objectives counted before.",
            alerting.progress.put_off,
        ),
    ]

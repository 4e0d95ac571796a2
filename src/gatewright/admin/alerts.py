"""Alerts and objectives: what fires, what is silenced, tests of channels."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from gatewright.admin.answers import Denied, answer
from gatewright.admin.audited import acted, acting
from gatewright.admin.shown.alerts import AlertsShown, EndedShown, SilenceShown, TestedShown
from gatewright.control.node import Node
from gatewright.insight.alerting import Alerting
from gatewright.insight.objectives import BURNS, Budget
from gatewright.insight.silences import SilenceError, UnkeptError
from gatewright.insight.states import Alert

LONGEST_SECONDS = 30 * 86_400
Name = Annotated[str, Query(min_length=1, max_length=200, description="A name; `*` stands for anything")]


def add_alerts(router: APIRouter, node: Node) -> None:
    alerting = node.alerting

    @router.get(
        "/alerts",
        summary="Alerts, objectives, silences, rules, and who is told",
        response_model=AlertsShown,
    )
    async def alerts() -> JSONResponse:
        return answer(await asyncio.to_thread(told, alerting))

    @router.post(
        "/alerts/silences", summary="Tell nobody of some alerts for a time", response_model=SilenceShown
    )
    async def silence(
        alert: Name,
        seconds: Annotated[int, Query(ge=1, le=LONGEST_SECONDS)],
        subject: Name = "*",
        why: Annotated[str, Query(max_length=500)] = "",
    ) -> JSONResponse:
        acting("alert.silence", alert=alert, subject=subject, seconds=seconds, why=why)
        try:
            made = await asyncio.to_thread(alerting.silences.add, alert, subject, seconds, ("admin", why))
        except UnkeptError as error:
            raise Denied(503, "silences_unkept", str(error)) from error
        except SilenceError as error:
            raise Denied(409, "too_many_silences", str(error)) from error
        acted(silence=made.id)
        return answer(asdict(made))

    add_endings(router, alerting)


def add_endings(router: APIRouter, alerting: Alerting) -> None:
    @router.post(
        "/alerts/silences/{silence_id}/end",
        summary="End a silence before its time",
        response_model=EndedShown,
    )
    async def end(silence_id: str) -> JSONResponse:
        acting("alert.unsilence", silence=silence_id)
        try:
            was_there = await asyncio.to_thread(alerting.silences.end, silence_id)
        except UnkeptError as error:
            raise Denied(503, "silences_unkept", str(error)) from error
        if not was_there:
            raise Denied(404, "unknown_silence", f"there is no silence `{silence_id[:20]}`")
        return answer({"ended": silence_id})

    @router.post(
        "/alerts/test", summary="Tell every channel of an alert that is none", response_model=TestedShown
    )
    async def test() -> JSONResponse:
        acting("alert.test")
        return answer({"channels": alerting.test()})


def told(alerting: Alerting) -> dict[str, Any]:
    """Everything about alerts."""
    now = time.time()
    active = sorted(alerting.states.alerts.values(), key=lambda one: one.began_at)
    return {
        "enabled": alerting.settings.enabled,
        "evaluated_at": alerting.progress.evaluated_at,
        "alerts": [document(one, alerting) for one in active],
        "resolved": [document(one, alerting) for one in alerting.states.resolved[-50:]],
        "objectives": [objective(one, now) for one in alerting.traffic.budgets.all()],
        "silences": [asdict(one) for one in alerting.silences.active()],
        "rules": [
            {"name": one.name, "severity": one.severity, "text": one.text, "threshold": one.threshold}
            for one in alerting.settings.rules
        ],
        "channels": [
            {
                "name": one.settings.name,
                "kind": one.settings.kind,
                "delivered": one.delivered,
                "failed": one.failed,
                "dropped": one.dropped,
                "queued": one.queued,
                "error": one.error,
            }
            for one in alerting.outboxes.values()
        ],
    }


def objective(budget: Budget, now: float) -> dict[str, Any]:
    """How one objective stands; nothing before it is known what was counted before."""
    return {
        "name": budget.goal.name,
        "target": budget.goal.target,
        "window_seconds": budget.goal.window,
        "budget_left": budget.left(now) if budget.is_filled else None,
        "complete": budget.is_complete(now),
        "burn_rates": {
            f"{int(long)}s": budget.burn(now, long) if budget.is_filled else None for _, long, _, _ in BURNS
        },
    }


def document(alert: Alert, alerting: Alerting) -> dict[str, Any]:
    return asdict(alert) | {
        "state": alert.state,
        "silenced": alerting.silences.is_silent(alert.name, alert.subject),
    }

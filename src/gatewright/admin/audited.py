"""Every operation that changes something is written to the audit log, before its answer is sent: those that
are to come too, since this stands before them all. An operation says what of it is worth knowing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright.admin.access import SAFE_METHODS, Denial
from gatewright.admin.answers import refusal
from gatewright.audit.entries import DECISION, Draft
from gatewright.audit.files import AuditError
from gatewright.audit.service import Audit
from gatewright.control.configuration import AdminSettings

LONGEST_BY = 100
# Whom a limit was for is personal; an operation says of it what the log needs.
PERSONAL = frozenset({"caller"})
DENIED = "refused.admin"


@dataclass(slots=True)
class Act:
    """What an operation says of itself."""

    what: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


_act: ContextVar[Act | None] = ContextVar("act", default=None)


def acting(what: str, **fields: object) -> None:
    """Call this operation `what` in the log. Said first, so that what is refused has its name, too."""
    act = _act.get()
    if act is not None:
        act.what = what
        act.fields.update(fields)


def acted(**fields: object) -> None:
    """Add what came of it."""
    act = _act.get()
    if act is not None:
        act.fields.update(fields)


class Audited:
    """Stands behind the door: who comes here may do what is asked."""

    def __init__(self, app: ASGIApp, audit: Audit, settings: Callable[[], AdminSettings]) -> None:
        self._app = app
        self._audit = audit
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        try:
            await self._audit.ready()
        except AuditError as error:
            text = f"nothing was done, since it could not be audited: {error}"
            await refusal(503, "audit_unavailable", text)(scope, receive, send)
            return
        act = Act()

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._write(scope, act, message["status"])
            await send(message)

        before = _act.set(act)
        try:
            await self._app(scope, receive, sent)
        except Exception:
            await self._write(scope, act, 500)
            raise
        finally:
            _act.reset(before)

    async def _write(self, scope: Scope, act: Act, status: int) -> None:
        if scope.get("route") is None:
            # No such operation, so nothing was done.
            return
        operation = f"{scope['method']} {scope['path']}"
        told = act.fields or asked(scope)
        fields = {**told, "operation": operation, "status": status}
        who = who_of(scope, "local" if self._settings().token is None else "token")
        await self._audit.act(who, act.what or operation, fields, outcome_of(status))


def outcome_of(status: int) -> str:
    if status < 400:
        return "done"
    return "refused" if status < 500 else "failed"


def asked(scope: Scope) -> dict[str, Any]:
    """The parts of path and query, for an operation that says nothing of itself."""
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
    named = {name: value for name, value in query if name not in PERSONAL}
    return named | {name: str(value) for name, value in scope.get("path_params", {}).items()}


def who_of(scope: Scope, principal: str) -> dict[str, str]:
    """Who asks: what the door knows of them, and apart from it whom they say they are."""
    headers = dict(scope["headers"])
    client = scope.get("client")
    who = {"principal": principal}
    if client is not None:
        who["address"] = client[0]
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    by = query.get("by") or headers.get(b"x-gatewright-by", b"").decode("latin-1")
    return who | ({"says": by[:LONGEST_BY]} if by else {})


async def denied(audit: Audit, scope: Scope, denial: Denial) -> None:
    """Write that somebody was turned away at the door."""
    who = who_of(scope, "unknown")
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": denial.status,
        "error": denial.error,
    }
    await audit.turned_away(Draft(DECISION, who, DENIED, "refused", fields))

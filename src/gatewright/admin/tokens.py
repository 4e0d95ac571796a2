"""Tokens: revoked before they expire, and restored. What tokens say is personal: the audit names
revocations by their ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import JSONResponse

from gatewright.admin.answers import Denied, answer
from gatewright.admin.audited import acted, acting
from gatewright.admin.breakers import By, Why, address
from gatewright.admin.shown.tokens import RevocationsShown, RevokedShown
from gatewright.control.node import Node
from gatewright.revocation.entries import LONGEST_NAME, LONGEST_VALUE, LONGEST_WHY, Revocation
from gatewright.revocation.service import Done, RevocationsFullError, UnknownRevocationError

MOST_AT_ONCE = 10_000
LONGEST_LIST = 1000
DAY = 86_400

Value = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_VALUE)]
Values = Annotated[list[Value], Field(max_length=MOST_AT_ONCE)]


class Wish(BaseModel):
    """Tokens to be revoked. Without `token_ids` and `subjects`, all of `identity`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token_ids: Values = Field(default_factory=list, description="Tokens by their `jti`.")
    subjects: Values = Field(default_factory=list, description="Users whose tokens are revoked.")
    identity: str | None = Field(
        None, max_length=LONGEST_NAME, description="Only tokens for this identity; all identities by default."
    )
    everyone: bool = Field(False, description="All tokens of all identities.")
    issued_before: datetime | None = Field(
        None, description="Of subjects and identities, tokens issued before this; now by default."
    )
    expires_in: int | None = Field(
        None, ge=1, le=3650 * DAY, description="Seconds that it holds; `revocations.lifetime` by default."
    )
    why: str | None = Field(None, min_length=1, max_length=LONGEST_WHY, description="Shown in lists.")


@dataclass(frozen=True, slots=True)
class Times:
    """When tokens are revoked, which, and for how long; milliseconds."""

    now: int
    before: int
    until: int


def add_tokens(router: APIRouter, node: Node) -> None:
    """Add the operations on revoked tokens."""

    @router.get(
        "/tokens/revocations",
        summary="Revocations of tokens that are in force, by id",
        response_model=RevocationsShown,
    )
    async def listed(
        after: Annotated[str, Query(description="Id to go on behind")] = "",
        limit: Annotated[int, Query(ge=1, le=LONGEST_LIST)] = 100,
    ) -> JSONResponse:
        found = [one for one in node.revocations.listed() if one.id > after]
        return answer({
            "revocations": [shown(one) for one in found[:limit]],
            "more": len(found) > limit,
            **node.revocations.state(),
        })

    add_changes(router, node)


def add_changes(router: APIRouter, node: Node) -> None:
    @router.post(
        "/tokens/revoke",
        summary="Revoke tokens on every node",
        status_code=201,
        response_model=RevokedShown,
    )
    async def revoke(request: Request, wish: Annotated[Wish, Body()], by: By = None) -> JSONResponse:
        who = (by or address(request))[:LONGEST_NAME]
        acting("tokens.revoke", by=who, why=wish.why)
        try:
            done = await node.revocations.revoke(wished(node, wish, who))
        except RevocationsFullError as error:
            raise Denied(409, "revocations_full", str(error)) from error
        audit(done, who, wish.why)
        return answer(told(done), 201)

    @router.post(
        "/tokens/revocations/{identifier}/restore",
        summary="End a revocation on every node",
        response_model=RevokedShown,
    )
    async def restore(request: Request, identifier: str, by: By = None, why: Why = None) -> JSONResponse:
        who = (by or address(request))[:LONGEST_NAME]
        acting("tokens.restore", revocation=identifier, by=who, why=why)
        try:
            done = await node.revocations.restore(identifier, who)
        except UnknownRevocationError as error:
            raise Denied(404, "unknown_revocation", str(error)) from error
        audit(done, who, why)
        return answer(told(done))


def wished(node: Node, wish: Wish, by: str) -> list[Revocation]:
    """What is to be put in force. Raises `Denied` for a wish that means nothing, or too much unsaid."""
    wide = not wish.token_ids and not wish.subjects
    if wide and (wish.identity is None) != wish.everyone:
        message = "say one of `token_ids`, `subjects`, `identity` or `everyone`"
        raise Denied(400, "bad_request", message)
    if wish.everyone and not wide:
        raise Denied(400, "bad_request", "`everyone` goes with neither `token_ids` nor `subjects`")
    known = node.configuration.token_identities if node.configuration else ()
    if wish.identity is not None and node.configuration and wish.identity not in known:
        message = f"no identity `{wish.identity}` takes tokens; known: {', '.join(known)}"
        raise Denied(404, "unknown_identity", message)
    times = times_of(node, wish)
    values = [("token", value) for value in wish.token_ids] + [("subject", value) for value in wish.subjects]
    if wide:
        return [revocation("identity", None, wish, times, by)]
    return [revocation(kind, value, wish, times, by) for kind, value in dict.fromkeys(values)]


def times_of(node: Node, wish: Wish) -> Times:
    now = node.revocations.now_ms()
    before = now
    if wish.issued_before is not None:
        before = max(0, int(wish.issued_before.astimezone(UTC).timestamp() * 1000))
    seconds = wish.expires_in or node.revocations.settings.lifetime
    # Tokens that are issued until then are as old at the end as those of now.
    return Times(now, before, max(now, before) + int(seconds * 1000))


def revocation(kind: str, value: str | None, wish: Wish, times: Times, by: str) -> Revocation:
    before = times.now if kind == "token" else times.before
    return Revocation(kind, wish.identity, value, before, times.until, times.now, by=by, why=wish.why)


def told(done: Done) -> dict[str, Any]:
    return {
        "revocations": [shown(one) for one in done.entries],
        "stored": done.stored,
        "shared": done.shared,
    }


def shown(one: Revocation) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "identity": one.identity,
        "value": one.value,
        "issued_before": None if one.kind == "token" else moment(one.issued_before_ms),
        "until": moment(one.until_ms),
        "changed_at": moment(one.changed_ms),
        "by": one.by,
        "why": one.why,
    }


def moment(milliseconds: int) -> str:
    """RFC 3339; the last moment that a calendar has for what lies beyond."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return "9999-12-31T23:59:59.999+00:00"


def audit(done: Done, by: str, why: str | None) -> None:
    """Say who did what; of many at once the first ids."""
    ids = [one.id for one in done.entries]
    acted(
        revocations=ids[:100],
        count=len(ids),
        kinds=sorted({one.kind for one in done.entries}),
        stored=done.stored,
        shared=done.shared,
        by=by,
        why=why,
    )

"""API keys of the store: made, shown, rotated, revoked. The text of a key is in one answer, nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from gatewright.admin.answers import Denied, answer
from gatewright.admin.audited import acted, acting
from gatewright.admin.breakers import By, Why, address
from gatewright.admin.shown.keys import KeyShown, KeysShown, KeyUsageShown, MadeKeyShown
from gatewright.control.node import Node
from gatewright.keystore import operations
from gatewright.keystore.database import KeyStoreError
from gatewright.keystore.operations import Document, Wish, WrongKeyError
from gatewright.keystore.store import LONGEST_LIST, KeyStore, UnknownKeyError

SECONDS = 10.0
DAY = 86_400


class WishedKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    partner: str = Field(description="Whose key it is; becomes `X-Partner-ID`.")
    consumer: str | None = Field(None, description="Who of the partner uses it; shown, and sent to nobody.")
    tier: str | None = Field(None, description="Tier that replaces the route's for this key.")
    scopes: list[str] = Field(default_factory=list, description="What it may do.")
    networks: list[str] = Field(
        default_factory=list, description="Where it may be used from, such as `203.0.113.0/24`."
    )
    metadata: dict[str, str] = Field(default_factory=dict, description="Anything worth keeping.")
    expires_at: str | None = Field(None, description="RFC 3339 time after which it is refused.")
    expires_in: int | None = Field(None, ge=1, le=3650 * DAY, description="The same in seconds from now.")


class ChangedKey(BaseModel):
    """What of a key shall be otherwise. What is not named stays; `null` takes away."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    partner: str | None = Field(None, description="Whose key it is from now on.")
    consumer: str | None = Field(None, description="Who of the partner uses it.")
    tier: str | None = Field(
        None, description="Tier that replaces the route's; `null` for that of the route."
    )
    scopes: list[str] | None = Field(None, description="All that it may do, in place of what it might.")
    networks: list[str] | None = Field(
        None, description="All places where it may be used from; none: everywhere."
    )
    metadata: dict[str, str | None] | None = Field(
        None, description="Names with new values; `null` takes a name out, others stay."
    )
    expires_at: str | None = Field(
        None, description="RFC 3339 time after which it is refused; `null`: never."
    )
    expires_in: int | None = Field(None, ge=1, le=3650 * DAY, description="The same in seconds from now.")


def add_keys(router: APIRouter, node: Node) -> None:
    """Add the operations on API keys."""
    add_readings(router, node)

    @router.post(
        "/keys",
        summary="Make an API key; the answer has it, this once",
        status_code=201,
        response_model=MadeKeyShown,
    )
    async def create(request: Request, wish: Annotated[WishedKey, Body()], by: By = None) -> JSONResponse:
        who = by or address(request)
        acting("key.create", partner=wish.partner, by=who)
        made = await done(operations.create(store_of(node), Wish(**wish.model_dump()), tiers_of(node), who))
        told(made)
        return answer(made, 201)

    @router.patch(
        "/keys/{key}",
        summary="Let a key be otherwise, on every node; its secrets stay",
        response_model=KeyShown,
    )
    async def change(
        request: Request, key: str, wish: Annotated[ChangedKey, Body()], by: By = None
    ) -> JSONResponse:
        who, wished = by or address(request), wish.model_dump(exclude_unset=True)
        acting("key.change", key=key, by=who, changed=sorted(wished))
        made = await done(operations.change(store_of(node), key, wished, tiers_of(node), who))
        await node.stored_keys.tell([key])
        told(made)
        return answer(made)

    add_endings(router, node)


def add_endings(router: APIRouter, node: Node) -> None:
    @router.post(
        "/keys/{key}/rotate",
        summary="Give a key a new secret; the old one stays valid for a while",
        response_model=MadeKeyShown,
    )
    async def rotate(
        request: Request,
        key: str,
        by: By = None,
        overlap: Annotated[
            int | None, Query(ge=0, le=90 * DAY, description="For how many seconds; 7 days by default")
        ] = None,
    ) -> JSONResponse:
        acting("key.rotate", key=key, by=by or address(request), overlap=overlap)
        made = await done(operations.rotate(store_of(node), key, overlap))
        await node.stored_keys.tell([key])
        told(made)
        return answer(made)

    @router.post("/keys/{key}/revoke", summary="End a key for ever, on every node", response_model=KeyShown)
    async def revoke(request: Request, key: str, by: By = None, why: Why = None) -> JSONResponse:
        who = by or address(request)
        acting("key.revoke", key=key, by=who, why=why)
        ended = await done(operations.revoke(store_of(node), key, who, why))
        await node.stored_keys.tell([key])
        told(ended)
        return answer(ended)


def add_readings(router: APIRouter, node: Node) -> None:
    @router.get(
        "/keys", summary="API keys of the store by id, without their secrets", response_model=KeysShown
    )
    async def listed(
        partner: str | None = None,
        after: Annotated[str, Query(description="Id to go on behind")] = "",
        limit: Annotated[int, Query(ge=1, le=LONGEST_LIST)] = 100,
    ) -> JSONResponse:
        return answer(await done(operations.listed(store_of(node), partner, after, limit)))

    @router.get("/keys/{key}", summary="One API key, without its secrets", response_model=KeyShown)
    async def show(key: str) -> JSONResponse:
        return answer(await done(operations.show(store_of(node), key)))

    @router.get("/keys/{key}/usage", summary="Requests of a key by hour", response_model=KeyUsageShown)
    async def usage(
        key: str, seconds: Annotated[int, Query(ge=1, le=3650 * DAY, description="How far back")] = 7 * DAY
    ) -> JSONResponse:
        await node.stored_keys.flush()
        return answer(await done(operations.usage(store_of(node), key, seconds)))


def tiers_of(node: Node) -> tuple[str, ...]:
    """The tiers that keys may name."""
    return node.stored_keys.settings.tiers if node.stored_keys.settings else ()


def store_of(node: Node) -> KeyStore:
    """The open store. Raises `Denied` where there is none."""
    if node.stored_keys.settings is None:
        raise Denied(
            404, "no_key_store", "no `key_store` is configured; keys of files are changed in their files"
        )
    return node.stored_keys.store


async def done(work: Coroutine[Any, Any, Document]) -> Document:
    """What an operation gives. Raises `Denied` for what it refuses, and where the store cannot be asked."""
    try:
        async with asyncio.timeout(SECONDS):
            return await work
    except UnknownKeyError as error:
        raise Denied(404, "unknown_key", str(error)) from error
    except WrongKeyError as error:
        raise Denied(400, "bad_request", str(error)) from error
    except (KeyStoreError, TimeoutError) as error:
        cause = str(error) or "no answer in time"
        raise Denied(503, "key_store_unavailable", f"the key store cannot be asked: {cause}") from error


def told(key: Document) -> None:
    """Say which key it was; never the key."""
    acted(key=key["id"], partner=key["partner"])

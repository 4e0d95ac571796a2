"""Addresses by hand: what is known of them, networks blocked and unblocked."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from gatewright.admin.answers import Denied, answer
from gatewright.admin.audited import acted, acting
from gatewright.admin.shown.addresses import AddressesShown, BlockShown, UnblockedShown
from gatewright.control.blocks import LONGEST_WHY, BlockError, document
from gatewright.control.node import Node

LONGEST_SECONDS = 10 * 365 * 86_400
LISTED = 1_000

Network = Annotated[str, Query(min_length=1, max_length=100, description="`10.0.0.0/8`, or one address")]


def add_addresses(router: APIRouter, node: Node) -> None:
    @router.get(
        "/addresses",
        summary="Networks that are blocked by hand, and files of addresses",
        response_model=AddressesShown,
    )
    async def addresses() -> JSONResponse:
        now, active = time.time(), node.blocks.active()
        return answer({
            "blocks": [document(block, now) for block in active[:LISTED]],
            "blocked": len(active),
            "files": await files(node),
            "sharing": asdict(node.block_sharing.health) if node.block_sharing.is_used else None,
        })

    add_blocks(router, node)


def add_blocks(router: APIRouter, node: Node) -> None:
    @router.post(
        "/addresses/block",
        summary="Refuse every request from a network, for a time or for good",
        response_model=BlockShown,
    )
    async def block(
        network: Network,
        seconds: Annotated[int | None, Query(ge=1, le=LONGEST_SECONDS)] = None,
        why: Annotated[str | None, Query(max_length=LONGEST_WHY)] = None,
    ) -> JSONResponse:
        acting("network.block", network=network, seconds=seconds, why=why)
        try:
            made = await node.blocks.block(network, seconds, why)
        except ValueError as error:
            raise Denied(400, "bad_request", str(error)) from error
        except BlockError as error:
            raise Denied(409, "too_many_blocks", str(error)) from error
        acted(network=made.network)
        return answer(document(made, time.time()))

    @router.post(
        "/addresses/unblock", summary="End the block of just this network", response_model=UnblockedShown
    )
    async def unblock(network: Network) -> JSONResponse:
        acting("network.unblock", network=network)
        try:
            is_done = await node.blocks.unblock(network)
        except ValueError as error:
            raise Denied(400, "bad_request", str(error)) from error
        if not is_done:
            raise Denied(404, "not_blocked", f"`{network}` is not blocked by hand, not as this network")
        return answer({"unblocked": network})


async def files(node: Node) -> list[dict[str, Any]]:
    """Each file with what the data plane has of it, and what was last wrong with it."""
    state = json.loads(await asyncio.to_thread(node.engine.state))
    known = {(file.kind, file.name): watched for file, watched in node.address_files.watched.items()}
    listed = []
    for one in state.get("address_files", []):
        watched = known.get((one["kind"], one["name"]))
        told = {"failures": watched.failures, "error": watched.error} if watched else {}
        listed.append({**one, **told})
    return listed

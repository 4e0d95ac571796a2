"""A data plane whose tokens can be revoked, as a whole node has it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from gateway.client import get
from gateway.node import Node
from gatewright.control.configuration import revocation_settings
from gatewright.control.state import StateDirectory
from gatewright.revocation.entries import Revocation
from gatewright.revocation.service import Done, RevokedTokens


class RevokingNode:
    """A node with what was revoked. An async context manager.

    One that `only_hears` what others say does not look for what it has missed.
    """

    def __init__(
        self,
        text: str,
        directory: Path,
        clock: Callable[[], float] | None = None,
        *,
        only_hears: bool = False,
    ) -> None:
        self.node = Node(text)
        self._only_hears = only_hears
        path = StateDirectory(directory).revocations
        more: dict[str, Any] = {} if clock is None else {"clock": clock}
        self.tokens = RevokedTokens(self.node.engine, path, **more)

    async def __aenter__(self) -> Self:
        assert self.node.loaded is not None
        settings = revocation_settings(self.node.loaded.gateway)
        if self._only_hears and settings.sharing is not None:
            settings = replace(settings, sharing=replace(settings.sharing, interval=3_600.0))
        await self.tokens.use(settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.tokens.close()
        await asyncio.to_thread(self.node.stop)

    def wish(self, kind: str, value: str | None, identity: str | None = None, **more: int) -> Revocation:
        """Tokens issued until now; for an hour."""
        now = self.tokens.now_ms()
        made = Revocation(kind, identity, value, now, now + 3_600_000, now)
        return replace(made, **cast("dict[str, Any]", more))

    async def revoke(self, kind: str, value: str | None, identity: str | None = None, **more: int) -> Done:
        return await self.tokens.revoke([self.wish(kind, value, identity, **more)])

    async def settled(self) -> None:
        """Until a change that is under way is over: the data plane obeys it before the node notes it."""
        await self.tokens.tick()

    async def status(self, *header: tuple[str, str]) -> int:
        """What a caller with this token gets."""
        return (await asyncio.to_thread(get, self.node.address, "/", *header)).status

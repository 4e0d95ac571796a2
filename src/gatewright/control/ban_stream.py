"""The stream in Redis by which nodes tell each other whom they ban. The client is an extra."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from gatewright.errors import GatewrightError
from gatewright.redis_clients import Place, connect

NAME = "gatewright:bans"
KEPT = 100_000
"""Entries that the stream holds, about; a node that starts hears of no older ban."""

PAGE = 1_000
CLOSE_SECONDS = 1.0


class StreamError(GatewrightError):
    """Redis cannot be asked, or does not answer in time."""


class BanStream:
    """One connection at most. After an error it must be closed, since an answer may still be under way."""

    def __init__(self, url: Place, timeout: float) -> None:
        from redis.asyncio.retry import Retry  # noqa: PLC0415 - an extra.
        from redis.backoff import NoBackoff  # noqa: PLC0415

        self._timeout = timeout
        options: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "max_connections": 1,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            "encoding_errors": "replace",
        }
        try:
            self._client: Any = connect(url, **options)
        except ValueError as error:
            message = f"the address cannot be read: {error}"
            raise StreamError(message) from error

    async def tell(self, entries: Sequence[str]) -> None:
        """Add to the stream. Raises `StreamError`; then some may have been added."""
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(NAME, {"ban": entry}, maxlen=KEPT, approximate=True)
        await self._within(pipeline.execute())

    async def hear(self, after: str) -> tuple[str, list[str]]:
        """What was added after a place, a page at most, and the place of the last. Raises `StreamError`."""
        found = await self._within(self._client.xrange(NAME, f"({after}", "+", count=PAGE))
        entries = [str(fields.get("ban", "")) for _, fields in found]
        return (str(found[-1][0]) if found else after), entries

    async def close(self) -> None:
        """Drop the connection, whatever is still under way on it."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.connection_pool.disconnect(inuse_connections=True)

    async def _within(self, command: Any) -> Any:
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            # A server that drips bytes keeps each of the client's own waits short; this is for all of them.
            async with asyncio.timeout(3 * self._timeout):
                return await command
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            message = str(error) or type(error).__name__
            raise StreamError(message) from error

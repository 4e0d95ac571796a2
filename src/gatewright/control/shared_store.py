"""Redis as the place where nodes meet. The client is an extra: it is imported where it is used."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gatewright.errors import GatewrightError
from gatewright.redis_clients import Place, connect

PREFIX = "circuit:"
CLOSE_SECONDS = 1.0


class StoreError(GatewrightError):
    """The store cannot be asked, or does not answer in time."""


class RedisStore:
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
            raise StoreError(message) from error

    async def read(self, services: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """Give the hashes that can be understood. Raises `StoreError`."""
        pipeline = self._client.pipeline(transaction=False)
        for service in services:
            pipeline.hgetall(PREFIX + service)
        answers = await self._within(pipeline.execute(raise_on_error=False))
        return {
            service: answer for service, answer in zip(services, answers, strict=True) if is_sound(answer)
        }

    async def write(self, service: str, fields: Mapping[str, str]) -> None:
        """Replace the hash of a service, without an expiry. Raises `StoreError`."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.delete(PREFIX + service)
        pipeline.hset(PREFIX + service, mapping=dict(fields))
        await self._within(pipeline.execute())

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
            raise StoreError(message) from error


def is_sound(answer: object) -> bool:
    """Is it a hash as a node writes it? Others may write what they like under our names."""
    if not isinstance(answer, dict) or "state" not in answer:
        return False
    try:
        numbers = [float(answer[name]) for name in ("failure_count", "last_failure_at", "opened_at")]
    except (KeyError, ValueError):
        return False
    return all(math.isfinite(number) for number in numbers)

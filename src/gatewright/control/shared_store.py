"""Redis as the place where nodes meet. The client is an extra: it is imported where it is used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gatewright.errors import GatewrightError
from gatewright.redis_clients import SingleConnection

PREFIX = "circuit:"


class StoreError(GatewrightError):
    """The store cannot be asked, or does not answer in time."""


class RedisStore(SingleConnection):
    """The hashes of breakers, one for each service."""

    error = StoreError

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


def is_sound(answer: object) -> bool:
    """Is it a hash as a node writes it? Others may write what they like under our names."""
    if not isinstance(answer, dict) or "state" not in answer:
        return False
    try:
        numbers = [float(answer[name]) for name in ("failure_count", "last_failure_at", "opened_at")]
    except (KeyError, ValueError):
        return False
    return all(math.isfinite(number) for number in numbers)

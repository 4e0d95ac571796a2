"""Dependencies that are asked because somebody wants to know, not because a request needs them."""

from __future__ import annotations

import time

from gatewright.errors import GatewrightError
from gatewright.health.standing import Outcome
from gatewright.redis_clients import RedisSettings, SingleConnection


class SilentError(GatewrightError):
    """Redis does not answer, or not in time."""


class Asking(SingleConnection):
    """A connection for one question."""

    error = SilentError

    async def ping(self) -> None:
        """Raises `SilentError`."""
        await self._within(self._client.ping())


async def ask_redis(settings: RedisSettings | None) -> Outcome | None:
    """Does Redis answer a PING on a new connection? `None` where there is none. Takes three times the timeout
    at most, and a second to hang up.
    """
    if settings is None:
        return None
    began = time.monotonic()
    try:
        asking = Asking(settings.target, settings.timeout)
        try:
            await asking.ping()
        finally:
            await asking.close()
    except SilentError as error:
        return Outcome(False, f"does not answer: {error}")
    except Exception as error:
        # Not only its own check would end with it, but also what is asked at the same time.
        return Outcome(False, f"cannot be asked: {type(error).__name__}: {error}")
    return Outcome(True, took_ms=(time.monotonic() - began) * 1000)

"""The stream in Redis by which nodes tell each other whom they ban. The client is an extra."""

from __future__ import annotations

from collections.abc import Sequence

from gatewright.errors import GatewrightError
from gatewright.redis_clients import SingleConnection

NAME = "gatewright:bans"
KEPT = 100_000
"""Entries that the stream holds, about; a node that starts hears of no older ban."""

PAGE = 1_000


class StreamError(GatewrightError):
    """Redis cannot be asked, or does not answer in time."""


class BanStream(SingleConnection):
    """The stream as one node sees it."""

    error = StreamError

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

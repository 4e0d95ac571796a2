"""Key sets of issuers: fetched, refreshed, refreshed at once when a token names an unknown key, forgotten
when too old.

Keys are refreshed every half hour with jitter (D14). While the issuer is down they stay for 75 minutes from
their last fetch (D15); after that the data plane gets an empty set and answers 503: never open.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from gatewright.identity.fetch import KeySetError, KeySetSource
from gatewright.identity.questions import Question

log = logging.getLogger("gatewright.identity")

NO_KEYS = b'{"keys":[]}'
LEAST_WAIT_SECONDS = 0.05
# Expiry is looked at this often, whatever is due.
LONGEST_WAIT_SECONDS = 60.0

Fetch = Callable[[KeySetSource], Awaitable[bytes]]
Push = Callable[[str, bytes], None]


@dataclass(slots=True)
class KeySet:
    """What is known about the keys of one identity."""

    source: KeySetSource
    keys: bytes | None = None
    fetched_at: float | None = None
    tried_at: float | None = None
    failures_in_a_row: int = 0
    failures: int = 0
    due_at: float = 0.0
    error: str | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeySets:
    """Keeps the keys of every identity that has a URL; pushes each change to the data plane."""

    def __init__(self, fetch: Fetch, push: Push, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._push = push
        self._clock = clock
        self._sets: dict[str, KeySet] = {}
        self._changed = asyncio.Event()

    async def use(self, sources: Iterable[KeySetSource], seconds: float) -> None:
        """Keep these sources and no others; wait at most `seconds` for the first keys of new ones.

        An issuer that is down delays nothing beyond that: its routes answer 503 until its keys arrive.
        """
        wanted = {source.identity: source for source in sources}
        kept = {name: held for name, held in self._sets.items() if wanted.get(name) == held.source}
        self._sets = {name: kept.get(name) or KeySet(source) for name, source in wanted.items()}
        fresh = [name for name in wanted if name not in kept]
        if fresh:
            tasks = [asyncio.ensure_future(self._refresh(self._sets[name])) for name in fresh]
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for name in fresh:
            # Keys of another issuer must not go on serving an identity whose source has changed.
            if self._sets[name].keys is None:
                self._push(name, NO_KEYS)
        self._changed.set()

    async def answer(self, question: Question) -> Question:
        """Answer `refresh_keys`."""
        return {"ok": await self.refresh_for_unknown_key(str(question.get("identity")))}

    async def refresh_for_unknown_key(self, identity: str) -> bool:
        """Fetch at once, unless that was tried within the least time between; give whether fresh keys are
        in place.
        """
        held = self._sets.get(identity)
        if held is None:
            return False
        asked_at = self._clock()
        async with held.lock:
            # Whoever waited for the lock shares the fetch of the one before.
            tried = held.tried_at
            if tried is not None and (
                tried >= asked_at or asked_at - tried < held.source.times.minimum_refresh
            ):
                return held.keys is not None and held.failures_in_a_row == 0
            return await self._fetch_and_push(held)

    async def run(self) -> None:
        """Refresh what is due, for ever."""
        while True:
            self._changed.clear()
            for held in list(self._sets.values()):
                self.expire(held)
            due = [held for held in self._sets.values() if held.due_at <= self._clock()]
            await asyncio.gather(*(self._refresh(held) for held in due))
            await self._wait()

    async def _wait(self) -> None:
        nearest = min(
            (held.due_at for held in self._sets.values()), default=self._clock() + LONGEST_WAIT_SECONDS
        )
        try:
            async with asyncio.timeout(
                max(LEAST_WAIT_SECONDS, min(nearest - self._clock(), LONGEST_WAIT_SECONDS))
            ):
                await self._changed.wait()
        except TimeoutError:
            return

    def expire(self, held: KeySet) -> None:
        """Take keys from the data plane whose issuer has been silent for longer than they may be trusted."""
        if held.keys is None or held.fetched_at is None:
            return
        if self._clock() - held.fetched_at > held.source.times.lifetime:
            held.keys = None
            self._push(held.source.identity, NO_KEYS)
            log.error("key set expired", extra={"identity": held.source.identity, "error": held.error})

    def state(self) -> list[dict[str, object]]:
        """For `/health`: what each identity's keys are like."""
        return [
            {
                "identity": name,
                "url": held.source.url,
                "has_keys": held.keys is not None,
                "age_seconds": None if held.fetched_at is None else round(self._clock() - held.fetched_at, 1),
                "failures": held.failures,
                "error": held.error,
            }
            for name, held in sorted(self._sets.items())
        ]

    async def _refresh(self, held: KeySet) -> bool:
        async with held.lock:
            return await self._fetch_and_push(held)

    async def _fetch_and_push(self, held: KeySet) -> bool:
        held.tried_at = self._clock()
        try:
            keys = await self._fetch(held.source)
            if keys != held.keys:
                self._push(held.source.identity, keys)
        except Exception as error:
            self._failed(held, error)
            return False
        held.keys, held.fetched_at, held.error = keys, self._clock(), None
        held.failures_in_a_row = 0
        times = held.source.times
        # Spread by jitter, or all nodes would ask the issuer in the same second (AU-11).
        held.due_at = self._clock() + times.refresh + random.uniform(0, min(times.jitter, times.refresh))  # noqa: S311 - no secret.
        return True

    def _failed(self, held: KeySet, error: Exception) -> None:
        held.failures += 1
        held.failures_in_a_row += 1
        held.error = str(error)
        exponent = min(held.failures_in_a_row - 1, 20)
        delay = min(held.source.times.first_retry * 2**exponent, held.source.times.longest_retry)
        # Jitter also here: every node lost the issuer at the same moment (TS-12).
        held.due_at = self._clock() + delay * random.uniform(1, 1.5)  # noqa: S311 - no secret.
        fields = {"identity": held.source.identity, "error": held.error, "retry_seconds": delay}
        log.log(
            logging.WARNING if isinstance(error, KeySetError) else logging.ERROR,
            "key set fetch failed",
            extra=fields,
        )

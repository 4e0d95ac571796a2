"""Key sets of issuers: fetched, refreshed, refreshed at once when a token names an unknown key, forgotten
when too old.

Keys are refreshed every half hour with jitter, and are good for an hour (D14). While the issuer is down they
stay for 15 minutes more (D15); after that the data plane gets an empty set and answers 503: never open. They
are kept on disk, so that a node that starts meanwhile has what was left to them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from gatewright.identity.fetch import KeySetError, KeySetSource
from gatewright.identity.kept_keys import KeptKeys, KeptKeySet
from gatewright.identity.questions import Question

log = logging.getLogger("gatewright.identity")

NO_KEYS = b'{"keys":[]}'
LEAST_WAIT_SECONDS = 0.05
# Expiry is looked at this often, whatever is due.
LONGEST_WAIT_SECONDS = 60.0
# Keys that came this long ago may be newer than the question of a request that has not seen them.
RECENT_SECONDS = 1.0
# Of its lifetime a key set is refreshed by then at the latest.
LATEST_REFRESH = 0.9
# By how much the clock may have gone back since a key set was kept.
CLOCK_SECONDS = 60.0

Fetch = Callable[[KeySetSource], Awaitable[bytes]]
Push = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Clocks:
    """Two ways to tell the time: seconds that only go on, and epoch seconds, which outlive the process."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@dataclass(slots=True)
class KeySet:
    """What is known about the keys of one identity."""

    source: KeySetSource
    keys: bytes | None = None
    fetched_at: float | None = None
    tried_at: float | None = None
    # When an unknown key last asked for a fetch.
    asked_at: float | None = None
    failures_in_a_row: int = 0
    failures: int = 0
    due_at: float = 0.0
    error: str | None = None
    was_stale: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def age(self, now: float) -> float | None:
        return None if self.fetched_at is None else now - self.fetched_at


class KeySets:
    """Keeps the keys of every identity that has a URL; pushes each change to the data plane."""

    def __init__(self, fetch: Fetch, push: Push, kept: KeptKeys, clocks: Clocks | None = None) -> None:
        self._fetch = fetch
        self._push = push
        self._kept = kept
        self._clocks = clocks or Clocks()
        self._clock = self._clocks.monotonic
        self._sets: dict[str, KeySet] = {}
        self._changed = asyncio.Event()
        self._is_unsaved = False
        self.save_failures = 0

    async def use(self, sources: Iterable[KeySetSource], seconds: float) -> None:
        """Keep these sources and no others; wait at most `seconds` for the first keys of new ones.

        An issuer that is down delays nothing beyond that: its routes answer 503 until its keys arrive. Where
        its keys were kept, nobody waits.
        """
        wanted = {source.identity: source for source in sources}
        held = {name: one for name, one in self._sets.items() if wanted.get(name) == one.source}
        self._sets = {name: held.get(name) or KeySet(source) for name, source in wanted.items()}
        fresh = [name for name in wanted if name not in held]
        if fresh:
            await self._restore(fresh)
            await self._fetch_first(
                [one for name in fresh if (one := self._sets[name]).keys is None], seconds
            )
        for name in fresh:
            # Keys of another issuer must not go on serving an identity whose source has changed.
            if self._sets[name].keys is None:
                self._push(name, NO_KEYS)
        self._changed.set()

    async def use_remembered(self, identities: Iterable[str], seconds: float) -> None:
        """Use the sources that these identities had when their keys were kept: for a snapshot whose files
        are not to be had.
        """
        kept = await asyncio.to_thread(self._kept.load)
        await self.use([kept[name].source for name in identities if name in kept], seconds)

    async def answer(self, question: Question) -> Question:
        """Answer the data plane's question for newer keys."""
        return {"ok": await self.refresh_for_unknown_key(str(question.get("identity")))}

    async def refresh_for_unknown_key(self, identity: str) -> bool:
        """Fetch at once, unless that was asked for within the least time between; give whether keys have come
        that may be the ones asked for.
        """
        held = self._sets.get(identity)
        if held is None:
            return False
        now = self._clock()
        async with held.lock:
            # Whoever waited for the lock shares the fetch of the one before. Fetches that were due anyway do
            # not count: a key may have come into use just after one.
            is_shared = held.tried_at is not None and held.tried_at >= now
            is_too_soon = (
                held.asked_at is not None and now - held.asked_at < held.source.times.minimum_refresh
            )
            if is_shared or is_too_soon:
                age = held.age(self._clock())
                return held.keys is not None and age is not None and age < RECENT_SECONDS
            held.asked_at = now
            return await self._fetch_and_push(held)

    async def run(self) -> None:
        """Refresh what is due, for ever."""
        while True:
            self._changed.clear()
            for held in list(self._sets.values()):
                self.expire(held)
            due = [held for held in self._sets.values() if held.due_at <= self._clock()]
            await asyncio.gather(*(self._refresh(held) for held in due))
            await self._save()
            await self._wait()

    async def _wait(self) -> None:
        moments = [moment for held in self._sets.values() for moment in (held.due_at, self._end(held))]
        nearest = min((moment for moment in moments if moment is not None), default=float("inf"))
        try:
            async with asyncio.timeout(
                max(LEAST_WAIT_SECONDS, min(nearest - self._clock(), LONGEST_WAIT_SECONDS))
            ):
                await self._changed.wait()
        except TimeoutError:
            return

    @staticmethod
    def _end(held: KeySet) -> float | None:
        """The moment after which its keys are used no more; `None` without keys."""
        if held.keys is None or held.fetched_at is None:
            return None
        return held.fetched_at + held.source.times.lifetime + held.source.times.extension

    def expire(self, held: KeySet) -> None:
        """Take keys from the data plane whose issuer has been silent for longer than they may be trusted."""
        end = self._end(held)
        if end is None:
            return
        fields = {"identity": held.source.identity, "error": held.error}
        if self._clock() > end:
            held.keys = None
            self._push(held.source.identity, NO_KEYS)
            log.error("key set expired", extra=fields)
        elif self._is_stale(held) and not held.was_stale:
            held.was_stale = True
            log.warning("key set is used beyond its lifetime", extra=fields)

    def _is_stale(self, held: KeySet) -> bool:
        age = held.age(self._clock())
        return held.keys is not None and age is not None and age > held.source.times.lifetime

    def state(self) -> list[dict[str, object]]:
        """For `/health`: what each identity's keys are like."""
        now = self._clock()
        return [
            {
                "identity": name,
                "url": held.source.url,
                "has_keys": held.keys is not None,
                "stale": self._is_stale(held),
                "age_seconds": None if (age := held.age(now)) is None else round(age, 1),
                "next_refresh_seconds": round(max(0.0, held.due_at - now), 1),
                "failures": held.failures,
                "error": held.error,
            }
            for name, held in sorted(self._sets.items())
        ]

    async def _fetch_first(self, sets: list[KeySet], seconds: float) -> None:
        if not sets:
            return
        tasks = [asyncio.ensure_future(self._refresh(held)) for held in sets]
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _restore(self, names: list[str]) -> None:
        """Go on with what was kept of the same sources, for as long as it may still be used."""
        kept = await asyncio.to_thread(self._kept.load)
        for name in names:
            held, one = self._sets.get(name), kept.get(name)
            if held is None or one is None:
                continue
            is_same = (one.source.url, one.source.issuer) == (held.source.url, held.source.issuer)
            age = self._clocks.wall() - one.fetched_at
            times = held.source.times
            if not is_same or not -CLOCK_SECONDS <= age <= times.lifetime + times.extension:
                continue
            try:
                self._push(name, one.keys)
            except Exception as error:
                log.warning("kept key set is refused", extra={"identity": name, "error": str(error)})
                continue
            held.keys, held.fetched_at = one.keys, self._clock() - max(0.0, age)
            log.info("key set restored", extra={"identity": name, "age_seconds": round(age)})

    async def _save(self) -> None:
        if not self._is_unsaved:
            return
        self._is_unsaved = False
        offset = self._clocks.wall() - self._clock()
        sets = [
            KeptKeySet(held.source, held.keys, held.fetched_at + offset)
            for held in self._sets.values()
            if held.keys is not None and held.fetched_at is not None
        ]
        try:
            await asyncio.to_thread(self._kept.save, sets)
        except OSError as error:
            # Only a restart while an issuer is down would miss them.
            self.save_failures += 1
            log.error("key sets cannot be kept", extra={"error": str(error)})

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
        held.failures_in_a_row, held.was_stale = 0, False
        times = held.source.times
        # Spread by jitter, or all nodes would ask the issuer in the same second (AU-11).
        wait = times.refresh + random.uniform(0, min(times.jitter, times.refresh))  # noqa: S311 - no secret.
        held.due_at = self._clock() + min(wait, LATEST_REFRESH * times.lifetime)
        self._is_unsaved = True
        self._changed.set()
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

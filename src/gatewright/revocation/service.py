"""The revocations of one node: in force in the data plane, stored, and shared."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from gatewright.errors import GatewrightError
from gatewright.revocation.entries import Revocation, documents
from gatewright.revocation.file import RevocationFile
from gatewright.revocation.sharing import SharedRevocations, SharingHealth, SharingSettings
from gatewright.tasks import end

log = logging.getLogger("gatewright.alerts")

FIRST_SECONDS = 3.0
TICK_SECONDS = 2.0
ALERT_SECONDS = 3600.0


class RevocationsFullError(GatewrightError):
    """There is no room for more revocations."""


class UnknownRevocationError(GatewrightError):
    """There is no revocation of this id in force."""


class Revoker(Protocol):
    """What this needs of the data plane."""

    def revoke(self, entries: bytes, replace: bool) -> int: ...
    def restore(self, entries: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class RevocationSettings:
    """How many there may be, for how long by default (seconds), and with whom they are shared."""

    max_entries: int = 100_000
    lifetime: float = 30 * 86_400.0
    sharing: SharingSettings | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What a change came to: whether it survives a restart, and whether other nodes were told."""

    entries: tuple[Revocation, ...]
    stored: bool
    shared: bool | None


@dataclass(slots=True)
class Health:
    """What went wrong so far."""

    save_failures: int = 0
    full: int = 0


class RevokedTokens:
    """Belongs to one event loop."""

    def __init__(self, engine: Revoker, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._file = RevocationFile(path)
        self._clock = clock
        self._entries: dict[str, Revocation] = {}
        self._unsaved: dict[str, Revocation] = {}
        self._is_read = False
        self._taken = 0
        self._next_end = 0
        self._alerted = float("-inf")
        self._changing = asyncio.Lock()
        self._shared: SharedRevocations | None = None
        self._task: asyncio.Task[None] | None = None
        self.settings = RevocationSettings()
        self.health = Health()

    async def use(self, settings: RevocationSettings) -> None:
        """Keep revocations by these settings. Call it before the configuration goes live: what was revoked is
        in force when it returns. Raises `RevocationFileError`.
        """
        if not self._is_read:
            await self._read()
        if settings.sharing != self.settings.sharing:
            await self._share(settings.sharing)
        self.settings = settings
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="revocations")

    async def read_again(self) -> None:
        """Take what a process that this one has replaced has stored in the meantime."""
        await self.take(await asyncio.to_thread(self._file.read, self.now_ms()))

    async def close(self) -> None:
        if self._task is not None:
            await end(self._task)
            self._task = None
        await self._share(None)
        await self._save(())

    def now_ms(self) -> int:
        return int(self._clock() * 1000)

    def current(self) -> Mapping[str, Revocation]:
        return self._entries

    def listed(self) -> list[Revocation]:
        """What is in force, by id."""
        now = self.now_ms()
        found = [one for one in self._entries.values() if not one.restored and one.until_ms > now]
        return sorted(found, key=lambda one: one.id)

    @property
    def sharing(self) -> SharingHealth:
        """Whether revocations are shared; not connected where they are not to be."""
        return SharingHealth() if self._shared is None else self._shared.health

    def state(self) -> dict[str, Any]:
        """For the admin API."""
        return {
            "entries": len(self._entries),
            "max_entries": self.settings.max_entries,
            "save_failures": self.health.save_failures,
            "sharing": None if self._shared is None else {"connected": self.sharing.connected},
        }

    async def revoke(self, wished: Sequence[Revocation]) -> Done:
        """Put revocations in force, here first. One that is in force already only grows. Raises
        `RevocationsFullError`, and then none of them is.
        """
        async with self._changing:
            entries = [self._joined(one) for one in wished]
            await self._drop_ended()
            if not self._has_room(entries):
                self._tell_full()
                message = (
                    f"{self._taken} of {self.settings.max_entries} revocations are in force; revoke a whole "
                    "identity, or raise `revocations.max_entries`"
                )
                raise RevocationsFullError(message)
            return await self._change(entries)

    async def restore(self, identifier: str, by: str) -> Done:
        """End a revocation. Raises `UnknownRevocationError`."""
        async with self._changing:
            there = self._entries.get(identifier)
            if there is None or there.restored:
                raise UnknownRevocationError(f"no revocation `{identifier}` is in force")
            changed = max(self.now_ms(), there.changed_ms + 1)
            return await self._change([replace(there, restored=True, changed_ms=changed, by=by)])

    async def take(self, entries: Sequence[Revocation]) -> int:
        """Learn what another node has said; give how many were news."""
        async with self._changing:
            now = self.now_ms()
            news = [one for one in entries if one.until_ms > now and self._is_news(one)]
            if not news:
                return 0
            await self._drop_ended()
            # Those without room, too: the data plane revokes more in their place.
            await self._enforce(news)
            kept = [one for one in news if self._keeps(one)]
            if len(kept) < len(news):
                self._tell_full()
            await self._save(kept)
            return len(kept)

    def _is_news(self, entry: Revocation) -> bool:
        there = self._entries.get(entry.id)
        return there is None or entry.follows(there)

    def _joined(self, wish: Revocation) -> Revocation:
        there = self._entries.get(wish.id)
        if there is None:
            return wish
        changed = max(wish.changed_ms, there.changed_ms + 1)
        if there.restored:
            return replace(wish, changed_ms=changed)
        before = max(wish.issued_before_ms, there.issued_before_ms)
        until = max(wish.until_ms, there.until_ms)
        return replace(wish, changed_ms=changed, issued_before_ms=before, until_ms=until)

    async def _change(self, entries: Sequence[Revocation]) -> Done:
        await self._enforce(entries)
        for one in entries:
            self._put(one)
        stored = await self._save(entries)
        shared = None if self._shared is None else await self._shared.tell(entries)
        return Done(tuple(entries), stored, shared)

    async def _enforce(self, entries: Sequence[Revocation]) -> None:
        revoked = [one for one in entries if not one.restored]
        restored = [one for one in entries if one.restored]
        if revoked:
            await asyncio.to_thread(self._engine.revoke, documents(revoked), False)
        if restored:
            await asyncio.to_thread(self._engine.restore, documents(restored))

    async def _save(self, entries: Iterable[Revocation]) -> bool:
        self._unsaved.update((one.id, one) for one in entries)
        if not self._unsaved:
            return True
        batch = list(self._unsaved.values())
        try:
            await asyncio.to_thread(self._file.put, batch, self.now_ms())
        except (sqlite3.Error, OSError) as error:
            self.health.save_failures += 1
            extra = {"alert": "token_revocations_not_stored", "error": str(error), "count": len(batch)}
            log.error("revocations of tokens cannot be stored; a restart would forget them", extra=extra)
            return False
        for one in batch:
            if self._unsaved.get(one.id) == one:
                del self._unsaved[one.id]
        return True

    def _has_room(self, entries: Sequence[Revocation]) -> bool:
        new = sum(one.takes_room and one.id not in self._entries for one in entries)
        return new == 0 or self._taken + new <= self.settings.max_entries

    def _keeps(self, entry: Revocation) -> bool:
        if not self._has_room([entry]):
            return False
        self._put(entry)
        return True

    def _put(self, entry: Revocation) -> None:
        self._taken += entry.takes_room and entry.id not in self._entries
        self._entries[entry.id] = entry
        self._next_end = min(self._next_end, entry.until_ms) if self._next_end else entry.until_ms

    def _tell_full(self) -> None:
        self.health.full += 1
        now = time.monotonic()
        if now - self._alerted < ALERT_SECONDS:
            return
        self._alerted = now
        extra = {"alert": "token_revocations_full", "max_entries": self.settings.max_entries}
        log.error("there is no room for more revocations of tokens", extra=extra)

    async def _read(self) -> None:
        entries = await asyncio.to_thread(self._file.read, self.now_ms())
        for one in entries:
            self._put(one)
        revoked = [one for one in entries if not one.restored]
        await asyncio.to_thread(self._engine.revoke, documents(revoked), True)
        self._is_read = True

    async def _share(self, settings: SharingSettings | None) -> None:
        if self._shared is not None:
            await self._shared.close()
            self._shared = None
        if settings is None:
            return
        self._shared = SharedRevocations(settings, self, self._clock)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._shared.first.wait()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.tick()

    async def tick(self) -> None:
        """Forget what is over, and store what could not be stored."""
        async with self._changing:
            await self._drop_ended()
            await self._save(())

    async def _drop_ended(self) -> None:
        now = self.now_ms()
        if not self._entries or now < self._next_end:
            return
        ended = [one for one in self._entries.values() if one.until_ms <= now]
        await asyncio.to_thread(self._engine.restore, documents(ended))
        for one in ended:
            del self._entries[one.id]
            self._taken -= one.takes_room
        self._next_end = min((one.until_ms for one in self._entries.values()), default=0)

"""A node's use of the store: look-ups for the data plane, what others revoked, what keys were used for.

A look-up is one question of the data plane; nothing here is on the path of a request whose key is known.
While the store cannot be asked, known keys go on for as long as `cache_ttl` says, and others are answered
with 503.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from gatewright.keystore.database import KeyStoreError
from gatewright.keystore.keys import Found, Refused
from gatewright.keystore.settings import KeyStoreSettings
from gatewright.keystore.sharing import SharedKeys, SharingHealth
from gatewright.keystore.store import KeyStore
from gatewright.keystore.usage import UsageWriter
from gatewright.reachability import Reachability
from gatewright.tasks import end

log = logging.getLogger("gatewright.identity")

OPEN_SECONDS = 5.0
# Longer than any look-up may take: what was revoked during one is known at its end.
REMEMBERED_SECONDS = 30.0
TRIES = 3
CLEANING_SECONDS = 3600.0

Document = dict[str, Any]


class KeyCache(Protocol):
    """What the store's service needs of the data plane."""

    def forget_keys(self, ids: bytes) -> int: ...
    def key_uses(self) -> bytes: ...


class StoredKeys:
    """The store of one node, as its configuration says. Belongs to one event loop."""

    def __init__(self, engine: KeyCache, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._settings: KeyStoreSettings | None = None
        self._store: KeyStore | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._shared: SharedKeys | None = None
        self._changed: dict[str, float] = {}
        self._seen: int | None = None
        self._cleaned = float("-inf")
        self._recovering = asyncio.Lock()
        # Another store takes the place of one: what cannot be asked meanwhile is not out of order.
        self._is_changing = False
        self.health = Reachability()
        self.usage = UsageWriter(engine)

    async def use(self, settings: KeyStoreSettings | None) -> None:
        """Use this store from now on; `None` for none. One that cannot be opened is tried again and again:
        meanwhile its keys are answered with 503.
        """
        if settings == self._settings:
            return
        self._is_changing = True
        try:
            await self._change(settings)
        finally:
            self._is_changing = False

    async def _change(self, settings: KeyStoreSettings | None) -> None:
        await self._leave()
        self._settings, self.health, self._seen = settings, Reachability(), None
        await asyncio.to_thread(self._engine.forget_keys, b"null")
        if settings is None:
            return
        self._store = settings.store()
        self.usage.use(settings.leaks)
        if settings.sharing is not None:
            self._shared = SharedKeys(settings.sharing, settings.secret, self.forget)
        await self._open(self._store)
        works = ((settings.watch_interval, self.watch), (settings.usage_interval, self.write_uses))
        self._tasks = [asyncio.create_task(self._repeat(*work), name="key store") for work in works]

    @property
    def settings(self) -> KeyStoreSettings | None:
        return self._settings

    @property
    def store(self) -> KeyStore:
        """The store, for operations on it. Raises `KeyStoreError` where there is none."""
        if self._store is None:
            raise KeyStoreError("no `key_store` is configured")
        return self._store

    @property
    def sharing(self) -> SharingHealth:
        """Whether keys are shared with other nodes; not connected where they are not to be."""
        return SharingHealth() if self._shared is None else self._shared.health

    def state(self) -> Document | None:
        """For the admin API; `None` where there is no store."""
        if self._settings is None:
            return None
        return {
            "kind": self._settings.kind,
            **self.health.state(),
            "sharing": None if self._shared is None else asdict(self._shared.health),
        }

    async def ask(self) -> None:
        """Ask the store now, so that `state` tells of this moment. Takes as long as a look-up may.

        One that is being opened is not asked: that tells by itself, within its time.
        """
        if self._settings is None or self._store is None or self._is_changing:
            return
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._store.last_change()
        except Exception as error:
            self._missed(error)
        else:
            self._succeeded()

    async def look_up(self, question: Document) -> Document:
        """Answer the data plane's question about one key: `key`, `refused`, or that nobody can tell.

        The answer is right when this returns: what was revoked meanwhile is looked up once more.
        """
        if self._settings is None or self._store is None:
            return {"ok": False}
        for _ in range(TRIES):
            began = self._clock()
            try:
                async with asyncio.timeout(self._settings.timeout):
                    found = await self._find(self._store, question)
            except (KeyStoreError, TimeoutError) as error:
                self._missed(error)
                return {"ok": False}
            if self._changed.get(found.id or "", -1.0) >= began:
                continue
            if isinstance(found, Refused):
                return {"ok": True, "refused": found.why, "id": found.id}
            entry = {**found.entry, "hash": question["hash"]}
            return {"ok": True, "key": entry, "ttl_ms": found.ttl_ms}
        return {"ok": False}

    async def _find(self, store: KeyStore, question: Document) -> Found | Refused:
        shared, digest = self._shared, str(question["digest"])
        known, generation = await shared.find(digest) if shared is not None else (None, None)
        if known is not None:
            return known
        found = await store.find(str(question["prefix"]), str(question["hash"]))
        self._succeeded()
        if shared is not None and generation is not None and isinstance(found, Found):
            await shared.keep(digest, found, generation)
        return found

    async def forget(self, ids: Sequence[str] | None) -> None:
        """Let the data plane ask anew for these keys, or for all."""
        now = self._clock()
        self._changed = {key: at for key, at in self._changed.items() if now - at < REMEMBERED_SECONDS}
        self._changed.update(dict.fromkeys(ids or (), now))
        await asyncio.to_thread(self._engine.forget_keys, json.dumps(ids).encode())

    async def tell(self, ids: Sequence[str]) -> None:
        """These keys were changed here: let this node forget them now, and others by Redis. Without it they
        see it when they next look.
        """
        await self._renounce(ids, tell=True)

    async def flush(self) -> None:
        """Write what keys were used for so far, if the store can be written."""
        with contextlib.suppress(KeyStoreError, TimeoutError):
            async with asyncio.timeout(OPEN_SECONDS):
                await self.write_uses()

    async def _renounce(self, ids: Sequence[str] | None, tell: bool) -> None:
        shared = self._shared
        if shared is not None:
            # From here on, so that nobody looks there for what this node is about to forget.
            shared.owe_generation()
        await self.forget(ids)
        if shared is not None:
            await shared.changed(ids, tell)

    async def watch(self) -> None:
        """Look once at what others have changed. Raises `KeyStoreError`."""
        store = self.store
        last = await store.last_change()
        if self._seen is None or last < self._seen:
            # The first look, or a database that was put back to an earlier state.
            self._seen = last
            await self._renounce(None, tell=False)
        while self._seen < last:
            self._seen, ids = await store.changes(self._seen)
            if not ids:
                return
            await self._renounce(ids, tell=False)

    async def write_uses(self) -> None:
        """Write once what keys were used for, and once an hour forget what is too old. Raises
        `KeyStoreError`.
        """
        await self.usage.write(self.store)
        if self._settings is not None and self._clock() - self._cleaned >= CLEANING_SECONDS:
            self._cleaned = self._clock()
            kept = int(self._settings.usage_retention * 1000)
            await self.store.forget_usage(self.store.now_ms() - kept)

    async def _open(self, store: KeyStore) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await store.open()
                if self._seen is None:
                    # Before the first look-up, so that no change after it is missed.
                    self._seen = await store.last_change()
        except (KeyStoreError, TimeoutError) as error:
            self._failed(error)
            return
        self._succeeded()

    async def _repeat(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            if not self.health.connected and not await self._recovers():
                continue
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    await work()
            except (KeyStoreError, TimeoutError) as error:
                self._failed(error)

    async def _recovers(self) -> bool:
        """Can the store be asked again? It is opened anew only where that is not enough: one late answer must
        not cost the look-ups that are under way.
        """
        async with self._recovering:
            if self.health.connected:
                return True
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    await self.store.last_change()
            except (KeyStoreError, TimeoutError):
                await self._open(self.store)
            else:
                self._succeeded()
            return self.health.connected

    def _succeeded(self) -> None:
        self.health.answered(log, "key store is open")

    def _failed(self, error: Exception) -> None:
        self.health.failed(error, log, "key store cannot be asked", logging.ERROR)

    def _missed(self, error: Exception) -> None:
        """There is no answer, which says nothing of a store that is not open yet, or not any more."""
        if not self._is_changing:
            self._failed(error)

    async def _leave(self) -> None:
        await end(*self._tasks)
        self._tasks = []
        if self._shared is not None:
            await self._shared.close()
            self._shared = None
        if self._store is None:
            return
        with contextlib.suppress(KeyStoreError, TimeoutError):
            async with asyncio.timeout(OPEN_SECONDS):
                await self.usage.write(self._store)
        with contextlib.suppress(KeyStoreError, TimeoutError):
            async with asyncio.timeout(OPEN_SECONDS):
                await self._store.close()
        self._store = None

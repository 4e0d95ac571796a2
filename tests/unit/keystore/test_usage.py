"""Uses of keys on their way to the store."""

import asyncio
import json
from typing import Any

import pytest

from gatewright.keystore import usage
from gatewright.keystore.database import KeyStoreError
from gatewright.keystore.store import HOUR_MS, Use
from gatewright.keystore.usage import UsageWriter


class Engine:
    def __init__(self) -> None:
        self.uses: list[dict[str, Any]] = []

    def use(self, key: str, requests: int, last_ms: int) -> None:
        self.uses.append({"id": key, "requests": requests, "last_ms": last_ms, "networks": [], "more": False})

    def key_uses(self) -> bytes:
        taken, self.uses = self.uses, []
        return json.dumps(taken).encode()


class Store:
    def __init__(self) -> None:
        self.batches: list[list[Use]] = []
        self.broken = False

    async def used(self, uses: list[Use]) -> None:
        if self.broken:
            raise KeyStoreError("broken")
        self.batches.append(uses)


async def test_uses_wait_for_a_store_that_is_broken_and_are_then_one_batch() -> None:
    engine, store = Engine(), Store()
    writer = UsageWriter(engine)
    store.broken = True
    for last in (5, HOUR_MS + 1, 7):
        engine.use("k1", 2, last)
        with pytest.raises(KeyStoreError):
            await writer.write(store)  # pyrefly: ignore[bad-argument-type]
    store.broken = False
    await writer.write(store)  # pyrefly: ignore[bad-argument-type]
    assert store.batches == [[Use("k1", 0, 4, 7), Use("k1", HOUR_MS, 2, HOUR_MS + 1)]]
    await writer.write(store)  # pyrefly: ignore[bad-argument-type]
    assert len(store.batches) == 1


async def test_who_wants_all_uses_written_waits_for_those_that_are_being_written() -> None:
    engine, store, begun, may_go_on = Engine(), Store(), asyncio.Event(), asyncio.Event()
    writer, used = UsageWriter(engine), store.used

    async def slowly(uses: list[Use]) -> None:
        begun.set()
        await may_go_on.wait()
        await used(uses)

    store.used = slowly
    engine.use("k1", 2, 5)
    regular = asyncio.create_task(writer.write(store))  # pyrefly: ignore[bad-argument-type]
    await begun.wait()
    wanted = asyncio.create_task(writer.write(store))  # pyrefly: ignore[bad-argument-type]
    # As long as it takes to ask the data plane, which has nothing new to tell.
    await asyncio.wait([wanted], timeout=0.2)
    assert not wanted.done()
    may_go_on.set()
    await asyncio.gather(regular, wanted)
    assert store.batches == [[Use("k1", 0, 2, 5)]]


async def test_what_waits_is_bounded_and_what_is_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST_PENDING", 10)
    engine, store = Engine(), Store()
    writer = UsageWriter(engine)
    store.broken = True
    for number in range(15):
        engine.use(f"k{number}", 1, 0)
    with pytest.raises(KeyStoreError):
        await writer.write(store)  # pyrefly: ignore[bad-argument-type]
    assert writer.lost == 5

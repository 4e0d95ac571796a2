"""A node's use of the store of keys, while that is opened and when it breaks."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from gatewright.health.built_in import key_store
from gatewright.health.standing import Outcome
from gatewright.keystore.database import KeyStoreError
from gatewright.keystore.service import StoredKeys
from gatewright.keystore.settings import KeyStoreSettings

pytestmark = pytest.mark.anyio


class Slow:
    """A store that is opened when a test says so."""

    def __init__(self) -> None:
        self.begun, self.may_open = asyncio.Event(), asyncio.Event()
        self.is_open = False
        self.breaks: Exception | None = None

    async def open(self) -> None:
        self.begun.set()
        await self.may_open.wait()
        self.is_open = True

    async def last_change(self) -> int:
        if self.breaks is not None:
            raise self.breaks
        if not self.is_open:
            raise KeyStoreError("the database is not open")
        return 0

    async def find(self, *_: str) -> None:
        await self.last_change()

    async def close(self) -> None:
        self.is_open = False


class Settings(KeyStoreSettings):
    """Of a store that a test has."""

    given: Any = None

    def store(self) -> Any:
        return self.given


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(Settings, "given", slow)
    return slow


async def test_a_store_that_is_being_opened_has_not_failed(
    engine: Any, store: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    keys = StoredKeys(engine)
    node: Any = SimpleNamespace(stored_keys=keys)
    opening = asyncio.create_task(keys.use(Settings("secret")))
    await store.begun.wait()
    await keys.ask()
    assert await keys.look_up({"digest": "", "prefix": "", "hash": ""}) == {"ok": False}
    assert key_store(node, {}) is None
    store.may_open.set()
    await opening
    await keys.ask()
    assert keys.health.state() == {"connected": True, "failures": 0, "error": None}
    assert key_store(node, {}) == Outcome(True)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
    await keys.use(None)


async def test_whatever_is_wrong_with_a_store_is_told_by_its_check(engine: Any, store: Slow) -> None:
    keys = StoredKeys(engine)
    node: Any = SimpleNamespace(stored_keys=keys)
    store.may_open.set()
    await keys.use(Settings("secret"))
    store.breaks = RuntimeError("broken")
    await keys.ask()
    assert key_store(node, {}) == Outcome(False, "broken")
    await keys.use(None)

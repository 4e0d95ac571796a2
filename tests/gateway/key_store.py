"""A data plane with a store of API keys, as a whole node has it."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.client import Response, get
from gateway.node import Node
from gateway.origin import Origin
from gatewright.control.configuration import key_store_settings
from gatewright.control.state import StateDirectory
from gatewright.identity.questions import QuestionWorker
from gatewright.keystore.keys import NewKey, StoredKey
from gatewright.keystore.service import StoredKeys

SECRET = "a secret of the store, not less than 32 characters"
WAIT = 30.0


def with_store(origin: Origin, store: str = "", route: str = "", listener: str = "") -> str:
    """One route whose callers have keys of the store; `store` and `route` add options."""
    if "timeout:" not in store:
        # A busy machine may be slow; what a slow store does has tests of its own.
        store = f"timeout: 10s{more(store)}"
    return "\n".join([
        f'services: [{{name: users, instances: ["{origin.address}"]}}]',
        f"key_store: {{secret: '{SECRET}', watch_interval: 50ms, usage_interval: 100ms{more(store)}}}",
        "identities: [{name: partners, kind: api_key, keys: {store: true}}]",
        f"routes: [{{name: users, match: /*, service: users, auth: {{accept: [partners]{more(route)}}}}}]",
        f"listeners: [{{name: public, address: '127.0.0.1:1'{more(listener)}}}]",
        "",
    ])


def more(options: str) -> str:
    return f", {options}" if options else ""


async def until(wanted: Any, seconds: float = WAIT) -> Any:
    """Ask again and again; give the first answer that is true."""
    async with asyncio.timeout(seconds):
        while True:
            found = wanted()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)


class KeyedNode:
    """A node with its store. An async context manager."""

    def __init__(self, text: str, directory: Path) -> None:
        self.node = Node(text)
        self.directory = directory
        self.keys = StoredKeys(self.node.engine)
        self._questions = QuestionWorker(self.node.engine, {"look_up_key": self.keys.look_up})

    async def __aenter__(self) -> Self:
        assert self.node.loaded is not None
        state = StateDirectory(self.directory)
        await self.keys.use(key_store_settings(self.node.loaded.gateway, state, self.directory))
        self._questions.start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.keys.use(None)
        await asyncio.to_thread(self.node.stop)
        await asyncio.to_thread(self._questions.close)

    async def create(self, partner: str = "acme", **wishes: Any) -> tuple[StoredKey, str]:
        return await self.keys.store.create(NewKey(partner, **wishes))

    async def get(self, key: str, *headers: tuple[str, str], path: str = "/") -> Response:
        """What a caller with this key gets."""
        return await asyncio.to_thread(get, self.node.address, path, ("X-API-Key", key), *headers)

    async def status(self, key: str) -> int:
        return (await self.get(key)).status

    def lookups(self, outcome: str = "answered") -> float:
        return self.node.metric("gateway_key_lookups_total", outcome=outcome)

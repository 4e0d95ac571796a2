"""A data plane whose callers have passwords, as a whole node has it."""

import asyncio
import base64

from gateway.answering import AnsweringNode
from gateway.client import Response, get
from gatewright.config.password_hashes import Cost
from gatewright.control.configuration import password_settings
from gatewright.identity.passwords import PasswordChecker, hash_of
from gatewright.identity.questions import Answer

QUICK = Cost(memory_kib=7 * 1024, rounds=1, lanes=1, hash_bytes=32)
"""A few milliseconds: what is checked here is not how slow it is."""


def quick_hash(password: str) -> str:
    return hash_of(password, QUICK)


def basic(user: str, password: str) -> tuple[str, str]:
    """The header of these."""
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class PasswordNode(AnsweringNode):
    """A node with those who check its passwords. An async context manager."""

    def __init__(self, text: str) -> None:
        self.checker = PasswordChecker()
        super().__init__(text)

    def answers(self) -> dict[str, Answer]:
        return {"check_password": self.checker.check}

    def use(self) -> None:
        assert self.node.loaded is not None
        self.checker.use(password_settings(self.node.loaded))

    async def release(self) -> None:
        self.checker.close()

    def apply(self, text: str) -> None:
        """Another configuration, as a whole node takes it."""
        loaded = self.node.load(text)
        self.checker.use(password_settings(loaded))
        self.node.apply(text)

    async def get(self, user: str, password: str, *headers: tuple[str, str]) -> Response:
        return await asyncio.to_thread(get, self.node.address, "/", basic(user, password), *headers)

    async def status(self, user: str, password: str) -> int:
        return (await self.get(user, password)).status

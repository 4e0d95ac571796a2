"""A data plane whose questions Python answers, as in a whole node."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from gateway.node import Node
from gatewright.identity.questions import Answer, QuestionWorker


class AnsweringNode(ABC):
    """Begins and ends the answering. An async context manager."""

    def __init__(self, text: str) -> None:
        self.node = Node(text)
        self._questions = QuestionWorker(self.node.engine, self.answers())

    @abstractmethod
    def answers(self) -> dict[str, Answer]:
        """Who answers which kind of question; called once, when there is a node."""

    @abstractmethod
    def use(self) -> None:
        """Follow the configuration that is live."""

    @abstractmethod
    async def release(self) -> None:
        """Give back what answering took."""

    async def __aenter__(self) -> Self:
        self.use()
        self._questions.start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.node.stop)
        await asyncio.to_thread(self._questions.close)
        await self.release()

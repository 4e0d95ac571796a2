"""Answers the data plane's questions: one thread waits for them, the loop answers."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

log = logging.getLogger("gatewright.identity")

WAIT_SECONDS = 0.5


class QuestionSource(Protocol):
    """Where questions come from and answers go: the engine."""

    def next_questions(self, wait_seconds: float) -> bytes | None: ...
    def answer(self, question: int, result: bytes) -> None: ...


Question = dict[str, Any]
Answer = Callable[[Question], Awaitable[Question]]

NO: Question = {"ok": False}


class QuestionWorker:
    """Takes questions until it is closed. `answers` has, by kind of question, who answers it."""

    def __init__(self, source: QuestionSource, answers: Mapping[str, Answer]) -> None:
        self._source = source
        self._answers = answers
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take questions in a thread and answer them in `loop`."""
        self._thread = threading.Thread(target=self._run, args=(loop,), name="questions", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the wait that is under way (at most half a second). Blocks."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(2 * WAIT_SECONDS)

    async def answer(self, question: Question) -> None:
        """Answer one question. With no where nobody does, or who does fails: so that nobody waits for its
        deadline.
        """
        kind = str(question.get("kind"))
        answer = self._answers.get(kind)
        try:
            result = NO if answer is None else await answer(question)
        except Exception:
            # Never the question itself: it may hold a secret.
            log.exception("a question could not be answered", extra={"kind": kind})
            result = NO
        # Nothing is awaited in between: what was looked up is still true when the data plane learns it.
        self._source.answer(int(str(question["id"])), json.dumps(result).encode())

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ending.is_set():
            try:
                batch = self._source.next_questions(WAIT_SECONDS)
            except Exception:
                log.exception("questions cannot be taken")
                self._ending.wait(WAIT_SECONDS)
                continue
            for question in json.loads(batch) if batch else ():
                asyncio.run_coroutine_threadsafe(self.answer(question), loop)

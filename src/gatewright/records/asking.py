"""Asks questions about records of processes that do nothing else, so that no answer takes time from the
gateway.

A process is started with the first question, answers one at a time, and ends after a minute without any. One
that does not answer in time, or breaks, is killed; the next question starts another. Two at most run at once,
at a lower priority than the gateway's; questions beyond that wait, and beyond `WAITING` of them are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from gatewright.errors import GatewrightError
from gatewright.records.fields import RecordQueryError

log = logging.getLogger("gatewright.records")

PROCESSES = 2
WAITING = 16
SECONDS = 15.0
IDLE_SECONDS = 60.0
MOST_BYTES = 64 << 20
"""Of one answer."""

COMMAND = (sys.executable, "-m", "gatewright.records.query")


class QueriesBusyError(GatewrightError):
    """More questions wait for an answer than may."""


class QueryProcess:
    """One process that answers questions, started when it is needed. One question at a time."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._is_asked = False

    async def ask(self, question: bytes, seconds: float) -> bytes:
        """The line that answers. Raises `RecordQueryError`; the process is then ended."""
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(question)
        except TimeoutError as error:
            raise RecordQueryError(f"no answer within {seconds:g} s; ask for less") from error
        except (OSError, ValueError) as error:
            log.error("query process failed", extra={"error": str(error)})
            raise RecordQueryError("the query process failed; its error is in the log") from error
        finally:
            # Whatever ended this without an answer, one that comes later must not answer another question.
            if self._is_asked:
                await self.end()

    async def _answer(self, question: bytes) -> bytes:
        self._is_asked = True
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, limit=MOST_BYTES
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise OSError("the process has no pipes")
        process.stdin.write(question + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise OSError("it ended without an answer")
        self._is_asked = False
        return line

    async def end(self) -> None:
        """End the process, if there is one."""
        process, self._process, self._is_asked = self._process, None, False
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        # Closes the pipes, which would otherwise wait for the collector of garbage.
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()


class Queries:
    """Questions of one node. Belongs to one event loop."""

    def __init__(
        self,
        command: tuple[str, ...] = COMMAND,
        processes: int = PROCESSES,
        waiting: int = WAITING,
        seconds: float = SECONDS,
    ) -> None:
        self._idle = [QueryProcess(command) for _ in range(processes)]
        self._all = tuple(self._idle)
        self._free = asyncio.Semaphore(processes)
        self._waiting = waiting
        self._seconds = seconds
        self._asked = 0
        self._ending: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.outcomes: Counter[str] = Counter({"answered": 0, "wrong": 0, "failed": 0, "busy": 0})
        """How often a question was answered, made no sense, could not be answered, and was one too many."""

    async def ask(self, question: Mapping[str, Any]) -> Any:
        """The answer. Raises `RecordQueryError` for what makes no sense or cannot be answered in time, and
        `QueriesBusyError` when too many wait.
        """
        if self._asked >= len(self._all) + self._waiting:
            self.outcomes["busy"] += 1
            raise QueriesBusyError(f"{self._asked} questions about records wait already; ask again later")
        self._asked += 1
        try:
            async with self._process() as process:
                line = await process.ask(json.dumps(question).encode(), self._seconds)
        except BaseException:
            self.outcomes["failed"] += 1
            raise
        finally:
            self._asked -= 1
        given = json.loads(line)
        if "error" in given:
            self.outcomes["wrong"] += 1
            raise RecordQueryError(given["error"])
        self.outcomes["answered"] += 1
        return given["answer"]

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[QueryProcess]:
        async with self._free:
            if self._ending is not None:
                self._ending.cancel()
            # The one that answered last, so that the other may end.
            process = self._idle.pop()
            try:
                yield process
            finally:
                self._idle.append(process)
                loop = asyncio.get_running_loop()
                self._ending = loop.call_later(IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        for process in self._idle:
            task = asyncio.get_running_loop().create_task(process.end())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all processes."""
        if self._ending is not None:
            self._ending.cancel()
        for process in self._all:
            await process.end()

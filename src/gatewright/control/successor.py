"""SIGUSR2: a running node starts the process that is to take over from it, with its own command line.

What that process says goes where this one's lines go. Where it ends before it has taken over, or has not
within its time and is ended, this node goes on and says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

log = logging.getLogger("gatewright.control")

OPTION = "--takeover"
# More than a takeover may take, so that the reason of its failure is told first.
SECONDS = 90.0


def command(own: Sequence[str]) -> list[str]:
    """`own`, the interpreter's arguments included, so that it takes over."""
    arguments = [sys.executable, *own[1:]]
    return arguments if OPTION in arguments else [*arguments, OPTION]


class Succession:
    """Starts successors, one at a time."""

    def __init__(self, own: Sequence[str], is_replaced: Callable[[], bool]) -> None:
        self._command = command(own)
        self._is_replaced = is_replaced
        self._under_way: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start a successor, unless one is on its way."""
        if self._under_way is not None and not self._under_way.done():
            log.warning("a successor is on its way already")
            return
        self._under_way = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        try:
            child = start(self._command)
        except OSError as error:
            log.error("no successor can be started; this node goes on", extra={"error": str(error)})
            return
        log.info("successor started", extra={"pid": child.pid})
        why = await ended(child)
        if not self._is_replaced():
            if child.poll() is None:
                child.terminate()
            log.error("successor failed; this node goes on", extra={"pid": child.pid, "error": why})


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that shares this one's standard output and error. Raises `OSError`."""
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL)  # noqa: S603 - this process's own words.


async def ended(child: subprocess.Popen[bytes]) -> str:
    """Wait for a successor's end, at most for the time that it has; say how it failed.

    One that has taken over outlives this process, and this wait.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    # Neither a thread, which the end of this process would wait for, nor asyncio's own, which would kill it.
    descriptor = os.pidfd_open(child.pid)
    loop.add_reader(descriptor, over.set)
    try:
        async with asyncio.timeout(SECONDS):
            await over.wait()
    except TimeoutError:
        return f"it has not taken over within {SECONDS:g} s"
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return f"it ended with {child.wait()}"

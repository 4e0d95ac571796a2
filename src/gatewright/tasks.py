"""Ending tasks."""

from __future__ import annotations

import asyncio
from typing import Any

# Longer than any task takes to tidy up, which a second cancellation would interrupt.
AGAIN_SECONDS = 5.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel these tasks, and return once they have ended, whatever they ended with.

    They are cancelled again and again: a cancellation may get lost. `asyncio.wait_for` of Python 3.11, by
    which the client of Redis sends, forgets one that comes when what it waits for has just been done.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        ended, waiting = await asyncio.wait(waiting, timeout=AGAIN_SECONDS)
        for task in ended:
            if not task.cancelled():
                # Asked for, so that nobody is told that it was not.
                task.exception()

"""Tasks end, whatever became of their cancellation."""

import asyncio

import pytest

from gatewright import tasks
from gatewright.tasks import end


async def forgetful() -> None:
    """Loses one cancellation, as `asyncio.wait_for` of Python 3.11 may."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def failing() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise ZeroDivisionError


async def test_a_task_that_forgets_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    running = [asyncio.create_task(work()) for work in (forgetful, failing, asyncio.Event().wait)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await end(*running)
    assert [task.done() for task in running] == [True, True, True]


async def test_tasks_that_have_ended_and_none_at_all_are_ended_at_once() -> None:
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    await end(done)
    await end()
    assert not done.cancelled()

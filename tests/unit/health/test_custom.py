"""Checks that users write: how they are found, and that none of them can hurt the node."""

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gatewright.health import check
from gatewright.health.custom import MARK, Attempts, Check, CheckError, find

FILE = """
from gatewright.health import check

@check(interval="1s", timeout="500ms", critical=True)
def database():
    return "12 connections"

@check(name="queue of mails")
async def mails():
    raise RuntimeError("3,000 wait")

def plain():
    pass
"""


def made(function, timeout: float = 5.0) -> Attempts:
    return Attempts(Check("x", 1.0, timeout, False, function))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_checks.py"
    path.write_text(FILE)
    return path


def test_a_check_is_found_beside_the_configuration(file: Path) -> None:
    found = find("my_checks:database", file.parent)
    assert (found.name, found.interval, found.timeout, found.critical) == ("database", 1.0, 0.5, True)
    assert found.file == file
    assert find("my_checks:mails", file.parent).name == "queue of mails"


def test_a_changed_file_gives_another_check(file: Path) -> None:
    before = find("my_checks:database", file.parent)
    file.write_text(FILE.replace("12 connections", "13 connections"))
    assert find("my_checks:database", file.parent).function() == "13 connections"
    assert before.function() == "12 connections"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("my_checks", "write `FILE:FUNCTION`"),
        ("my_checks:plain", "known there: database, mails"),
        ("my_checks:absent", "known there: database, mails"),
        ("elsewhere:database", "cannot be imported: ModuleNotFoundError"),
        ("broken:database", "cannot be imported: SyntaxError"),
    ],
)
def test_what_is_no_check_is_refused_with_what_would_work(file: Path, text: str, why: str) -> None:
    file.with_name("broken.py").write_text("def (")
    with pytest.raises(CheckError, match=why):
        find(text, file.parent)


async def test_outcomes_of_all_kinds(file: Path) -> None:
    patient = replace(find("my_checks:database", file.parent), timeout=30.0)
    went = await Attempts(patient).once()
    assert (went.well, went.message) == (True, "12 connections")
    went = await Attempts(find("my_checks:mails", file.parent)).once()
    assert (went.well, went.message) == (False, "RuntimeError: 3,000 wait")
    assert (await made(lambda: False).once()).well is False
    assert (await made(lambda: None).once()).well is True


async def test_a_check_that_ends_the_process_does_not(file: Path) -> None:
    def leave() -> None:
        raise SystemExit(3)

    assert (await made(leave).once()).message == "SystemExit: 3"


async def test_one_that_hangs_is_told_and_not_begun_again() -> None:
    free, has_begun, begun = threading.Event(), threading.Event(), []

    def hang() -> None:
        begun.append(time.monotonic())
        has_begun.set()
        free.wait(30)

    attempts = made(hang, 0.02)
    assert (await attempts.once()).message == "has not ended within 0.02 s"
    assert "has not ended for" in str((await attempts.once()).message)
    assert await asyncio.to_thread(has_begun.wait, 30)
    assert len(begun) == 1
    free.set()
    for _ in range(1000):
        went = await attempts.once()
        if went.well:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(went)


async def test_an_async_check_that_blocks_does_not_block_the_node() -> None:
    free = threading.Event()

    async def block() -> None:
        free.wait(30)

    ticks = 0
    once = asyncio.create_task(made(block).once())
    while ticks < 5:
        await asyncio.sleep(0)
        ticks += 1
    free.set()
    assert (await once).well


def test_a_check_with_times_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="an `interval` of"):
        check(interval="1ms")
    assert getattr(check(interval="100ms")(lambda: None), MARK).interval == 0.1

"""SIGUSR2: a running process starts its successor, which takes over from it or says why it cannot."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.conftest import Setting
from faults.process import PROGRAM, Process, wait_until
from faults.test_takeover import serves
from faults.traffic import echo, load
from gatewright.control.successor import command


def events(process: Process, name: str) -> list[dict[str, Any]]:
    """What was logged under a name, by a process or by its successors: they share their standard error."""
    lines = [json.loads(line) for line in process.lines if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def arguments(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().removesuffix("\0").split("\0")


@pytest.fixture
def successors() -> Iterator[list[int]]:
    """Processes that nobody waits for; they end with the test."""
    started: list[int] = []
    yield started
    for pid in started:
        os.kill(pid, signal.SIGKILL)


async def test_a_process_is_replaced_by_its_successor_under_load(
    setting: Setting, successors: list[int]
) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        async with load(setting.port) as clients:
            await clients.more(100)
            process.signal(signal.SIGUSR2)
            assert await asyncio.to_thread(process.wait) == 0
            successors += [event["pid"] for event in events(process, "successor started")]
            await clients.more(100)
        assert clients.failures == []
        assert arguments(successors[0])[-3:] == ["--workers", "2", "--takeover"]
        assert not events(process, "successor failed; this node goes on")


def test_a_successor_that_fails_changes_nothing_and_the_next_may_do_better(
    setting: Setting, successors: list[int]
) -> None:
    usual = setting.text() + "reload: {watch: false}\n"
    setting.write(usual)
    process = setting.run()
    setting.write("version: 1\nroutes: nonsense\n")
    process.signal(signal.SIGUSR2)
    process.wait_for_line("successor failed; this node goes on")
    assert process.said("gateway.yaml:2:"), (
        "what the successor has to say comes out where this one's words do"
    )
    assert [event["error"] for event in events(process, "successor failed; this node goes on")] == [
        "it ended with 1"
    ]
    serves(setting, process, b"1")
    setting.write(usual)
    process.signal(signal.SIGUSR2)
    assert process.wait() == 0
    successors += [event["pid"] for event in events(process, "successor started")][1:]
    assert len(successors) == 1


def test_one_successor_at_a_time_is_waited_for_and_not_for_ever(setting: Setting) -> None:
    setting.write()
    process = setting.run(program=("-c", PATIENT))
    process.signal(signal.SIGUSR2)
    process.wait_for_line("successor started")
    process.wait_for_line("a successor is on its way already")
    process.wait_for_line("it has not taken over within 0.5 s")
    serves(setting, process, b"1")
    pid = events(process, "successor started")[0]["pid"]
    wait_until("the successor to end", lambda: not alive(pid))
    assert len(events(process, "successor started")) == 1


PATIENT = (
    "import logging, os, signal, sys\n"
    "if '--takeover' in sys.argv: signal.pause()\n"
    "import gatewright.cli, gatewright.control.successor as successor\n"
    "successor.SECONDS = 0.5\n"
    "class Again(logging.Handler):\n"
    "    def emit(self, record):\n"
    "        if record.msg == 'successor started': os.kill(os.getpid(), signal.SIGUSR2)\n"
    "successor.log.addHandler(Again())\n"
    "gatewright.cli.main()"
)
"""The command, but it does nothing where it is to take over, does not wait long for its own successor, and is
told to start another one as soon as there is one.
"""


def alive(pid: int) -> bool:
    # It is a child of a process that waits for no child: a zombie has ended, too.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_command_line_takes_over_whether_it_said_so_or_not() -> None:
    assert command(["python", *PROGRAM, "run"])[1:] == [*PROGRAM, "run", "--takeover"]
    assert command(["python", *PROGRAM, "run", "--takeover"])[1:] == [*PROGRAM, "run", "--takeover"]

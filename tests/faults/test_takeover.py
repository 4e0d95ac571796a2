"""A gateway replaced by another process while it serves: no request fails; a failed try changes nothing."""

import asyncio
import contextlib
import itertools
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from faults.conftest import Setting
from faults.process import PROGRAM, Process, wait_until
from faults.test_draining import stored
from faults.test_reload import until
from faults.traffic import echo, is_refused, load
from gateway import get
from gateway.http2 import Http2
from gatewright.control.takeover import NAME, OldNode, old_node
from gatewright.errors import TakeoverError
from gatewright.insight.rollup_files import level_of

KILLED = (
    "-c",
    "import os, gatewright.cli, gatewright.control.node as node\n"
    "node.Node.apply = lambda *_: os.kill(os.getpid(), 9)\n"
    "gatewright.cli.main()",
)
"""The command, but it dies when it has the sockets and before it uses them."""

HASTY = (
    "-c",
    "import gatewright.cli, gatewright.control.takeover as takeover\n"
    "takeover.READY_SECONDS = 0.5\n"
    "gatewright.cli.main()",
)
"""The command, but it does not wait long for a process that takes over."""


def start(setting: Setting, workers: int = 2, program: tuple[str, ...] = PROGRAM) -> Process:
    """A process that takes over; it is not waited for."""
    options = ("--takeover", "--workers", str(workers))
    process = Process(setting.file, setting.admin, *options, program=program)
    setting.running.append(process)
    return process


def replace(setting: Setting, old: Process, workers: int = 2) -> Process:
    """A process that serves in the place of `old`, which has ended well."""
    new = start(setting, workers)
    new.wait_until_live()
    assert old.wait() == 0, old.lines
    assert old.said("taken over; draining")
    assert new.said("sockets taken over")
    return new


class Watch(Protocol):
    """Something that a thread does until it is told to stop."""

    stopping: bool

    def run(self) -> None: ...


class Http2Load:
    """One HTTP/2 client that asks one request after the other and goes elsewhere when it is told to."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.answered = 0
        self.connections = 0
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            self.connections += 1
            with Http2(self.address) as client:
                while not self.stopping and client.went_away is None:
                    target = f"/http2/{self.answered}"
                    answer = client.request(target)
                    assert (answer.status, answer.body) == (200, target.encode())
                    self.answered += 1


class ReadinessWatch:
    """Asks for `/readyz` again and again, on a new connection each time; keeps what was not 200."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.stopping = False
        self.asked = 0
        self.others: list[int] = []

    def run(self) -> None:
        while not self.stopping:
            status = self.process.ask("/readyz")[0]
            self.asked += 1
            if status != 200:
                self.others.append(status)


@contextlib.asynccontextmanager
async def beside(*watches: Watch) -> AsyncIterator[None]:
    """Runs watches in threads until the block ends."""
    threads = [asyncio.create_task(asyncio.to_thread(watch.run)) for watch in watches]
    try:
        yield
    finally:
        for watch in watches:
            watch.stopping = True
        await asyncio.gather(*threads)


async def test_replacing_the_process_under_load_fails_no_request_and_loses_no_record(
    setting: Setting,
) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        http2, ready = Http2Load(setting.port), ReadinessWatch(process)
        async with (
            beside(http2, ready),
            load(setting.port, clients=4) as kept,
            load(setting.port, clients=4, keep_alive=False) as new,
        ):
            new.numbers = itertools.count(10_000_000)
            # More workers than sockets, fewer, and as many.
            for workers in (3, 1, 2):
                await asyncio.gather(new.more(100), kept.more(100))
                before = http2.connections
                process = await asyncio.to_thread(replace, setting, process, workers)
                await until("GOAWAY of the old process", partial(has_moved, http2, before))
            await asyncio.gather(new.more(100), kept.more(100))
        assert (kept.failures, new.failures, ready.others) == ([], [], [])
        assert kept.ended == 0, "a client that is busy is told `Connection: close` first"
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0
        paths = [record["path"] for record in stored(setting.records)]
        of_http2 = [path for path in paths if str(path).startswith("/http2/")]
        assert len(paths) == len(set(paths))
        assert len(of_http2) == http2.answered
        assert len(paths) - len(of_http2) == kept.answered + new.answered
        assert rolled_up(setting.directory / ".gatewright" / "rollups") == [len(paths)] * 3


def has_moved(http2: Http2Load, before: int) -> bool:
    return http2.connections > before


def rolled_up(directory: Path) -> list[int]:
    """How many requests there are by days, hours and minutes."""
    found = dict.fromkeys(("days", "hours", "minutes"), 0)
    for path in directory.glob("*.sqlite"):
        table = level_of(path).table
        with contextlib.closing(sqlite3.connect(path)) as file:
            found[table] += file.execute(f"SELECT SUM(count) FROM {table}").fetchone()[0]  # noqa: S608 - of ours.
    return list(found.values())


def serves(setting: Setting, process: Process, body: bytes) -> None:
    """That `process` serves its configuration as if nothing had been."""
    assert process.child.poll() is None
    assert process.ask("/readyz")[0] == 200
    for _ in range(20):
        assert get(("127.0.0.1", setting.port), "/number").body == body


def test_what_fails_before_it_is_ready_leaves_the_old_process_serving(setting: Setting) -> None:
    usual = setting.text() + "reload: {watch: false}\n"
    setting.write(usual)
    old = setting.run()
    setting.write("version: 1\nroutes: nonsense\n")
    invalid = start(setting)
    assert invalid.wait() == 1
    assert invalid.said("gateway.yaml:2:")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        added = f'listeners: [{{name: more, address: "127.0.0.1:{port}"}}, '
        setting.write(usual.replace("listeners: [", added))
        refused = start(setting)
        assert refused.wait() == 1
        assert refused.said(f"listener `more` on 127.0.0.1:{port}")
    wait_until("the old one to go on", lambda: went_on(old) == 1)
    setting.write(usual)
    killed = start(setting, program=KILLED)
    assert killed.wait() == -signal.SIGKILL
    assert killed.said("sockets taken over")
    wait_until("the old one to go on", lambda: went_on(old) == 2)
    serves(setting, old, b"1")


def went_on(process: Process) -> int:
    return sum("takeover failed; this node goes on" in line for line in process.lines)


async def test_listeners_that_come_and_go_with_the_new_configuration(
    setting: Setting, free_port: Callable[[], int]
) -> None:
    async with echo() as service:
        setting.service = service.port
        gone, come = free_port(), free_port()
        usual = setting.text() + "reload: {watch: false}\n"
        listeners = 'listeners: [{{name: other, address: "127.0.0.1:{}"}}, '
        setting.write(usual.replace("listeners: [", listeners.format(gone)))
        old = await asyncio.to_thread(setting.run)
        setting.write(usual.replace("listeners: [", listeners.format(come)))
        async with load(setting.port) as clients, load(gone, until_refused=True) as leaving:
            await clients.more(100)
            await leaving.more(100)
            await asyncio.to_thread(replace, setting, old)
            await clients.more(100)
        assert (clients.failures, leaving.failures) == ([], [])
        await until("refused connections", lambda: is_refused(gone))
        answer = await asyncio.to_thread(get, ("127.0.0.1", come), "/number")
        assert answer.body == b"1"


def test_without_a_node_to_take_over_from_it_starts_as_usual(setting: Setting) -> None:
    setting.write()
    first = start(setting)
    first.wait_until_live()
    first.signal(signal.SIGKILL)
    first.wait()
    assert (setting.directory / ".gatewright" / NAME).is_socket(), "the file outlives its process"
    second = start(setting)
    second.wait_until_live()
    serves(setting, second, b"1")
    assert not second.said("taken over")


def test_a_process_that_is_ready_too_late_is_told_that_the_old_one_goes_on(setting: Setting) -> None:
    setting.write()
    process = setting.run(program=HASTY)
    late = greeted(setting.directory / ".gatewright")
    process.wait_for_line("the new process was not ready within 0.5 s")
    with pytest.raises(TakeoverError, match=r"goes on: the new process was not ready within 0\.5 s"):
        late.drain()
    late.close()
    serves(setting, process, b"1")


def greeted(directory: Path) -> OldNode:
    node = old_node(directory)
    assert node is not None
    return node


def test_only_one_process_at_a_time_may_take_over_and_only_the_owner_may_ask(setting: Setting) -> None:
    setting.write()
    process = setting.run()
    state = setting.directory / ".gatewright"
    assert (state / NAME).stat().st_mode & 0o777 == 0o600
    dropped = greeted(state)
    assert dropped.pid == process.child.pid
    dropped.close()
    process.wait_for_line("takeover failed; this node goes on")
    first = greeted(state)
    with pytest.raises(TakeoverError, match="another takeover is under way"):
        old_node(state)
    first.drain()
    first.close()
    assert process.wait() == 0
    assert old_node(state) is None

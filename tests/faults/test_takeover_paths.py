"""Listeners on Unix sockets when another process takes over: the path stays, and always has one owner."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from faults.conftest import Setting
from faults.process import Process, wait_until
from faults.test_takeover import KILLED, replace, start, went_on
from faults.traffic import echo, load
from gateway import UnixClient, encode

FAILS_AFTERWARDS = (
    "-c",
    "import gatewright.cli, gatewright.control.takeover as takeover\n"
    "from gatewright.errors import TakeoverError\n"
    "def fail(*_): raise TakeoverError('not today')\n"
    "takeover.OldNode.drain = fail\n"
    "gatewright.cli.main()",
)
"""The command, but it ends when its configuration is live and before it says so."""


def with_paths(setting: Setting, *paths: Path) -> str:
    """A configuration that listens on paths as well."""
    more = "".join(f'{{name: {path.stem}, address: "unix:{path}"}}, ' for path in paths)
    text = setting.text() + "reload: {watch: false}\n"
    return text.replace("listeners: [", f"listeners: [{more}")


def ask(path: Path) -> bytes:
    with UnixClient(path) as client:
        client.send(encode("/number"))
        return client.response().body


def inode(path: Path) -> int:
    return path.stat().st_ino


def files(setting: Setting) -> set[str]:
    return {path.name for path in setting.directory.glob("*.sock*")}


async def test_replacing_the_process_under_load_fails_no_request_by_a_path(setting: Setting) -> None:
    path = setting.directory / "a.sock"
    async with echo() as service:
        setting.service = service.port
        setting.write(with_paths(setting, path))
        process = await asyncio.to_thread(setting.run)
        first = inode(path)
        async with (
            load(0, clients=4, path=path) as kept,
            load(0, clients=4, path=path, keep_alive=False) as new,
        ):
            for workers in (3, 1):
                await asyncio.gather(new.more(100), kept.more(100))
                process = await asyncio.to_thread(replace, setting, process, workers)
            await asyncio.gather(new.more(100), kept.more(100))
        assert (kept.failures, new.failures) == ([], [])
        assert inode(path) == first, "it is the same socket all the time"
    process.signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0
    assert files(setting) == set()


def test_a_path_that_is_gone_from_the_configuration_is_removed_by_the_old_process(setting: Setting) -> None:
    gone, stays, comes = (setting.directory / f"{name}.sock" for name in ("gone", "stays", "comes"))
    setting.write(with_paths(setting, gone, stays))
    old = setting.run()
    setting.write(with_paths(setting, stays, comes))
    replace(setting, old)
    assert files(setting) == {"stays.sock", "stays.sock.lock", "comes.sock", "comes.sock.lock"}
    assert (ask(stays), ask(comes)) == (b"2", b"2")


def test_a_process_that_fails_to_take_over_leaves_the_path_to_the_old_one(setting: Setting) -> None:
    path = setting.directory / "a.sock"
    setting.write(with_paths(setting, path))
    old = setting.run()
    killed = start(setting, program=KILLED)
    assert killed.wait() == -signal.SIGKILL
    failed = start(setting, program=FAILS_AFTERWARDS)
    assert failed.wait() == 1
    assert failed.said("not today")
    assert not failed.said("Traceback")
    wait_until("the old one to go on", lambda: went_on(old) == 2)
    assert ask(path) == b"1"
    replace(setting, old)
    assert ask(path) == b"1"


def test_a_path_is_refused_to_a_process_that_does_not_take_over(
    setting: Setting, free_port: Callable[[], int]
) -> None:
    path = setting.directory / "a.sock"
    setting.write(with_paths(setting, path))
    process = setting.run()
    other = setting.directory / "other"
    other.mkdir()
    beside = Setting(other, free_port(), free_port(), service=free_port())
    beside.write(with_paths(beside, path))
    with Process(beside.file, beside.admin) as second:
        assert second.wait() == 1
        wait_until("the reason", lambda: second.said("another process listens on it"))
    assert ask(path) == b"1"
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_path_whose_file_was_removed_gets_a_new_one_at_takeover(setting: Setting) -> None:
    path = setting.directory / "a.sock"
    setting.write(with_paths(setting, path))
    old = setting.run()
    path.unlink()
    new = replace(setting, old)
    assert ask(path) == b"1"
    new.signal(signal.SIGTERM)
    assert new.wait() == 0
    assert files(setting) == set()

"""Reloading a gateway that serves: nobody notices, and a mistake changes nothing."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from faults.conftest import Setting
from faults.process import Process
from faults.traffic import closed, echo, is_refused, load, read_answer
from gateway import get

RELOADS = 200
DEADLINE = 60.0


async def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for something that a file change brings about, while clients of this loop go on."""
    try:
        async with asyncio.timeout(DEADLINE):
            # What is waited for happens in another process, which sets no event of ours.
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - as above.
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise TimeoutError(f"not within {DEADLINE} s: {what}") from None


def has_applied(process: Process, version: int) -> bool:
    return any(one >= version for one in applied(process))


def applied(process: Process) -> list[int]:
    """The versions that the log says were applied, in order."""
    lines = [line for line in process.lines if '"configuration applied"' in line]
    return [int(line.split('"version": ')[1].split(",")[0].rstrip("}")) for line in lines]


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept connections", "new connections"])
async def test_hundreds_of_reloads_under_load_fail_no_request(setting: Setting, keep_alive: bool) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        async with load(setting.port, keep_alive=keep_alive) as clients:
            await clients.more(100)
            for count in range(2, RELOADS + 1):
                setting.write()
                process.signal(signal.SIGHUP)
                await until(f"version {count}", partial(has_applied, process, count))
            await clients.more(100)
        assert clients.failures == []
        assert clients.ended == 0, "a reload must not close connections that are in use"
        versions = applied(process)
        assert versions == sorted(set(versions))
        assert len(versions) >= RELOADS
        assert process.metric("gateway_config_version") >= versions[-1]
        assert process.metric("gateway_connections_open") < 20


async def test_requests_see_the_new_configuration_as_soon_as_its_version_is_told(setting: Setting) -> None:
    # Who watches may apply a file for a second time: what is waited for is what the signal brings about.
    unwatched = "reload: {watch: false}\n"
    setting.write(setting.text() + unwatched)
    process = await asyncio.to_thread(setting.run)
    reader, writer = await asyncio.open_connection("127.0.0.1", setting.port)
    for _ in range(20):
        before = applied(process)[-1]
        setting.write(setting.text() + unwatched)
        process.signal(signal.SIGHUP)
        await until("the next version", lambda: applied(process)[-1] > before)  # noqa: B023
        writer.write(b"GET /number HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert int(await reader.readexactly(length)) == setting.number
    await closed(writer)


async def test_invalid_file_changes_nothing_and_is_shown_everywhere(setting: Setting) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        version = process.health()["config"]["version"]
        failures = process.metric("gateway_config_reload_failures_total")
        async with load(setting.port, clients=4) as clients:
            await clients.more(20)
            setting.write(setting.text().replace("service: echo", "service: ecko"))
            await until("refusal", lambda: process.said('"configuration refused"'))
            await clients.more(20)
        assert clients.failures == []
        shown = process.health()["config"]
        assert (shown["version"], shown["state"]) == (version, "invalid")
        assert "unknown service `ecko`" in shown["errors"][0]
        assert "gateway.yaml:8:" in shown["errors"][0]
        assert process.metric("gateway_config_reload_failures_total") > failures
        assert process.metric("gateway_config_version") == version
        assert any("ecko" in line and "gateway.yaml:8:" in line for line in process.lines)
        setting.write()
        await until("recovery", lambda: process.health()["config"]["state"] == "valid")
        assert process.health()["config"]["version"] > version


async def test_configuration_that_only_the_data_plane_refuses_changes_nothing(
    setting: Setting, free_port: Callable[[], int]
) -> None:
    """An address in use is found out when it is listened on, after all other checks."""
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        version = process.health()["config"]["version"]
        taken = f'listeners: [{{name: other, address: "127.0.0.1:{service.port}"}}, '
        async with load(setting.port, clients=2) as clients:
            setting.write(setting.text().replace("listeners: [", taken))
            await until("refusal", lambda: process.said('"configuration refused"'))
            await clients.more(20)
        assert clients.failures == []
        assert process.health()["config"]["version"] == version
        assert str(service.port) in process.health()["config"]["errors"][0]


async def test_swap_of_a_symbolic_link_is_noticed_without_a_signal(setting: Setting) -> None:
    """Kubernetes mounts a ConfigMap as links to a link to a directory, and swaps that one link."""
    for name in ("first", "second"):
        (setting.directory / name).mkdir()
        (setting.directory / name / "gateway.yaml").write_text(setting.text())
    data = setting.directory / "data"
    data.symlink_to("first", target_is_directory=True)
    setting.file.symlink_to(Path("data") / "gateway.yaml")
    process = await asyncio.to_thread(setting.run)
    version = process.health()["config"]["version"]
    swap = setting.directory / "data.new"
    swap.symlink_to("second", target_is_directory=True)
    swap.replace(data)
    await until("a new version", lambda: process.health()["config"]["version"] > version)
    assert get(("127.0.0.1", setting.port), "/number").body == b"2"


async def test_file_that_is_written_in_place_is_noticed_without_a_signal(setting: Setting) -> None:
    setting.write()
    process = await asyncio.to_thread(setting.run)
    version = process.health()["config"]["version"]
    setting.file.write_text(setting.text())
    await until("a new version", lambda: process.health()["config"]["version"] > version)


async def test_removed_listener_finishes_its_requests_and_takes_no_more(
    setting: Setting, free_port: Callable[[], int]
) -> None:
    async with echo() as service:
        setting.service = service.port
        second = free_port()
        both = f'listeners: [{{name: second, address: "127.0.0.1:{second}"}}, '
        setting.write(setting.text().replace("listeners: [", both))
        process = await asyncio.to_thread(setting.run)
        service.may_answer.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", second)
        writer.write(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        await until("the request at the service", lambda: service.served == 1)
        version = process.health()["config"]["version"]
        setting.write()
        process.signal(signal.SIGHUP)
        await until("a new version", lambda: process.health()["config"]["version"] > version)
        service.may_answer.set()
        status, _, body = await asyncio.wait_for(read_answer(reader), DEADLINE)
        assert (status, body) == (200, b"/held")
        # That request had begun before the change; the next one on its connection is the last.
        writer.write(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
        status, headers, body = await asyncio.wait_for(read_answer(reader), DEADLINE)
        assert (status, body, headers.get("connection")) == (200, b"/last", "close")
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        await closed(writer)
        await until("refused connections", lambda: is_refused(second))

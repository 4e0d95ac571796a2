"""Ending a gateway that serves: what was accepted is answered, what happened is stored, the next goes on."""

import asyncio
import json
import signal
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from faults.conftest import Setting
from faults.process import Process, gatewright, wait_until
from faults.test_reload import until
from faults.traffic import closed, echo, is_refused, load, read_answer
from gateway import Client, get

DEADLINE = 60.0


def stored(directory: Path) -> list[dict[str, object]]:
    """Every record in the segments of a directory, read as plain SQLite."""
    found: list[dict[str, object]] = []
    for path in sorted(directory.glob("*.sqlite*")):
        if path.name.endswith(("-wal", "-shm")):
            continue
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as segment:
            found += [json.loads(row[0]) for row in segment.execute("SELECT record FROM records")]
        segment.close()
    return found


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept connections", "new connections"])
async def test_sigterm_under_load_fails_no_request_and_stores_every_record(
    setting: Setting, keep_alive: bool
) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        async with load(setting.port, keep_alive=keep_alive, until_refused=True) as clients:
            await clients.more(300)
            process.signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait) == 0
        assert clients.failures == []
        assert clients.ended == 0, "a client that is busy is told `Connection: close` first"
        paths = [record["path"] for record in stored(setting.records)]
        assert len(paths) == len(set(paths)) == clients.answered
        assert not any('"level": "error"' in line for line in process.lines)


async def test_requests_under_way_are_answered_after_sigterm_and_told_to_close(setting: Setting) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        service.may_answer.clear()
        links = [await asyncio.open_connection("127.0.0.1", setting.port) for _ in range(20)]
        for number, (_, writer) in enumerate(links):
            writer.write(b"GET /held/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        await until("all requests at the service", lambda: service.served == 20)
        process.signal(signal.SIGTERM)
        await until("not ready", lambda: process.ask("/readyz")[0] == 503)
        await until("refused connections", lambda: is_refused(setting.port))
        assert process.child.poll() is None, "it must not end while requests are under way"
        service.may_answer.set()
        for number, (reader, writer) in enumerate(links):
            status, _, body = await asyncio.wait_for(read_answer(reader), DEADLINE)
            assert (status, body) == (200, b"/held/%d" % number)
            assert await reader.read() == b""
            await closed(writer)
        assert await asyncio.to_thread(process.wait) == 0
        assert len(stored(setting.records)) == 20


async def test_requests_that_outlast_the_drain_are_cut_and_recorded(setting: Setting) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write(setting.text().replace("drain_timeout: 20s", "drain_timeout: 300ms"))
        process = await asyncio.to_thread(setting.run)
        service.may_answer.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", setting.port)
        writer.write(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        await until("the request at the service", lambda: service.served == 1)
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0
        assert await reader.read() == b""
        await closed(writer)
        records = stored(setting.records)
        assert [record["path"] for record in records] == ["/held"]


async def test_idle_and_silent_connections_do_not_hold_the_drain(setting: Setting) -> None:
    setting.write()
    process = await asyncio.to_thread(setting.run)
    address = ("127.0.0.1", setting.port)
    with Client(address) as idle, Client(address) as silent:
        idle.send(b"GET /number HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.response().status == 200
        process.signal(signal.SIGTERM)
        idle.wait_closed()
        silent.wait_closed()
    assert await asyncio.to_thread(process.wait) == 0
    drained = [line for line in process.lines if '"event": "drained"' in line]
    assert ['"all_finished": true' in line for line in drained] == [True]


async def test_while_balancers_may_still_send_a_draining_node_accepts(setting: Setting) -> None:
    setting.write(setting.text().replace("drain_timeout: 20s", "drain_timeout: 20s, drain_delay: 1h"))
    process = await asyncio.to_thread(setting.run)
    process.signal(signal.SIGTERM)
    await until("not ready", lambda: process.ask("/readyz")[0] == 503)
    assert (await asyncio.to_thread(get, ("127.0.0.1", setting.port), "/number")).status == 200
    process.signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 1


async def test_second_sigterm_ends_at_once_with_1(setting: Setting) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run)
        service.may_answer.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", setting.port)
        writer.write(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        await until("the request at the service", lambda: service.served == 1)
        process.signal(signal.SIGTERM)
        await until("draining", lambda: process.said('"draining"'))
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 1
        await closed(writer)


def test_killed_gateway_starts_again_with_a_higher_version_and_its_records(setting: Setting) -> None:
    setting.write()
    for start in range(1, 4):
        process = setting.run()
        with process:
            answer = get(("127.0.0.1", setting.port), "/number", ("X-Request-ID", f"start-{start}"))
            assert answer.status == 200
            assert process.metric("gateway_config_version") == start
            # Only what has been stored can outlive a kill.
            wait_until("the record", partial(is_stored, process, f"start-{start}"))
            assert gatewright("explain", f"start-{start}", "--admin", admin(process)).returncode == 0
            process.signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    assert [record["request_id"] for record in stored(setting.records)] == ["start-1", "start-2", "start-3"]


def is_stored(process: Process, request_id: str) -> bool:
    return process.ask(f"/api/v1/records/{request_id}")[0] == 200


def admin(process: Process) -> str:
    return f"http://127.0.0.1:{process.admin_port}"


def test_node_starts_from_its_last_good_configuration_when_asked_to(setting: Setting) -> None:
    setting.write()
    with setting.run() as process:
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    setting.write("version: 1\nroutes: nonsense\n")
    with Process(setting.file, setting.admin) as process:
        assert process.wait() == 1
        assert process.said("gateway.yaml:2:")
    with Process(setting.file, setting.admin, "--last-good", program=with_admin(setting.admin)) as process:
        process.wait_until_live()
        assert get(("127.0.0.1", setting.port), "/number").body == b"1"
        shown = process.health()["config"]
        assert (shown["state"], shown["source"], shown["version"]) == ("invalid", "last-good", 2)
        assert "gateway.yaml:2:" in shown["errors"][0]


def with_admin(port: int) -> tuple[str, ...]:
    """The command with another default admin address: a node without a configuration takes that one."""
    return (
        "-c",
        "import gatewright.cli, gatewright.control.run as run\n"
        f"run.LAST_GOOD_ADMIN = run.AdminSettings('127.0.0.1', {port})\n"
        "gatewright.cli.main()",
    )


def test_explain_and_records_read_what_a_gateway_has_stored(setting: Setting) -> None:
    setting.write()
    address = ("127.0.0.1", setting.port)
    with setting.run() as process:
        assert get(address, "/number", ("X-Request-ID", "good")).status == 200
        # Nothing listens where the service should be.
        assert get(address, "/missing", ("X-Request-ID", "bad")).status == 502
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    directory = str(setting.records)
    explained = gatewright("explain", "bad", "--directory", directory)
    assert explained.returncode == 0, explained.stderr
    for text in ("GET /missing", "502", "connection_refused", "gateway.yaml:"):
        assert text in explained.stdout
    listed = gatewright("records", "--directory", directory, "--status", "5xx", "--json")
    assert [json.loads(line)["request_id"] for line in listed.stdout.splitlines()] == ["bad"]
    assert gatewright("explain", "none", "--directory", directory).returncode == 1

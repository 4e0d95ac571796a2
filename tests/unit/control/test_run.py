"""The life of a node, with a data plane that only remembers."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatewright.admin.server import AdminServer
from gatewright.control.node import Node
from gatewright.control.reload import Reloader
from gatewright.control.run import RunOptions, run_node
from gatewright.control.state import StateDirectory

Write = Callable[..., Path]


def run(path: Path, engine, visit, **options: Any) -> int:
    """Run a node, call `visit` once it serves, then end it with SIGTERM."""

    async def ready(node: Node, admin: AdminServer) -> None:
        try:
            await visit(node, admin)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    return run_node(RunOptions((path,), **options), lambda given: engine.__init__(given) or engine, ready)


async def nothing(node: Node, admin: AdminServer) -> None:
    """Only start and end."""


def test_sigterm_drains_stops_and_exits_with_0(engine, write_configuration: Write) -> None:
    assert run(write_configuration(), engine, nothing) == 0
    names = [call[0] for call in engine.calls]
    assert names.index("start") < names.index("drain") < names.index("stop")
    assert ("drain", 30.0) in engine.calls


def test_version_rises_over_restarts(engine, write_configuration: Write) -> None:
    path = write_configuration()
    versions = []
    for _ in range(3):
        run(path, engine, nothing)
        versions += [snapshot["version"] for snapshot in engine.snapshots]
    assert versions == [1, 2, 3]


def test_last_good_snapshot_is_on_disk_and_private(
    engine, write_configuration: Write, tmp_path: Path
) -> None:
    run(write_configuration(), engine, nothing)
    saved = tmp_path / ".gatewright" / "last-good.json"
    assert json.loads(saved.read_bytes()) == engine.snapshots[-1]
    assert saved.stat().st_mode & 0o777 == 0o600


def test_invalid_configuration_exits_with_1_and_says_where(engine, tmp_path: Path, capsys) -> None:
    path = tmp_path / "gateway.py"
    path.write_text("gateway = 3\n", encoding="utf-8")
    assert run(path, engine, nothing) == 1
    assert "gateway.py:1:1" in capsys.readouterr().err
    assert engine.calls == []


def test_last_good_starts_from_the_saved_snapshot_with_a_higher_version(
    engine, write_configuration: Write, capsys
) -> None:
    path = write_configuration()
    run(path, engine, nothing)
    good = engine.snapshots[-1]
    path.write_text("gateway = 3\n", encoding="utf-8")

    async def visit(node: Node, _: AdminServer) -> None:
        assert node.status.state == "invalid"
        assert "gateway.py:1:1" in node.status.errors[0]

    assert run(path, engine, visit, last_good=True) == 0
    assert engine.snapshots == [good | {"version": good["version"] + 1}]
    assert "last good" in capsys.readouterr().err


def test_busy_admin_port_is_named(engine, write_configuration: Write, capsys) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        assert run(write_configuration(admin=port), engine, nothing) == 1
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_snapshot_that_the_data_plane_refuses_exits_with_1(
    engine, write_configuration: Write, capsys
) -> None:
    path = write_configuration()

    def make(options: bytes):
        engine.refuse_with("route `x`: bad")
        return engine

    assert run_node(RunOptions((path,)), make) == 1
    assert "route `x`: bad" in capsys.readouterr().err
    assert ("stop",) in engine.calls


def test_admin_listener_answers_and_is_not_ready_while_draining(engine, write_configuration: Write) -> None:
    seen: list[int] = []

    async def visit(node: Node, admin: AdminServer) -> None:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{admin.port}") as client:
            seen.append((await client.get("/readyz")).status_code)
            node.is_draining = True
            seen.append((await client.get("/readyz")).status_code)
            seen.append((await client.get("/healthz")).status_code)

    assert run(write_configuration(), engine, visit) == 0
    assert seen == [200, 503, 200]


async def test_a_node_is_unready_for_a_while_before_it_accepts_nothing_more(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(engine, StateDirectory(tmp_path))

    async def sleep(seconds: float) -> None:
        assert node.is_draining
        engine.calls.append(("slept", seconds))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await node.drain(20.0, 15.0)
    assert engine.calls == [("slept", 15.0), ("drain", 20.0)]


def test_records_taken_after_the_drain_are_stored(
    engine, write_configuration: Write, tmp_path: Path, record_line
) -> None:
    async def visit(node: Node, _: AdminServer) -> None:
        engine.records.put(record_line())

    run(write_configuration(), engine, visit)
    from gatewright.records.reader import find_request

    found = find_request(tmp_path / ".gatewright" / "records", "one")
    assert found is not None
    assert found["route_id"] == "users"


def test_sighup_reloads(engine, write_configuration: Write) -> None:
    path = write_configuration()

    async def visit(node: Node, _: AdminServer) -> None:
        before = node.status.version
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(60):
            while node.status.version == before:  # noqa: ASYNC110 - a counter is what there is.
                await asyncio.sleep(0.01)

    assert run(path, engine, visit) == 0
    assert len(engine.snapshots) == 2


def test_a_changed_file_becomes_live_and_a_broken_one_does_not(engine, write_configuration: Write) -> None:
    path = write_configuration()

    async def visit(node: Node, _: AdminServer) -> None:
        async with asyncio.timeout(60):
            # Written again and again, because watching begins at some moment after the node is ready.
            while node.status.version < 2:
                write_configuration(route="second")
                await asyncio.sleep(0.05)
            while not node.status.errors:
                path.write_text("gateway = 3\n", encoding="utf-8")
                await asyncio.sleep(0.05)
            assert node.status.version == 2
            while node.status.errors:
                write_configuration(route="third")
                await asyncio.sleep(0.05)

    assert run(path, engine, visit) == 0
    names = [snapshot["routes"][0]["name"] for snapshot in engine.snapshots]
    assert names == ["everything", "second", "third"]


def test_a_changed_admin_address_is_said_to_wait_for_a_restart(engine, write_configuration: Write) -> None:
    path = write_configuration()

    async def visit(node: Node, _: AdminServer) -> None:
        write_configuration(admin=9)
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(60):
            while node.status.version < 2:  # noqa: ASYNC110 - a counter is what there is.
                await asyncio.sleep(0.01)
        assert "admin.address" in node.status.warnings[0]

    assert run(path, engine, visit) == 0


def test_without_watching_a_changed_file_waits_for_sighup(
    engine, write_configuration: Write, tmp_path: Path
) -> None:
    text = write_configuration().read_text(encoding="utf-8")
    path = tmp_path / "gateway.py"
    path.write_text(
        text.replace("services=", "reload=g.Reload(watch=False, debounce='10ms'), services="),
        encoding="utf-8",
    )

    async def visit(node: Node, _: AdminServer) -> None:
        path.write_text(path.read_text(encoding="utf-8").replace("everything", "second"), encoding="utf-8")
        assert not Reloader(node, [path], node.configuration)._is_wanted()
        assert Reloader(node, [path], node.configuration)._quiet() == 10
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(60):
            while node.status.version < 2:  # noqa: ASYNC110 - a counter is what there is.
                await asyncio.sleep(0.01)

    assert run(path, engine, visit) == 0
    assert engine.snapshots[-1]["routes"][0]["name"] == "second"


def test_state_directory_falls_back_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatewright.control import state

    monkeypatch.setattr(state.os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert state.choose_directory(tmp_path / "gateway.yaml") == tmp_path / "state" / "gatewright"


def test_version_is_not_handed_out_again_when_its_file_is_lost(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save_snapshot(b'{"version": 7}')
    assert directory.next_version() == 8


def test_version_is_higher_than_a_snapshot_that_is_newer_than_the_version_file(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.next_version()
    directory.save_snapshot(b'{"version": 7}')
    assert directory.next_version() == 8

"""Sockets that are paths, on both sides."""

import socket
import stat
import subprocess
from pathlib import Path

import pytest

from gateway import Node, Origin, UnixClient, encode, get, one_route
from gatewright.errors import EngineError


def section(path: Path, more: str = "", name: str = "public") -> str:
    """A listener on a path."""
    return f'listeners: [{{name: {name}, address: "unix:{path}"{more}}}]'


def ask(path: Path) -> int:
    with UnixClient(path) as client:
        client.send(encode("/"))
        return client.response().status


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.needs("curl")
def test_requests_come_by_a_path_to_every_worker(origin: Origin, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with Node(one_route(origin, "", section(path)), workers=4) as node:
        assert (path.is_socket(), mode(path)) == (True, 0o660)
        command = ["curl", "-s", "--max-time", "10", "--unix-socket", str(path), "http://gateway.test/"]
        answers = subprocess.run([*command, "--next", *command[1:]], check=True, capture_output=True)
        assert answers.stdout == b"okok"
        assert {record["client_ip"] for record in node.records(2)} == {"127.0.0.1"}
        held = [UnixClient(path) for _ in range(40)]
        for client in held:
            client.send(encode("/"))
            assert client.response().status == 200
        assert all(count >= 4 for count in node.state()["worker_connections"])
        [client.socket.close() for client in held]
        assert node.state()["listeners"][0]["address"] == f"unix:{path}"
    assert list(tmp_path.iterdir()) == []


def test_a_listener_is_added_changed_and_removed_while_it_runs(origin: Origin, tmp_path: Path) -> None:
    first, second = tmp_path / "a.sock", tmp_path / "b.sock"
    with Node(one_route(origin)) as node:
        node.apply(one_route(origin, "", section(first)))
        with UnixClient(first) as old:
            old.send(encode("/"))
            assert (old.response().status, mode(first)) == (200, 0o660)
            node.apply(one_route(origin, "", section(first, ', socket_mode: "0600"')))
            assert (ask(first), mode(first)) == (200, 0o600)
            # The same path under another name.
            node.apply(one_route(origin, "", section(first, name="other")))
            assert ask(first) == 200
            node.apply(one_route(origin, "", section(second, name="other")))
            assert (ask(second), first.exists()) == (200, False)
        node.apply(one_route(origin))
        assert (get(node.address, "/").status, list(tmp_path.iterdir())) == (200, [])


def test_only_what_nobody_listens_on_is_replaced(origin: Origin, tmp_path: Path) -> None:
    stale, busy, file = (tmp_path / name for name in ("stale.sock", "busy.sock", "file"))
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(stale))
    left.close()
    file.write_text("mine")
    with socket.socket(socket.AF_UNIX) as other, Node(one_route(origin)) as node:
        other.bind(str(busy))
        other.listen()
        for path, why in ((busy, "another process listens"), (file, "no socket")):
            with pytest.raises(EngineError, match=why):
                node.apply(one_route(origin, "", section(path)))
        assert (get(node.address, "/").status, file.read_text()) == (200, "mine")
        node.apply(one_route(origin, "", section(stale)))
        assert ask(stale) == 200


def test_a_refused_configuration_leaves_the_path_as_it_was(origin: Origin, tmp_path: Path) -> None:
    path, lock = tmp_path / "a.sock", tmp_path / "a.sock.lock"
    with Node(one_route(origin, "", section(path))) as node:
        one = f'{{name: other, address: "unix:{path}"}}'
        two = f'{{name: broken, address: "unix:{tmp_path}/none/b.sock"}}'
        with pytest.raises(EngineError):
            node.apply(one_route(origin, "", f"listeners: [{one}, {two}]"))
        assert (ask(path), sorted(tmp_path.iterdir())) == (200, [path, lock])


def test_the_proxy_protocol_comes_by_a_path(origin: Origin, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with Node(one_route(origin, "", section(path, ", proxy_protocol: [127.0.0.1]"))) as node:
        with UnixClient(path) as client:
            client.send(b"PROXY TCP4 203.0.11")
            node.wait_for(lambda state: state["connections"] == 1)
            client.send(b"3.9 10.0.0.1 1 2\r\n" + encode("/"))
            assert client.response().status == 200
        assert node.record()["client_ip"] == "203.0.113.9"


def test_a_service_is_reached_by_a_path(tmp_path: Path) -> None:
    check = "health_check: {interval: 100ms, path: /ready}"
    with (
        Origin(host=f"unix:{tmp_path}/users.sock") as origin,
        Node(one_route(origin, "host_header: instance", service=check)) as node,
    ):
        while origin.next_request().target != "/ready":
            pass
        assert [get(node.address, "/mine").status for _ in range(3)] == [200] * 3
        records = node.records(3)
        instance = node.state()["services"][0]["instances"][0]
        mine = [received for received in origin.requests if received.target == "/mine"]
        assert {received.get("host") for received in origin.requests} == {"localhost"}
    # The connection is kept for the next request.
    assert len({received.connection for received in mine}) == 1
    assert {record["backend_instance"] for record in records} == {origin.address}
    assert (instance["address"], instance["healthy"]) == (origin.address, True)


def test_a_path_that_nobody_listens_on_is_a_refused_connection(tmp_path: Path) -> None:
    origin = Origin(host=f"unix:{tmp_path}/users.sock")
    origin.stop()
    with Node(one_route(origin)) as node:
        assert get(node.address, "/").status == 502
        record = node.record()
    assert record["backend_instance"] == origin.address

"""Commands that ask a running node."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatewright.admin.app import build_app
from gatewright.admin.server import AdminServer
from gatewright.cli import run
from gatewright.cli.admin import locate
from gatewright.control.configuration import AdminSettings, read
from gatewright.control.node import Node

TOKEN = "a-token-of-enough-characters"


class Running:
    """A node with its admin listener on a port of its own, in a thread."""

    def __init__(self, engine, configuration: Path, token: str | None) -> None:
        self._settings = AdminSettings("127.0.0.1", 0, token)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live(engine, configuration)))
        self._thread.start()
        assert self._started.wait(60)

    async def _live(self, engine, configuration: Path) -> None:
        loaded = read([configuration])
        self.node = Node(engine, loaded.state)
        self._admin = AdminServer(build_app(self.node, lambda: self._settings), self._settings)
        self.node.start()
        await self.node.apply(loaded)
        self.url = f"http://127.0.0.1:{self._admin.port}"
        self._started.set()
        await self._admin.run()
        await self.node.close()

    def stop(self) -> None:
        self._admin.stop()
        self._thread.join(30)


@pytest.fixture
def start(engine, write_configuration, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []
    monkeypatch.delenv("GATEWRIGHT_ADMIN", raising=False)
    monkeypatch.delenv("GATEWRIGHT_ADMIN_TOKEN", raising=False)

    def begin(token: str | None = None) -> Running:
        started.append(Running(engine, write_configuration(), token))
        return started[-1]

    yield begin
    for running in started:
        running.stop()


def test_status_exits_with_0_only_when_healthy(start, capsys) -> None:
    running = start()
    assert run(["status", "--admin", running.url]) == 0
    assert "healthy" in capsys.readouterr().out
    running.node.status.refused(ValueError("route `x`: wrong"))
    assert run(["status", "--admin", running.url]) == 1
    assert "route `x`: wrong" in capsys.readouterr().out
    assert run(["status", "--admin", running.url, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["config"]["state"] == "invalid"


def test_breakers_are_shown_and_reset(start, engine, capsys) -> None:
    breaker = {"name": "users", "service": "users", "state": "open", "recent": [{"reason": "slow_ratio"}]}
    held = {"name": "users/pay", "service": "users", "state": "closed", "held": {"by": "ann", "why": "test"}}
    engine.services = [{"name": "users", "instances": [], "breakers": [breaker, held]}]
    url = start().url
    assert run(["breakers", "--admin", url]) == 0
    shown = capsys.readouterr().out
    assert "slow_ratio" in shown
    assert "by ann: test" in shown
    assert run(["breakers", "open", "users", "--why", "maintenance", "--admin", url]) == 0
    assert run(["breakers", "reset", "users/pay", "--json", "--admin", url]) == 0
    assert capsys.readouterr().out.endswith('{"changed": 1}\n')
    assert run(["breakers", "close", "--all", "--admin", url]) == 0
    calls = [call[1:] for call in engine.calls if call[0] == "set_breaker"]
    assert [(name, change["action"]) for name, change in calls] == [
        ("users", "open"),
        ("users/pay", "reset"),
        (None, "close"),
    ]
    assert calls[0][1]["why"] == "maintenance"
    assert "@" in calls[0][1]["by"]
    assert run(["breakers", "reset", "nobody", "--admin", url]) == 1
    assert "known: users" in capsys.readouterr().err
    for wrong in (["reset"], ["open", "users", "--all"]):
        assert run(["breakers", *wrong, "--admin", url]) == 2


def test_instances_are_shown_and_drained(start, engine, capsys) -> None:
    instance = {"name": "127.0.0.1:9001", "address": "127.0.0.1:9001", "state": "ejected", "healthy": False}
    engine.services = [{"name": "users", "instances": [instance]}]
    url = start().url
    assert run(["instances", "--admin", url]) == 0
    assert "ejected" in capsys.readouterr().out
    assert run(["instances", "list", "orders", "--json", "--admin", url]) == 0
    assert json.loads(capsys.readouterr().out) == []
    for action in ("drain", "undrain"):
        assert run(["instances", action, "users", "127.0.0.1:9001", "--admin", url]) == 0
    assert [call[3] for call in engine.calls if call[0] == "drain_instance"] == [True, False]
    assert run(["instances", "drain", "users", "other:1", "--admin", url]) == 1
    assert "known: 127.0.0.1:9001" in capsys.readouterr().err
    assert run(["instances", "drain", "users"]) == 2


def test_limits_are_shown_and_reset(start, engine, capsys) -> None:
    url = start().url
    assert run(["limits", "--admin", url]) == 0
    assert "standard" in capsys.readouterr().out
    assert run(["limits", "--reset", "--tier", "standard", "--caller", "ip:192.0.2.1", "--admin", url]) == 0
    assert engine.calls[-1] == ("reset_limits", "standard", "ip:192.0.2.1")


def test_a_limit_is_set_for_a_while_and_unset(start, engine, capsys) -> None:
    url = start().url
    assert run(["limits", "set", "standard", "--limit", "5", "--for", "15m", "--admin", url]) == 0
    assert capsys.readouterr().out == "limit of standard: 5 for 15m\n"
    assert engine.calls[-1] == ("set_limit", "standard", 5, 900_000)
    assert run(["limits", "unset", "standard", "--why", "over", "--admin", url]) == 0
    assert engine.calls[-1] == ("set_limit", "standard", None, 0)
    wrong = (
        ["set", "standard"],
        ["set", "--limit", "5"],
        ["set", "standard", "--limit", "5", "--for", "soon"],
    )
    for words in wrong:
        assert run(["limits", *words, "--admin", url]) == 2
    capsys.readouterr()
    assert run(["limits", "set", "standrad", "--limit", "5", "--admin", url]) == 1
    assert "known: standard" in capsys.readouterr().err


def test_networks_are_blocked_shown_and_unblocked(start, engine, capsys) -> None:
    url = start().url
    block = ["addresses", "block", "192.0.2.0/24", "--for", "1h", "--why", "scraper", "--admin", url]
    assert run(block) == 0
    assert capsys.readouterr().out == "blocked 192.0.2.0/24 for 3600 s\n"
    assert run(["addresses", "block", "::ffff:192.0.2.9", "--admin", url]) == 0
    assert capsys.readouterr().out == "blocked 192.0.2.9/32 until it is unblocked\n"
    told = [call[1] for call in engine.calls if call[0] == "set_blocks"][-1]
    assert [one["network"] for one in told] == ["192.0.2.0/24", "192.0.2.9/32"]
    assert run(["addresses", "--admin", url]) == 0
    assert "scraper" in capsys.readouterr().out
    assert run(["addresses", "unblock", "192.0.2.0/24", "--admin", url]) == 0
    assert run(["addresses", "list", "--json", "--admin", url]) == 0
    shown = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert ([one["network"] for one in shown["blocks"]], shown["blocked"]) == (["192.0.2.9/32"], 1)


def test_what_cannot_be_blocked_is_said(start, capsys) -> None:
    url = start().url
    for wrong, text in (
        (["unblock", "192.0.2.0/24"], "is not blocked by hand"),
        (["block", "example.com"], "is no network"),
        (["block", "192.0.2.1", "--for", "soon"], "is no length of time"),
    ):
        assert run(["addresses", *wrong, "--admin", url]) == 1
        assert text in capsys.readouterr().err
    for use in (["block"], ["list", "192.0.2.1"]):
        assert run(["addresses", *use, "--admin", url]) == 2


def test_bans_are_shown_and_lifted(start, engine, capsys) -> None:
    url = start().url
    assert run(["limits", "bans", "--admin", url]) == 0
    shown = capsys.readouterr().out
    assert "ip:192.0.2.1" in shown
    assert "62 s" in shown
    assert run(["limits", "bans", "--tier", "other", "--admin", url]) == 0
    assert "ip:192.0.2.1" not in capsys.readouterr().out
    assert run(["limits", "bans", "--json", "--admin", url]) == 0
    assert json.loads(capsys.readouterr().out)["bans"][0]["bans"] == 2
    assert run(["limits", "bans", "--reset", "--caller", "ip:192.0.2.1", "--admin", url]) == 0
    assert capsys.readouterr().out == "lifted 3\n"
    assert engine.calls[-1] == ("lift_bans", None, "ip:192.0.2.1")


def test_the_store_of_shared_limits_is_shown_and_bypassed(start, engine, capsys) -> None:
    url = start().url
    assert run(["limit-store", "--admin", url]) == 0
    assert capsys.readouterr().out == "no limit is shared\n"
    bypass = {"counts": True, "remaining_ms": 59_100}
    engine.store = {"workers": 4, "connected_workers": 3, "open_workers": 1, "openings": 1, "nodes": 3}
    engine.store |= {"error": "no answer within 5 ms", "bypass": bypass}
    assert run(["limit-store", "--admin", url]) == 0
    shown = capsys.readouterr().out
    assert "no answer within 5 ms" in shown
    assert "60 s" in shown
    assert run(["limit-store", "--json", "--admin", url]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"] == 3
    assert run(["limit-store", "bypass", "--for", "10m", "--counting", "none", "--admin", url]) == 0
    assert capsys.readouterr().out == "Redis is asked about no limit for 600 s\n"
    assert run(["limit-store", "resume", "--admin", url]) == 0
    assert engine.calls[-2:] == [("bypass_limits", 600_000, False), ("bypass_limits", 0, True)]
    assert run(["limit-store", "bypass", "--for", "soon", "--admin", url]) == 1


def test_drain_is_passed_on(start, capsys) -> None:
    running = start()
    assert run(["drain", "--admin", running.url]) == 0
    assert "draining" in capsys.readouterr().out
    assert running.node.drain_wanted.is_set()


def test_the_token_comes_from_the_environment(start, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    url = start(TOKEN).url
    assert run(["status", "--admin", url]) == 1
    assert "GATEWRIGHT_ADMIN_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("GATEWRIGHT_ADMIN_TOKEN", TOKEN)
    monkeypatch.setenv("GATEWRIGHT_ADMIN", url)
    assert run(["status"]) == 0


def test_records_and_explain_ask_the_node(start, tmp_path: Path, engine, capsys, record_line) -> None:
    url = start().url
    assert run(["explain", "unknown", "--admin", url]) == 1
    engine.records.put(record_line(request_id="demo-1") + record_line(request_id="a/../b?c#d%2F"))
    assert run(["explain", "a/../b?c#d%2F", "--admin", url]) == 0
    assert run(["explain", "demo-1", "--admin", url]) == 0
    assert "gateway.yaml:9:5" in capsys.readouterr().out
    assert run(["records", "--admin", url, "--json", "--where", "request_id=demo-1"]) == 0
    assert json.loads(capsys.readouterr().out)["request_id"] == "demo-1"


@pytest.mark.parametrize(
    "words", [["status"], ["breakers"], ["limits"], ["drain"], ["records"], ["explain", "demo-1"]]
)
def test_a_node_that_does_not_answer_is_said_with_what_to_do(words: list[str], capsys, free_port) -> None:
    assert run([*words, "--admin", f"127.0.0.1:{free_port()}"]) == 1
    assert "no node answers at" in capsys.readouterr().err


def test_the_address_is_that_of_gateway_yaml_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWRIGHT_ADMIN", raising=False)
    assert locate(None) == ("http://127.0.0.1:9901", None)
    monkeypatch.setenv("GATEWRIGHT_ADMIN", "127.0.0.1:1/")
    assert locate(None) == ("http://127.0.0.1:1", None)
    assert locate("https://node:2") == ("https://node:2", None)

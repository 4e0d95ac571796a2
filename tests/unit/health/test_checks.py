"""What a node says of its health, from its own checks and those of the user."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatewright.admin.app import build_app
from gatewright.control.configuration import AdminSettings, read
from gatewright.control.node import Node
from gatewright.control.state import StateDirectory
from gatewright.errors import ConfigError
from gatewright.health import dependencies
from gatewright.redis_clients import RedisSettings, RedisTarget

CHECKS = """
from pathlib import Path
from gatewright.health import check

@check(interval="1h", critical=CRITICAL)
def lamp():
    if not Path(PATH).exists():
        raise RuntimeError("it is dark")
    return "it is bright"
"""


class Asked:
    """A node and its admin application."""

    def __init__(self, node: Node, client: httpx2.AsyncClient) -> None:
        self.node = node
        self.client = client

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        response = await self.client.get(path)
        return response.status_code, response.json()

    async def checks(self) -> dict[str, str]:
        return {one["check"]: one["status"] for one in (await self.get("/health"))[1]["checks"]}


@pytest.fixture
async def live(engine, tmp_path: Path) -> AsyncIterator[Asked]:
    node = Node(engine, StateDirectory(tmp_path / "state"))
    node.start()
    app = build_app(node, lambda: AdminSettings("127.0.0.1", 9901))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9901") as client:
        yield Asked(node, client)
    await node.close()


@pytest.fixture
def write(tmp_path: Path, write_configuration: Callable[..., Path]) -> Callable[..., Path]:
    """A configuration with these health settings, and the file of a check beside it."""

    def written(health: str, *, critical: bool = False) -> Path:
        path = write_configuration()
        text = path.read_text()
        service = 'g.Service(name="users", critical=True, '
        if critical:
            text = text.replace('g.Service(name="users", ', service)
        path.write_text(
            text.replace("gateway = g.Gateway(", f"gateway = g.Gateway(\n    health=g.Health({health}),")
        )
        lamp = CHECKS.replace("PATH", repr(str(tmp_path / "lamp"))).replace("CRITICAL", "True")
        (tmp_path / "my_checks.py").write_text(lamp)
        return path

    return written


async def test_a_critical_service_without_instance_makes_unhealthy_and_unready(
    live: Asked, engine, write: Callable[..., Path]
) -> None:
    engine.services = [{"name": "users", "instances": [{"name": "u", "healthy": False}]}]
    await live.node.apply(read([write("self_check=None", critical=True)]))
    status, health = await live.get("/health")
    assert (status, health["status"]) == (503, "unhealthy")
    assert await live.get("/readyz") == (503, {"status": "unready", "failing": ["critical_services"]})
    assert (await live.get("/healthz"))[0] == 200
    # Commands read the same document, whatever it says.
    assert (await live.get("/api/v1/status"))[0] == 200
    engine.services = [{"name": "users", "instances": [{"name": "u", "healthy": True}]}]
    assert (await live.get("/health"))[1]["status"] == "healthy"
    assert (await live.get("/readyz"))[0] == 200


async def test_readiness_looks_away_where_it_is_told_to(
    live: Asked, engine, write: Callable[..., Path]
) -> None:
    engine.services = [{"name": "users", "instances": [{"name": "u", "healthy": False}]}]
    await live.node.apply(read([write("self_check=None, readiness=[]", critical=True)]))
    assert (await live.get("/health"))[1]["status"] == "unhealthy"
    assert (await live.get("/readyz"))[0] == 200


@pytest.mark.parametrize(("healthz", "status"), [("alive", 200), ("ready", 200), ("backends", 503)])
async def test_the_balancers_probe_fails_as_it_is_told_to(
    live: Asked, engine, write: Callable[..., Path], healthz: str, status: int
) -> None:
    engine.services = [{"name": "users", "instances": [{"name": "u", "healthy": False}]}]
    await live.node.apply(read([write(f'self_check=None, healthz="{healthz}"')]))
    await live.node.health.look()
    code, told = await live.get("/healthz")
    assert (code, told["backends"], told["configuration"]) == (status, "none", "valid")
    live.node.is_draining = True
    assert (await live.get("/healthz"))[0] == (200 if healthz == "alive" else 503)


async def test_a_check_of_the_user_is_run_and_counts_with_hysteresis(
    live: Asked, tmp_path: Path, write: Callable[..., Path]
) -> None:
    path = write('self_check=None, checks=["my_checks:lamp"], unhealthy_after=2, deep_interval="100ms"')
    await live.node.apply(read([path]))
    await becomes(live, "unhealthy")
    assert (await live.get("/readyz"))[1]["failing"] == ["lamp"]
    shown = [one for one in (await live.get("/health"))[1]["checks"] if one["check"] == "lamp"]
    assert (shown[0]["message"], shown[0]["critical"], shown[0]["custom"]) == (
        "RuntimeError: it is dark",
        True,
        True,
    )
    (tmp_path / "lamp").touch()
    await becomes(live, "healthy")
    assert await live.get("/readyz") == (200, {"status": "ready"})


async def becomes(live: Asked, status: str) -> None:
    """Have the lamp looked at until it is said to be so."""
    for _ in range(1000):
        _, health = await live.get("/health?deep=1")
        if {one["check"]: one["status"] for one in health["checks"]}["lamp"] == status:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(health)


async def test_deep_health_is_asked_as_often_as_it_may(live: Asked, write: Callable[..., Path]) -> None:
    await live.node.apply(read([write('self_check=None, deep_interval="1h"')]))
    assert [(await live.get("/health?deep=1"))[1]["deep"] for _ in range(2)] == ["new", "known"]


async def test_the_file_of_a_check_belongs_to_the_configuration(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    configuration = read([write('checks=["my_checks:lamp"]')])
    assert tmp_path / "my_checks.py" in configuration.files


def test_a_check_that_is_none_is_refused_where_it_stands(write: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.py:\d+:\d+: `my_checks:lamb` is no check"):
        read([write('checks=["my_checks:lamb"]')])


async def test_a_node_without_room_on_its_disk_is_degraded(
    live: Asked, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]
) -> None:
    await live.node.apply(read([write('self_check=None, min_free_disk="1000GiB"')]))
    assert (await live.get("/health"))[1]["status"] == "degraded"
    assert (await live.checks())["disk"] == "unhealthy"
    assert (await live.get("/readyz"))[0] == 200


async def test_a_question_that_breaks_leaves_the_other_alone(
    live: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, asked = live.node.health, asyncio.Event()

    async def ask() -> None:
        await asyncio.sleep(0.01)
        asked.set()

    def breaks(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(live.node.stored_keys, "ask", ask)
    monkeypatch.setattr(dependencies, "Asking", breaks)
    health.settings = replace(health.settings, redis=RedisSettings(RedisTarget(("redis://h",)), 1.0))
    await health.ask()
    assert asked.is_set()
    assert health.redis_answer is not None
    assert (health.redis_answer.well, health.redis_answer.message) == (
        False,
        "cannot be asked: RuntimeError: broken",
    )

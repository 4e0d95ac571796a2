"""What a node that runs says of its health: its listener, its services, and checks of its user."""

import json
from collections.abc import Iterator

import httpx2
import pytest

from gateway import Origin
from gateway.health import AskedGateway as Gateway
from gateway.health import of
from gateway.ports import unused_ports
from gatewright.cli import run

CHECK = """
from pathlib import Path
from gatewright.health import check

@check(interval="100ms", timeout="10s", critical=True)
def lamp():
    if Path(__file__).with_name("dark").exists():
        raise RuntimeError("it is dark")
"""
# The bound is that of a machine that does other things, too.
CONFIGURATION = """
services: [{{name: users, instances: ["{origin}"], critical: true}}]
routes: [{{name: users, match: /*, service: users}}]
health: {{interval: 100ms, checks: ["my_checks:lamp"], unhealthy_after: 1, healthy_after: 1,
         deep_interval: 100ms, readiness: [services, self_check, certificates, checks], healthz: ready,
         min_free_disk: 1MiB,
         self_check: {{interval: 100ms, within: 5s, unhealthy_after: 3, listener: public}}}}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory, ports = tmp_path_factory.mktemp("health"), unused_ports()
    (directory / "my_checks.py").write_text(CHECK)
    with Origin() as origin:
        made = Gateway(directory, (next(ports), next(ports)), CONFIGURATION.format(origin=origin.address))
        made.start()
        yield made
        made.end()


def test_a_node_asks_itself_and_nothing_of_it_is_counted(gateway: Gateway) -> None:
    health = gateway.awaited("/health", lambda _, told: "healthy" in of(told, "self_check"))
    check = next(one for one in health["checks"] if one["check"] == "self_check")
    assert (check["critical"], check["took_ms"] > 0) == (True, True)
    metrics = httpx2.get(f"{gateway.url}/metrics", trust_env=False).text
    assert "gateway_self_check_seconds " in metrics
    assert not [line for line in metrics.splitlines() if line.startswith("gateway_requests_total{")]


def test_a_check_of_the_user_takes_the_node_out_and_back(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.awaited("/readyz", lambda status, _: status == 200)
    (gateway.directory / "dark").touch()
    assert gateway.awaited("/readyz", lambda status, _: status == 503)["failing"] == ["lamp"]
    # As `healthz: ready` says.
    assert gateway.asked("/healthz")[0] == 503
    status, health = gateway.asked("/health?deep=1")
    assert (status, health["status"]) == (503, "unhealthy")
    assert health["version"]
    assert health["config"]["version"] == 1
    assert run(["status", "--admin", gateway.url, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "unhealthy"
    (gateway.directory / "dark").unlink()
    gateway.awaited("/readyz", lambda status, _: status == 200)


def test_statistics_name_the_instance_and_its_configuration(gateway: Gateway) -> None:
    _, stats = gateway.asked("/gateway/stats")
    assert (stats["config_version"], stats["ready"]) == (1, True)
    # No record is stored here.
    assert stats["slow_endpoints"] is None
    _, limits = gateway.asked("/gateway/rate-limits")
    assert (limits["penalties"], limits["penalized"]) == ([], 0)

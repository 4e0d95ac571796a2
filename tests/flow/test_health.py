"""What a node that runs says of its health: its listener, its services, and checks of its user."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gateway import Authority, Node, Origin
from gateway.health import AskedGateway as Gateway
from gateway.health import of
from gateway.ports import unused_ports
from gatewright.cli import run
from gatewright.health.self_check import NoAnswerError, Target, ask

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


def test_a_listener_of_tls_is_asked_by_a_name_of_its_certificate(tmp_path: Path) -> None:
    Authority(tmp_path).issue("tls", "example.com")
    files = f"{{file: {tmp_path}/tls.pem, key_file: {tmp_path}/tls.key}}"
    text = (
        f"listeners: [{{name: public, address: '127.0.0.1:1', tls: {{certificates: {files}}}}}]\n"
        "routes: [{name: ping, match: /ping, respond: {status: 204}}]\n"
    )
    with Node(text) as node:
        assert ask(Target("public", node.address, "example.com")) > 0
        assert ask(Target("public", node.address, "example.com", "/ping", "example.com")) > 0
        assert node.record()["path"] == "/ping"
        with pytest.raises(NoAnswerError):
            ask(Target("public", node.address))


def test_a_listener_without_http2_answers_a_path_alone() -> None:
    text = (
        "listeners: [{name: public, address: '127.0.0.1:1', protocols: http1}]\n"
        "routes: [{name: ping, match: /ping, respond: {status: 204}}]\n"
    )
    with Node(text) as node:
        assert ask(Target("public", node.address, path="/ping")) > 0
        with pytest.raises(NoAnswerError, match="its answer is not HTTP/2"):
            ask(Target("public", node.address))


def test_a_node_that_does_not_answer_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NoAnswerError, match="no answer"):
        ask(Target("public", silent.getsockname()), 0.05)

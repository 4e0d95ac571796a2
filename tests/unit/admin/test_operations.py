"""What the admin listener answers."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest

from gatewright.admin.app import build_app
from gatewright.admin.records import record_directory
from gatewright.control.configuration import AdminSettings, read
from gatewright.control.node import Node
from gatewright.control.state import StateDirectory
from gatewright.errors import ConfigError, Problem
from gatewright.insight.histogram import Histogram
from gatewright.metrics.page import exposition
from gatewright.records.sinks.sqlite import SqliteSink


@pytest.fixture
async def node(engine, tmp_path: Path) -> Node:
    return Node(engine, StateDirectory(tmp_path / "state"))


@pytest.fixture
async def client(node: Node) -> AsyncIterator[httpx2.AsyncClient]:
    app = build_app(node, lambda: AdminSettings("127.0.0.1", 9901))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9901") as made:
        yield made


@pytest.fixture
async def live(node: Node, write_configuration: Callable[..., Path]) -> AsyncIterator[Node]:
    """A node with a configuration that is live."""
    node.start()
    await node.apply(read([write_configuration()]))
    yield node
    await node.close()


async def test_not_ready_before_a_configuration_is_live(client: httpx2.AsyncClient) -> None:
    response = await client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "starting"})
    assert (await client.get("/healthz")).status_code == 200


async def test_ready_once_live_and_not_while_draining(client: httpx2.AsyncClient, live: Node) -> None:
    assert (await client.get("/readyz")).status_code == 200
    live.is_draining = True
    response = await client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "draining"})


async def test_health_shows_what_is_wrong_with_the_files(client: httpx2.AsyncClient, live: Node) -> None:
    assert (await client.get("/health")).json()["status"] == "healthy"
    live.status.refused(
        ConfigError([Problem("g.yaml", 3, 5, "unknown service `x`"), Problem("g.yaml", 9, 1, "w", "warning")])
    )
    health = (await client.get("/health")).json()
    assert health["status"] == "degraded"
    assert health["config"]["state"] == "invalid"
    assert health["config"]["errors"] == ["g.yaml:3:5: unknown service `x`"]
    assert health["config"]["version"] == 1


async def test_a_service_without_a_healthy_instance_degrades(
    client: httpx2.AsyncClient, live: Node, engine
) -> None:
    engine.services = [
        {
            "name": "users",
            "instances": [{"name": "u", "healthy": False}],
            "breakers": [{"name": "users", "state": "open"}],
        }
    ]
    health = (await client.get("/health")).json()
    assert health["status"] == "degraded"
    assert health["dependencies"]["services"] == [
        {"name": "users", "instances": 1, "healthy": 0, "ejected": 0, "draining": 0, "panic": False}
    ]
    breakers = (await client.get("/gateway/circuit-breakers")).json()
    assert breakers == {"circuit_breakers": [{"name": "users", "state": "open"}], "sharing": None}


async def test_versioned_and_plain_paths_answer_alike(client: httpx2.AsyncClient, live: Node) -> None:
    for plain, versioned in (
        ("/health/services", "/api/v1/services"),
        ("/gateway/circuit-breakers", "/api/v1/circuit-breakers"),
        ("/gateway/rate-limits", "/api/v1/rate-limits"),
        ("/gateway/stats", "/api/v1/stats"),
    ):
        first, second = await client.get(plain), await client.get(versioned)
        assert first.status_code == 200
        assert first.json() == second.json()


async def test_config_names_version_and_files(client: httpx2.AsyncClient, live: Node) -> None:
    config = (await client.get("/api/v1/config")).json()
    assert config["version"] == 1
    assert [Path(file).name for file in config["files"]] == ["gateway.py"]


@pytest.fixture
def two_breakers(engine) -> None:
    engine.services = [
        {
            "name": "users",
            "instances": [],
            "breakers": [
                {"name": name, "service": "users", "state": "closed"} for name in ("users", "users/pay")
            ],
        }
    ]


async def test_instances_are_drained_by_name(client: httpx2.AsyncClient, live: Node, engine) -> None:
    path = "/api/v1/services/users/instances"
    assert (await client.post(f"{path}/127.0.0.1:9001/drain")).json() == {"changed": 1}
    assert (await client.post(f"{path}/127.0.0.1:9001/undrain")).json() == {"changed": 1}
    assert engine.calls[-2:] == [
        ("drain_instance", "users", "127.0.0.1:9001", True),
        ("drain_instance", "users", "127.0.0.1:9001", False),
    ]
    for where, code in ((path, "unknown_instance"), ("/api/v1/services/nobody/instances", "unknown_service")):
        refused = await client.post(f"{where}/other:1/drain")
        assert (refused.status_code, refused.json()["error"]) == (404, code)
    assert "known: 127.0.0.1:9001" in (await client.post(f"{path}/other:1/drain")).json()["message"]


async def test_changes_by_hand_reach_the_data_plane_with_who_and_why(
    client: httpx2.AsyncClient, live: Node, engine, two_breakers: None, caplog
) -> None:
    told = {"by": "ann", "why": "maintenance"}
    for base in ("/gateway", "/api/v1"):
        opened = await client.post(f"{base}/circuit-breakers/users/open", params=told)
        assert opened.json() == {"changed": 1}
        assert (await client.post(f"{base}/circuit-breakers/users/pay/close")).status_code == 200
        assert (await client.post(f"{base}/circuit-breakers/reset")).status_code == 200
        assert engine.calls[-3:] == [
            ("set_breaker", "users", {"action": "open", **told}),
            ("set_breaker", "users/pay", {"action": "close", "by": "127.0.0.1", "why": None}),
            ("set_breaker", None, {"action": "reset"}),
        ]
    audited = [record for record in caplog.records if record.message == "breaker.open"]
    assert audited[0].who == {"principal": "local", "address": "127.0.0.1", "says": "ann"}
    assert (audited[0].fields["why"], audited[0].fields["breaker"]) == ("maintenance", "users")


async def test_resets_of_limits_reach_the_data_plane(client: httpx2.AsyncClient, live: Node, engine) -> None:
    reset = await client.post("/gateway/rate-limits/reset", params={"tier": "standard", "caller": "user:7"})
    assert reset.json() == {"reset": 2}
    assert engine.calls[-1] == ("reset_limits", "standard", "user:7")


@pytest.mark.parametrize("base", ["/gateway", "/api/v1"])
async def test_limits_are_set_for_a_while_and_audited(
    client: httpx2.AsyncClient, live: Node, engine, base: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"{base}/rate-limits/standard"
    told = {"limit": 5, "seconds": 60, "by": "ann", "why": "flood"}
    with caplog.at_level("WARNING", "gatewright.audit"):
        done = await client.post(f"{path}/set", params=told)
        assert done.json() == {"tier": "standard", "limit": 5, "seconds": 60}
        assert engine.calls[-1] == ("set_limit", "standard", 5, 60_000)
        assert (await client.post(f"{path}/unset")).json() == {"tier": "standard", "limit": None}
        assert engine.calls[-1] == ("set_limit", "standard", None, 0)
    audited = [vars(record)["fields"] for record in caplog.records if record.name == "gatewright.audit"]
    assert [(one["tier"], one["by"], one["why"]) for one in audited] == [
        ("standard", "ann", "flood"),
        ("standard", "127.0.0.1", None),
    ]
    refused = await client.post(f"{path}/set", params=told | {"limit": 13})
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        "the limit of tier `standard` is at most 12",
    )
    unknown = await client.post(f"{base}/rate-limits/standrad/set", params=told)
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_tier")
    assert (await client.post(f"{path}/set", params={"limit": 5})).status_code == 400


@pytest.mark.parametrize("base", ["/gateway", "/api/v1"])
async def test_bans_are_listed_and_lifted(client: httpx2.AsyncClient, live: Node, engine, base: str) -> None:
    listed = (await client.get(f"{base}/rate-limits/bans")).json()
    assert [ban["caller"] for ban in listed["bans"]] == ["ip:192.0.2.1"]
    lifted = await client.post(f"{base}/rate-limits/bans/lift", params={"caller": "ip:192.0.2.1"})
    assert lifted.json() == {"lifted": 3}
    assert engine.calls[-1] == ("lift_bans", None, "ip:192.0.2.1")


async def test_an_unknown_breaker_is_named_with_the_known_ones(
    client: httpx2.AsyncClient, live: Node, two_breakers: None
) -> None:
    response = await client.post("/gateway/circuit-breakers/nobody/reset")
    assert (response.status_code, response.json()["error"]) == (404, "unknown_breaker")
    assert "known: users, users/pay" in response.json()["message"]
    assert (await client.post("/gateway/circuit-breakers/users/explode")).status_code in {400, 404}


async def test_errors_have_the_form_of_refusals(client: httpx2.AsyncClient, live: Node) -> None:
    for response, code in (
        (await client.get("/nothing"), "not_found"),
        (await client.delete("/metrics"), "method_not_allowed"),
        (await client.get("/api/v1/records", params={"limit": "many"}), "bad_request"),
        (await client.get("/api/v1/records", params={"status": "blue"}), "bad_request"),
    ):
        assert response.json()["error"] == code
        assert response.json()["request_id"] == response.headers["x-request-id"]
        assert response.json()["message"]


async def test_records_are_found_by_filter_and_id(
    client: httpx2.AsyncClient, live: Node, record_line, store_records
) -> None:
    store_records(
        record_directory(live),
        record_line(user_id="alice") + record_line(request_id="two", status=500, user_id="bob"),
    )
    found = (await client.get("/api/v1/records", params={"where": "route_id=users", "status": "5xx"})).json()
    assert [record["request_id"] for record in found["records"]] == ["two"]
    assert (await client.get("/api/v1/records/one")).json()["status"] == 200
    found = (await client.get("/api/v1/records", params={"user": "bob"})).json()
    assert [record["request_id"] for record in found["records"]] == ["two"]
    missing = await client.get("/api/v1/records/three")
    assert (missing.status_code, missing.json()["error"]) == (404, "unknown_request")


async def test_pages_of_records_follow_each_other_by_their_cursor(
    client: httpx2.AsyncClient, live: Node, record_line, store_records
) -> None:
    lines = [record_line(request_id=f"r{number}") for number in range(5)]
    store_records(record_directory(live), b"".join(lines))
    found, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/v1/records", params=parameters)).json()
        found += [record["request_id"] for record in page["records"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert found == ["r4", "r3", "r2", "r1", "r0"]
    wrong = await client.get("/api/v1/records", params={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "bad_request")


async def test_records_are_counted_and_followed(
    client: httpx2.AsyncClient, live: Node, record_line, store_records
) -> None:
    store_records(record_directory(live), record_line() + record_line(request_id="two", status=500))
    asked = {
        "group": ["route_id", "status"],
        "since": "2026-11-21",
        "until": "2026-11-22",
        "histograms": True,
    }
    summary = (await client.get("/api/v1/records/summary", params=asked)).json()
    assert [(one["status"], one["count"], one["errors"]) for one in summary["groups"]] == [
        (200, 1, 0),
        (500, 1, 1),
    ]
    assert Histogram.from_otlp(summary["groups"][0]["histogram"]).mean == 1.5
    stored = (await client.get("/api/v1/records/stored")).json()
    assert stored["records"] == []
    store_records(record_directory(live), record_line(request_id="three"))
    newer = (await client.get("/api/v1/records/stored", params={"shown": stored["shown"]})).json()
    assert [record["request_id"] for record in newer["records"]] == ["three"]
    wrong = await client.get("/api/v1/records/stored", params={"shown": "x"})
    assert wrong.status_code == 400


async def test_a_question_too_many_is_refused_and_counted(
    client: httpx2.AsyncClient, live: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.queries, "_asked", 1000)
    response = await client.get("/api/v1/records")
    assert (response.status_code, response.json()["error"]) == (503, "busy")
    assert 'gateway_record_questions_total{outcome="busy"} 1' in (await client.get("/metrics")).text


async def test_a_record_is_explained_with_the_lines_that_were_live(
    client: httpx2.AsyncClient, live: Node, record_line, store_records
) -> None:
    file = str(live.configuration.files[0]) if live.configuration else ""
    decision = {
        "stage": "route",
        "verdict": "matched",
        "rule": "everything",
        "at": f"{file}:7:13",
        "inputs": {},
    }
    store_records(record_directory(live), record_line(config_version=1, decisions=[decision]))
    explanation = (await client.get("/api/v1/records/one")).json()["explanation"]
    assert 'name="everything"' in explanation["steps"][0]["lines"][0]
    assert explanation["configuration"]["newest_version"] == 1


async def test_drain_is_asked_for_once(client: httpx2.AsyncClient, live: Node) -> None:
    assert (await client.post("/api/v1/drain")).status_code == 202
    assert live.drain_wanted.is_set()


async def test_metrics_show_reloads_sinks_and_the_process(client: httpx2.AsyncClient, live: Node) -> None:
    live.status.refused(ValueError("x"))
    text = (await client.get("/metrics")).text
    for line in (
        "gateway_config_valid 0.0",
        "gateway_config_reload_failures_total 1.0",
        'gateway_sink_records_total{sink="sqlite"} 0.0',
        'gateway_sink_dropped_total{sink="sqlite",reason="queue_full"} 0.0',
        'gateway_sink_failures_total{sink="sqlite"} 0.0',
        "# TYPE gateway_requests_total counter",
    ):
        assert line in text.splitlines()
    assert "process_resident_memory_bytes" in text


async def exposed(engine, directory: Path) -> bytes:
    node = Node(engine, StateDirectory(directory))
    node.records.attach(SqliteSink(directory))
    text = exposition(node)
    node.records.close(1)
    return text


@pytest.mark.needs("promtool")
def test_metrics_are_accepted_by_promtool(engine, tmp_path: Path) -> None:
    # The data plane's own part is empty here and tested with the real one.
    text = asyncio.run(exposed(engine, tmp_path)).decode().split("\n", 3)[3]
    checked = subprocess.run(
        [shutil.which("promtool") or "promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_openapi_describes_every_operation(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    assert all(one["summary"] for path in document["paths"].values() for one in path.values())


async def test_no_more_networks_are_blocked_than_may_be(client: httpx2.AsyncClient, node: Node) -> None:
    await node.blocks.use(1)
    assert (await client.post("/api/v1/addresses/block?network=192.0.2.1&seconds=60")).status_code == 200
    response = await client.post("/api/v1/addresses/block?network=192.0.2.2")
    assert (response.status_code, response.json()["error"]) == (409, "too_many_blocks")
    assert (await client.post("/api/v1/addresses/block?network=192.0.2.1&seconds=0")).status_code == 400
    found = (await client.get("/api/v1/addresses")).json()
    assert [one["network"] for one in found["blocks"]] == ["192.0.2.1/32"]
    assert found["sharing"] is None
    assert b"gateway_address_blocks_refused_total 0.0\n" in exposition(node)


async def test_silences_that_cannot_be_kept_hold_and_that_is_told(
    client: httpx2.AsyncClient, live: Node
) -> None:
    made = (await client.post("/api/v1/alerts/silences?alert=a&seconds=60")).json()
    live.alerting.silences._path.unlink()
    live.alerting.silences._path.mkdir()
    for path in ("?alert=b&seconds=60", f"/{made['id']}/end"):
        response = await client.post(f"/api/v1/alerts/silences{path}")
        assert (response.status_code, response.json()["error"]) == (503, "silences_unkept")
    told = (await client.get("/api/v1/alerts")).json()
    assert [one["alert"] for one in told["silences"]] == ["b"]

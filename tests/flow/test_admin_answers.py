"""Every answer of the admin listener is as `/openapi.json` says, and has nothing that it does not say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import Origin, RedisServer, get
from gateway.described import Described
from gateway.health import AskedGateway
from gateway.key_store import SECRET
from gateway.ports import unused_ports

pytestmark = pytest.mark.needs("redis-server")

CONFIGURATION = """
services:
  - {{name: users, instances: ["{origin}"]}}
  - {{name: dead, instances: ["{dead}"], circuit_breaker: {{minimum_requests: 2, open_for: 1h}}}}
redis: {{url: '{redis}', timeout: 500ms, share_blocks: true}}
address_lists: [{{name: spam, file: spam.txt}}]
screening: {{addresses: {{deny: [spam]}}}}
objectives: [{{name: availability, target: 99.9%}}]
alerts:
  interval: 100ms
  channels: [{{name: duty, kind: webhook, url: "http://{dead}/alerts"}}]
  rules: [{{name: broken, watch: errors, threshold: 10%, minimum: 1, lasts: 0s}}]
circuit_breakers: {{share: redis}}
tiers:
  - {{name: few, limit: 3, window: 1h, per: client_ip, ban: {{after: 2, lasts: 1h}}}}
  - {{name: shared, limit: 1000, window: 1h, per: client_ip, share: exact}}
routes:
  - {{name: users, match: /users, service: users, rate_limit: few}}
  - {{name: dead, match: /dead, service: dead, rate_limit: shared}}
identities:
  - name: mobile
    kind: jwt
    issuer: https://id.test
    audience: api
    jwks: {{url: "http://{dead}/keys", timeout: 200ms}}
  - {{name: partners, kind: api_key, keys: {{store: true}}}}
key_store: {{secret: "{secret}", share: redis}}
health: {{self_check: off, deep_interval: 100ms}}
tracing: {{}}
"""
LOOKS = (
    "/healthz",
    "/readyz",
    "/health?deep=1",
    "/health/services",
    "/api/v1/config",
    "/gateway/stats",
    "/gateway/circuit-breakers",
    "/gateway/rate-limits",
    "/gateway/rate-limits/store",
    "/gateway/rate-limits/bans",
    "/api/v1/records?limit=5",
    "/api/v1/records/stored",
    "/api/v1/records/summary?group=route_id&group=status&histograms=true&source=records",
    "/api/v1/addresses",
    "/api/v1/keys",
    "/api/v1/tokens/revocations",
    "/api/v1/alerts",
    "/api/v1/audit?limit=500",
)
ACTS = (
    "/gateway/circuit-breakers/users/open?by=ann&why=a-drill",
    "/gateway/rate-limits/few/set?limit=9&seconds=60",
    "/gateway/rate-limits/store/bypass?seconds=60",
)
UNDONE = (
    "/gateway/circuit-breakers/reset",
    "/gateway/rate-limits/few/unset",
    "/gateway/rate-limits/store/resume",
    "/gateway/rate-limits/bans/lift",
    "/gateway/rate-limits/reset",
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    directory, ports = tmp_path_factory.mktemp("answers"), unused_ports()
    redis = RedisServer(next(ports), directory)
    with Origin() as origin:
        text = CONFIGURATION.format(
            origin=origin.address, dead=f"127.0.0.1:{next(ports)}", redis=redis.url, secret=SECRET
        )
        gateway = AskedGateway(directory, (next(ports), next(ports)), text)
        with_records(gateway.file)
        (directory / "spam.txt").write_text("192.0.2.7\n")
        try:
            gateway.start()
            stored_request(gateway)
            yield Described(gateway.url)
        finally:
            gateway.end()
            redis.kill()


def with_records(file: Path) -> None:
    """Store them, and soon."""
    stored = "records: {sinks: [{kind: sqlite, batch: {wait: 10ms}}]}"
    file.write_text(file.read_text().replace("records: {sinks: []}", stored))


def stored_request(gateway: AskedGateway) -> None:
    """Requests that pass, are refused, and fail; the last one is stored when this returns."""
    for _ in range(6):
        get(("127.0.0.1", gateway.public), "/users")
        response = get(("127.0.0.1", gateway.public), "/dead")
    name = response.get("x-request-id") or ""
    gateway.awaited(f"/api/v1/records/{name}", lambda status, _: status == 200)


def test_answers_are_as_they_are_described(node: Described) -> None:
    for _ in range(2):
        for path in LOOKS:
            node.answer("GET", path)
        for path in ACTS:
            node.answer("POST", path)
    breakers = node.answer("GET", "/gateway/circuit-breakers")["circuit_breakers"]
    assert [one["held"]["by"] for one in breakers if one["held"]] == ["ann"]
    assert [one for one in breakers if one["recent"]] != []
    limits = node.answer("GET", "/gateway/rate-limits")
    assert limits["tiers"][0]["emergency"]["limit"] == 9
    assert limits["store"]["bypass"] is not None
    assert limits["penalties"] != []
    for path in UNDONE:
        node.answer("POST", path)


def test_refusals_are_as_they_are_described(node: Described) -> None:
    for method, path in (
        ("POST", "/gateway/circuit-breakers/nobody/open"),
        ("POST", "/gateway/rate-limits/nothing/unset"),
        ("GET", "/api/v1/records?since=whenever"),
        ("GET", "/api/v1/records/unknown"),
        ("GET", "/api/v1/keys/unknown"),
        ("POST", "/api/v1/tokens/revocations/unknown/restore"),
        ("POST", "/api/v1/addresses/unblock?network=198.51.100.1"),
        ("POST", "/api/v1/alerts/silences/unknown/end"),
        ("POST", "/api/v1/services/users/instances/unknown/drain"),
    ):
        assert node.answer(method, path)["message"]


def test_a_record_is_explained_as_it_is_described(node: Described) -> None:
    newest = node.answer("GET", "/api/v1/records?limit=1")["records"][0]["request_id"]
    assert node.answer("GET", f"/api/v1/records/{newest}")["explanation"]["steps"] != []


def test_answers_about_keys_are_as_they_are_described(node: Described) -> None:
    wish = {"partner": "acme", "scopes": ["read"], "networks": ["203.0.113.0/24"], "expires_in": 60}
    made = node.answer("POST", "/api/v1/keys", wish | {"metadata": {"team": "a"}})
    path = f"/api/v1/keys/{made['id']}"
    assert node.answer("PATCH", f"{path}?by=ann", {"consumer": "app"})["changed_by"] == "ann"
    rotated = node.answer("POST", f"{path}/rotate?overlap=60")
    assert (rotated["key"] != made["key"], len(rotated["secrets"])) == (True, 2)
    assert node.answer("GET", path)["state"] == "active"
    assert node.answer("GET", f"{path}/usage")["requests"] == 0
    assert node.answer("POST", f"{path}/revoke?by=ann&why=lost")["state"] == "revoked"
    listed = node.answer("GET", "/api/v1/keys?limit=1")
    assert (len(listed["keys"]), listed["next"]) == (1, made["id"])


def test_answers_about_tokens_are_as_they_are_described(node: Described) -> None:
    wish = {"token_ids": ["one"], "subjects": ["ann"], "expires_in": 60, "why": "stolen"}
    revoked = node.answer("POST", "/api/v1/tokens/revoke", wish)
    assert {one["kind"] for one in revoked["revocations"]} == {"token", "subject"}
    assert node.answer("POST", "/api/v1/tokens/revoke", {"identity": "mobile"})["stored"]
    listed = node.answer("GET", "/api/v1/tokens/revocations?limit=2")
    assert (len(listed["revocations"]), listed["more"]) == (2, True)
    assert listed["sharing"] is not None
    for one in [*revoked["revocations"], *node.answer("GET", "/api/v1/tokens/revocations")["revocations"]]:
        node.answer("POST", f"/api/v1/tokens/revocations/{one['id']}/restore")


def test_answers_about_addresses_are_as_they_are_described(node: Described) -> None:
    assert node.answer("POST", "/api/v1/addresses/block?network=192.0.2.1")["remaining_seconds"] is None
    node.answer("POST", "/api/v1/addresses/block?network=192.0.2.2&seconds=60&why=scans")
    shown = node.answer("GET", "/api/v1/addresses")
    assert [one["why"] for one in shown["blocks"]] == [None, "scans"]
    assert [(one["name"], one["error"]) for one in shown["files"]] == [("spam", None)]
    assert shown["sharing"] is not None
    for address in ("192.0.2.1", "192.0.2.2"):
        node.answer("POST", f"/api/v1/addresses/unblock?network={address}")


def test_answers_about_alerts_are_as_they_are_described(node: Described) -> None:
    made = node.answer("POST", "/api/v1/alerts/silences?alert=broken&seconds=60&why=a-drill")
    assert node.answer("POST", "/api/v1/alerts/test") == {"channels": 1}
    shown = node.awaited("/api/v1/alerts", is_complete)
    assert [one["silenced"] for one in shown["alerts"] if one["name"] == "broken"] == [True]
    assert [one["id"] for one in shown["silences"]] == [made["id"]]
    assert [one["kind"] for one in shown["channels"]] == ["webhook"]
    node.answer("POST", f"/api/v1/alerts/silences/{made['id']}/end")


def is_complete(shown: dict[str, Any]) -> bool:
    """Whether the alert fires, and the objective knows what was counted before."""
    fires = any(one["name"] == "broken" and one["state"] == "firing" for one in shown["alerts"])
    return fires and all(one["budget_left"] is not None for one in shown["objectives"])


def test_answers_about_draining_are_as_they_are_described(node: Described, tmp_path: Path) -> None:
    instance = node.answer("GET", "/health/services")["services"][0]["instances"][0]["name"]
    for action in ("drain", "undrain"):
        path = f"/api/v1/services/users/instances/{instance}/{action}"
        assert node.answer("POST", path) == {"changed": 1}
    ports = unused_ports()
    leaving = AskedGateway(tmp_path, (next(ports), next(ports)), "")
    try:
        leaving.start()
        assert Described(leaving.url).answer("POST", "/api/v1/drain") == {"status": "draining"}
    finally:
        leaving.end("wait")


def test_every_operation_says_what_it_answers(node: Described) -> None:
    described = {
        f"{method} {path}": operation["responses"]
        for path, operations in node.document["paths"].items()
        for method, operation in operations.items()
        # Its forms are other people's.
        if path != "/metrics"
    }
    assert len(described) >= 50
    silent = [
        name
        for name, responses in described.items()
        if not next(iter(responses.values()))["content"]["application/json"]["schema"] or "422" in responses
    ]
    assert silent == []

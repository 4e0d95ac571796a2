"""Every answer of the operations on records, limits and breakers is as `/openapi.json` says, and has nothing
that it does not say.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import Origin, RedisServer, get
from gateway.health import AskedGateway
from gateway.key_store import SECRET
from gateway.ports import unused_ports
from gateway.schema import problems_of

pytestmark = pytest.mark.needs("redis-server")

CONFIGURATION = """
services:
  - {{name: users, instances: ["{origin}"]}}
  - {{name: dead, instances: ["{dead}"], circuit_breaker: {{minimum_requests: 2, open_for: 1h}}}}
redis: {{url: '{redis}', timeout: 500ms}}
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
    "/api/v1/records/{request_id}",
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


class Described:
    """A node, and what it says of its own answers."""

    def __init__(self, url: str, request_id: str) -> None:
        self._url, self._request_id = url, request_id
        self.document = self._ask("GET", "/openapi.json").json()

    def _ask(self, method: str, path: str) -> httpx2.Response:
        return httpx2.request(method, self._url + path, timeout=30, trust_env=False)

    def answer(self, method: str, path: str) -> Any:
        """What it answers, which is as it says."""
        response = self._ask(method, path.format(request_id=self._request_id))
        operation = self._operation(method, path.partition("?")[0])
        said = operation["responses"]
        name = next(one for one in (str(response.status_code), "default") if one in said)
        schema = said[name]["content"]["application/json"]["schema"]
        assert schema != {}, f"nothing is said of {path}"
        told = response.json()
        assert list(problems_of(told, self._whole(schema), path)) == [], told
        return told

    def _operation(self, method: str, path: str) -> Any:
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                return operations[method.lower()]
        raise LookupError(path)

    def _whole(self, schema: Any) -> Any:
        """The schema without references, in which objects have nothing but what they say."""
        if isinstance(schema, list):
            return [self._whole(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return self._whole(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        whole = {name: self._whole(part) for name, part in schema.items() if name != "default"}
        if "properties" in whole and isinstance(whole.get("type"), str):
            whole.setdefault("additionalProperties", False)
        return whole


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
        try:
            gateway.start()
            yield Described(gateway.url, asked_for(gateway))
        finally:
            gateway.end()
            redis.kill()


def with_records(file: Path) -> None:
    """Store them, and soon."""
    stored = "records: {sinks: [{kind: sqlite, batch: {wait: 10ms}}]}"
    file.write_text(file.read_text().replace("records: {sinks: []}", stored))


def asked_for(gateway: AskedGateway) -> str:
    """Requests that pass, are refused, and fail; the id of the last one, which is stored."""
    for _ in range(6):
        get(("127.0.0.1", gateway.public), "/users")
        response = get(("127.0.0.1", gateway.public), "/dead")
    name = response.get("x-request-id") or ""
    gateway.awaited(f"/api/v1/records/{name}", lambda status, _: status == 200)
    return name


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
    ):
        assert node.answer(method, path)["message"]


def test_every_operation_on_records_health_and_below_gateway_says_what_it_answers(node: Described) -> None:
    described = {
        f"{method} {path}": operation["responses"]
        for path, operations in node.document["paths"].items()
        for method, operation in operations.items()
        if path.startswith(("/gateway/", "/health", "/readyz", "/api/v1/records", "/api/v1/audit"))
    }
    assert len(described) >= 22
    silent = [
        name
        for name, responses in described.items()
        if not responses["200"]["content"]["application/json"]["schema"] or "422" in responses
    ]
    assert silent == []

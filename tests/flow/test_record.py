"""Record: one record for every outcome, and counters that agree with what was sent."""

import json
import subprocess
import threading

import pytest

from gateway import CLOSE, Client, Issuer, Node, Origin, encode, get, one_route, plain, raw, request

FIELDS = [
    "timestamp",
    "request_id",
    "method",
    "path",
    "query_string",
    "status",
    "client_ip",
    "user_agent",
    "user_id",
    "partner_id",
    "tenant_id",
    "backend_service",
    "backend_instance",
    "route_id",
    "total_latency_ms",
    "gateway_overhead_ms",
    "upstream_latency_ms",
    "rate_limit_remaining",
    "rate_limited",
    "request_bytes",
    "response_bytes",
    "error_type",
    "error_message",
    "gateway_instance",
    "gateway_version",
    "config_version",
    "protocol",
    "scheme",
    "host",
    "listener",
    "attempts",
    "queue_latency_ms",
    "connect_latency_ms",
    "first_byte_latency_ms",
    "trace_id",
    "tls_version",
    "tls_cipher",
    "sampling_weight",
    "decisions",
]


def test_a_record_has_every_field_and_agrees_with_the_bytes_on_the_wire(origin: Origin) -> None:
    with Node(one_route(origin, "", "node: {name: node-7}")) as node:
        sent = encode("/a?b=c", [("User-Agent", "test/1")], "POST", b"body")
        with Client(node.address) as client:
            client.send(sent)
            received = b""
            while not received.endswith(b"\r\n\r\nok"):
                received += client.receive()
        record = node.record()
        assert list(record) == FIELDS
        expected = {
            "method": "POST",
            "path": "/a",
            "query_string": "b=c",
            "status": 200,
            "client_ip": "127.0.0.1",
            "user_agent": "test/1",
            "route_id": "users",
            "request_bytes": len(sent),
            "response_bytes": len(received),
            "gateway_instance": "node-7",
            "config_version": 1,
            "protocol": "HTTP/1.1",
            "scheme": "http",
            "host": "gateway.test",
            "listener": "public",
        }
        assert expected.items() <= record.items()
        parts = record["gateway_overhead_ms"] + record["upstream_latency_ms"]
        assert parts == pytest.approx(record["total_latency_ms"], abs=0.002)


def test_no_secret_of_a_request_enters_its_record(origin: Origin) -> None:
    issuer = Issuer()
    text = one_route(origin, "auth: {accept: [mobile]}", f"identities: [{issuer.identity}]")
    secret = "canary-4711"
    with Node(text) as node:
        good = issuer.token()
        headers = [("Cookie", secret), ("X-API-Key", secret), ("Proxy-Authorization", secret)]
        get(
            node.address,
            f"/?token={secret}&password={secret}&a=b",
            ("Authorization", f"Bearer {good}"),
            *headers,
        )
        get(node.address, "/", ("Authorization", f"Bearer {secret}"), *headers)
        for record in node.records(2):
            text = json.dumps(record)
            assert secret not in text
            assert good not in text


def test_control_characters_stay_inside_one_line(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        get(node.address, '/a"b%0a', ("User-Agent", 'x"\t\\\x7f\xff'))
        raw(node.address, b'GET /"\xff{}\r\n\r\n')
        batch = b""
        while batch.count(b"\n") < 2:
            batch += node.engine.next_records(1 << 20, 5.0) or b""
        assert [json.loads(line)["listener"] for line in batch.splitlines()] == ["public", "public"]


def test_a_client_that_leaves_is_recorded(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        origin.script(threading.Event())
        with Client(node.address) as client:
            client.send(encode("/left"))
            origin.next_request()
        record = node.record()
        assert (record["status"], record["error_type"], record["path"]) == (499, "client_closed", "/left")
        assert record["request_id"]


def send_every_kind(node: Node, origin: Origin) -> None:
    """21 requests, of every outcome that a route can have."""
    for number in range(7):
        assert get(node.address, f"/open/{number}").status == 200
    for _ in range(3):
        get(node.address, "/closed")
    for _ in range(5):
        get(node.address, "/limited")
    for _ in range(2):
        get(node.address, "/nowhere")
    get(node.address, "/fixed")
    origin.script(plain(b"", "500 Internal Server Error"))
    get(node.address, "/open/500")
    origin.script(CLOSE)
    request(node.address, "/open/502", method="POST", body=b"")
    raw(node.address, b"nonsense\r\n\r\n")


def test_every_outcome_is_recorded_once_and_the_counters_agree(origin: Origin) -> None:
    issuer = Issuer()
    text = f"""
services: [{{name: users, instances: ["{origin.address}"]}}]
identities: [{issuer.identity}]
tiers: [{{name: two, limit: 2, window: 1h, per: client_ip}}]
routes:
  - {{name: open, match: "/open/*", service: users}}
  - {{name: closed, match: /closed, service: users, auth: {{accept: [mobile]}}}}
  - {{name: limited, match: /limited, service: users, rate_limit: two}}
  - {{name: fixed, match: /fixed, respond: {{status: 418}}}}
"""
    with Node(text) as node:
        send_every_kind(node, origin)
        records = node.records(21)
        assert len({record["request_id"] for record in records}) == 21

        def requests(**labels: str) -> float:
            return node.metric("gateway_requests_total", **labels)

        assert requests() == 21
        assert requests(route="open", service="users", status="200") == 7
        assert requests(route="open", status="500") == 1
        assert requests(route="open", status="502") == 1
        assert requests(route="closed", status="401") == 3
        assert requests(route="limited", status="200") == 2
        assert requests(route="limited", status="429") == 3
        assert requests(route="fixed", status="4xx") == 1
        assert node.metric("gateway_refusals_total", code="no_route") == 2
        assert node.metric("gateway_refusals_total") == 3 + 3 + 2 + 1 + 1
        assert node.metric("gateway_total_duration_seconds_count") == 21
        assert node.metric("gateway_upstream_duration_seconds_count", route="open") == 9
        assert node.metric("gateway_request_duration_seconds_count", route="limited") == 5
        total = sum(record["request_bytes"] for record in records)
        assert node.metric("gateway_request_bytes_total") == total
        assert node.metric("gateway_records_total") == 21
        assert node.metric("gateway_config_version") == 1


@pytest.mark.needs("promtool")
def test_the_metrics_page_is_what_prometheus_demands(origin: Origin) -> None:
    issuer = Issuer()
    check = "health_check: {path: /, interval: 1h}"
    text = one_route(
        origin, "auth: {accept: [mobile], optional: true}", f"identities: [{issuer.identity}]", service=check
    )
    with Node(text) as node:
        for target in ("/", "/%00"):
            get(node.address, target)
        get(node.address, "/", issuer.bearer())
        page = node.engine.metrics()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_labels_hold_names_of_the_configuration_and_nothing_of_a_request(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        before = None
        for number in range(30):
            canary = f"canary{number}"
            headers = [("Host", f"{canary}.test"), ("User-Agent", canary), ("X-Request-ID", canary)]
            request(node.address, f"/{canary}?{canary}", headers, canary.upper())
            # A request is counted when its record is written, which may be after its answer arrived.
            node.record()
            page = node.engine.metrics()
            assert "canary" not in page.lower()
            before = before or page.count("\n")
        assert page.count("\n") == before


def test_a_node_counts_on_over_a_change_of_its_configuration(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        get(node.address, "/")
        node.apply(one_route(origin, "deprecated: true"))
        get(node.address, "/")
        assert [record["config_version"] for record in node.records(2)] == [1, 2]
        assert node.metric("gateway_requests_total", route="users") == 2
        assert node.metric("gateway_config_version") == 2

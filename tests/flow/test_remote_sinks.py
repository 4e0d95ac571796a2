"""Sinks on other machines, from the configuration to what arrives there."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import Node, Origin, get, one_route
from gateway.authority import Authority
from gatewright.records.build import Place, settings_of, use_sinks
from gatewright.records.worker import RecordWorker
from stores.http import (
    ClickHouseStore,
    ElasticsearchStore,
    LokiStore,
    OtlpStore,
    Received,
    Reply,
    Store,
    WebhookStore,
    pairs,
)
from stores.kafka import consumed, mock_cluster

QUICK = "batch: {wait: 10ms}, retry: {first: 5ms, longest: 20ms}"


@pytest.fixture
def send(origin: Origin, tmp_path: Path) -> Iterator[Callable[..., RecordWorker]]:
    """Sends one request through a gateway with one sink, whose settings are given."""
    open_ones: list[tuple[Node, RecordWorker]] = []

    def sent(sink: str, requests: int = 1) -> RecordWorker:
        node = Node(one_route(origin, "", f"records: {{sinks: [{{{sink}, {QUICK}}}]}}\n")).__enter__()
        worker = RecordWorker(node.engine)
        open_ones.append((node, worker))
        assert node.loaded is not None
        place = Place(tmp_path, tmp_path / "records", tmp_path / "spill")
        use_sinks(worker, settings_of(node.loaded.gateway.records.sinks, place))
        worker.start()
        for number in range(requests):
            get(node.address, "/a", ("X-Request-ID", f"request-{number}"))
        return worker

    yield sent
    for node, worker in open_ones:
        worker.close(5)
        node.__exit__(None, None, None)


def settled(is_so: Callable[[], Any]) -> Any:
    until = time.monotonic() + 60
    while not (found := is_so()):
        assert time.monotonic() < until
        time.sleep(0.005)
    return found


def test_a_webhook_gets_records_as_it_is_configured(send: Any) -> None:
    with WebhookStore() as store:
        send(
            f"kind: webhook, url: '{store.url}/in?source=gw', format: json, compress: true, "
            "secret: 0123456789abcdef, headers: {X-Team: edge}, username: gw, password: s3cret"
        )
        settled(lambda: store.records)
    [request] = store.requests
    assert store.records[0]["request_id"] == "request-0"
    assert (request.path, request.query) == ("/in", {"source": "gw"})
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["x-team"] == "edge"
    assert request.headers["authorization"] == "Basic Z3c6czNjcmV0"
    assert request.headers["x-gatewright-signature"].startswith("v1=")


def test_elasticsearch_gets_documents_in_the_index_that_is_configured(send: Any) -> None:
    with ElasticsearchStore() as store:
        send(f"kind: elasticsearch, url: '{store.url}/', index: edge", requests=5)
        settled(lambda: len(store.records) == 5)
    day = store.records[0]["timestamp"][:10].replace("-", ".")
    assert {index for index, _ in store.documents} == {f"edge-{day}"}


def test_loki_gets_streams_with_the_labels_that_are_configured(send: Any) -> None:
    with LokiStore() as store:
        send(f"kind: loki, url: '{store.url}', labels: {{cluster: eu}}")
        settled(lambda: store.records)
    [stream] = store.streams
    labels = dict(stream)
    assert set(labels) == {"job", "service", "status_class", "node", "cluster"}
    assert (labels["status_class"], labels["cluster"]) == ("2xx", "eu")


def test_clickhouse_gets_rows_of_the_table_that_is_configured(send: Any) -> None:
    with ClickHouseStore() as store:
        send(f"kind: clickhouse, url: '{store.url}', database: logs, table: requests")
        settled(lambda: store.records)
    assert store.requests[0].query["query"] == "INSERT INTO `requests` FORMAT JSONEachRow"
    assert store.requests[0].query["database"] == "logs"


def test_a_collector_gets_log_records_of_the_service_that_is_configured(send: Any) -> None:
    with OtlpStore() as store:
        send(f"kind: otlp, url: '{store.url}', service: edge")
        settled(lambda: store.records)
    assert store.resources[0]["service.name"] == "edge"
    assert pairs(store.log_records[0]["attributes"])["gatewright.request_id"] == "request-0"


def test_kafka_gets_messages_as_it_is_configured(send: Any) -> None:
    with mock_cluster() as address:
        worker = send(
            f"kind: kafka, brokers: ['{address}'], topic: requests, key: request_id, compression: lz4, "
            "timeout: 10s, buffer: 1MiB, max_message: 64KiB",
            requests=3,
        )
        settled(lambda: worker.counts()[0].stored == 3)
        keys = {message.key() for message in consumed(address, "requests")}
    assert keys == {b"request-0", b"request-1", b"request-2"}


def test_a_server_that_asks_to_be_left_alone_is_left_alone(send: Any) -> None:
    asked: list[float] = []

    def refusing(_: Received) -> Reply:
        asked.append(time.monotonic())
        return Reply(429, b"", {"Retry-After": "1"})

    def accepting(_: Received) -> Reply:
        asked.append(time.monotonic())
        return Reply(204)

    with WebhookStore() as store:
        store.faults.append(refusing)
        store.after.append(accepting)
        send(f"kind: webhook, url: '{store.url}', timeout: 5s, max_request: 16KiB")
        settled(lambda: len(asked) == 2)
    # Without what the server asked for it would be 20 ms.
    assert asked[1] - asked[0] >= 1.0


def test_records_that_a_server_refuses_are_counted_as_rejected(send: Any) -> None:
    with WebhookStore() as store:
        store.faults.append(lambda _: Reply(422, b"no"))
        worker = send(f"kind: webhook, url: '{store.url}'")
        settled(lambda: worker.counts()[0].dropped)
    counts = worker.counts()[0]
    assert (counts.stored, dict(counts.drops)) == (0, {"rejected": 1})


class SecureStore(WebhookStore):
    """Speaks TLS, and demands a certificate of the authority that signed its own."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        own = authority.issue("store", "127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(own.file, own.key_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")


def test_a_sink_trusts_and_shows_the_certificates_that_are_configured(send: Any, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    mine = authority.issue("gateway", "gateway.example.com")
    with SecureStore(authority) as store:
        shown = f"certificate: {mine.yaml}"
        send(f"kind: webhook, url: '{store.url}', tls: {{ca_file: '{authority.file}', {shown}}}")
        settled(lambda: store.records)
        # Neither without a certificate nor without that authority.
        for tls in (f"{{ca_file: '{authority.file}'}}", "{}"):
            worker = send(f"kind: webhook, url: '{store.url}', tls: {tls}")
            settled(lambda: worker.counts()[0].failures)  # noqa: B023 - called at once.
    assert len(store.records) == 1


def test_a_login_to_kafka_is_that_which_is_configured(send: Any) -> None:
    """The mock cluster knows no logins, so this reads what its client is told."""
    from gatewright.records.sinks.kafka import options

    worker = send(
        "kind: kafka, brokers: '127.0.0.1:1', tls: {}, timeout: 100ms, "
        "login: {mechanism: PLAIN, username: gw, password: s3cret}"
    )
    told = options(worker._lanes[0].sink._settings)
    assert told["security.protocol"] == "SASL_SSL"
    assert told["sasl.mechanisms"] == "PLAIN"
    assert (told["sasl.username"], told["sasl.password"]) == ("gw", "s3cret")
    assert (told["enable.idempotence"], told["acks"]) == (True, "all")


def test_no_secret_of_a_sink_is_logged(send: Any, caplog: pytest.LogCaptureFixture) -> None:
    with Store() as store:
        store.faults.extend([lambda _: Reply(503)] * 3)
        send(
            f"kind: webhook, url: '{store.url}/?token=cafebabe', username: gw, password: s3cret, "
            "headers: {X-Key: deadbeef}, secret: 0123456789abcdef"
        )
        settled(lambda: store.records)
    text = caplog.text + json.dumps([vars(record) for record in caplog.records], default=str)
    assert "sink failed" in text
    for secret in ("s3cret", "deadbeef", "0123456789abcdef", "cafebabe"):
        assert secret not in text

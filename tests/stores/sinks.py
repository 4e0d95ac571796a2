"""Sinks over HTTP for tests, and records for them."""

import json
from typing import Any

from gatewright.outgoing.posting import Destination
from gatewright.records.batch import Batch, Chunk
from gatewright.records.sinks.clickhouse import ClickHouseEncoder
from gatewright.records.sinks.elasticsearch import ElasticsearchEncoder
from gatewright.records.sinks.http_sink import ANSWER_BYTES, MOST_REQUEST, HttpSink
from gatewright.records.sinks.loki import LokiEncoder
from gatewright.records.sinks.otlp_logs import OtlpLogsEncoder
from gatewright.records.sinks.webhook import WebhookEncoder
from stores.http import Store

ENCODERS: dict[str, Any] = {
    "webhook": WebhookEncoder,
    "elasticsearch": ElasticsearchEncoder,
    "loki": LokiEncoder,
    "clickhouse": ClickHouseEncoder,
    "otlp": OtlpLogsEncoder,
}
KINDS = list(ENCODERS)
OPEN: list[HttpSink] = []
RECORD: dict[str, Any] = {
    "timestamp": "2026-11-21T10:45:08.199Z",
    "request_id": "demo-1",
    "status": 200,
    "user_agent": 'é"\\\u2028\r',
    "backend_service": "users",
    "gateway_instance": "node-1",
    "gateway_version": "0.1.0",
    "trace_id": "46efebfdb3fdf4d835a7c72f5baf40d1",
    "total_latency_ms": 0.5,
    "decisions": [{"stage": "route", "inputs": {"limit": 5}}],
}


def batch_of(count: int, **fields: Any) -> Batch:
    """Records with `number` from 0, in chunks of 7."""
    lines = [
        json.dumps(RECORD | fields | {"number": number}, ensure_ascii=False).encode()
        for number in range(count)
    ]
    return Batch([Chunk(b"\n".join(lines[place : place + 7]) + b"\n") for place in range(0, count, 7)])


def numbers(store: Store) -> list[int]:
    return [record["number"] for record in store.records]


def sink_of(
    kind: str, store: Store, encoder: Any = None, max_request: int = MOST_REQUEST, **settings: Any
) -> HttpSink:
    encoder = encoder or ENCODERS[kind]()
    given: dict[str, Any] = {"timeout": 5.0, "answer_bytes": ANSWER_BYTES, "compress": True} | settings
    destination = Destination(store.url + encoder.path, **given)
    sink = HttpSink(kind, destination, encoder, max_request)
    OPEN.append(sink)
    return sink

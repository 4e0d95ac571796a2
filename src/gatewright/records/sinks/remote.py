"""From the settings of sinks on other machines to those sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gatewright.config.models.sinks import (
    ClickHouseSink,
    ElasticsearchSink,
    KafkaSink,
    LokiSink,
    OtlpSink,
    SinkTls,
    WebhookSink,
)
from gatewright.outgoing.posting import Destination
from gatewright.records.sinks import kafka
from gatewright.records.sinks.clickhouse import ClickHouseEncoder
from gatewright.records.sinks.elasticsearch import ElasticsearchEncoder
from gatewright.records.sinks.http_sink import ANSWER_BYTES, Encoder, HttpSink
from gatewright.records.sinks.loki import LokiEncoder
from gatewright.records.sinks.otlp_logs import OtlpLogsEncoder
from gatewright.records.sinks.webhook import WebhookEncoder

if TYPE_CHECKING:
    # It imports this module, by name.
    from gatewright.records.build import Place

E = TypeVar("E")
HttpModel = WebhookSink | ElasticsearchSink | LokiSink | ClickHouseSink | OtlpSink


def build_webhook(model: WebhookSink, place: Place) -> HttpSink[bytes]:
    return http_sink(model, place, WebhookEncoder(model.format, model.secret))


def build_elasticsearch(model: ElasticsearchSink, place: Place) -> HttpSink:
    return http_sink(model, place, ElasticsearchEncoder(model.index))


def build_loki(model: LokiSink, place: Place) -> HttpSink:
    return http_sink(model, place, LokiEncoder(model.labels))


def build_clickhouse(model: ClickHouseSink, place: Place) -> HttpSink:
    return http_sink(model, place, ClickHouseEncoder(model.table, model.database))


def build_otlp(model: OtlpSink, place: Place) -> HttpSink:
    return http_sink(model, place, OtlpLogsEncoder(model.service))


def build_kafka(model: KafkaSink, place: Place) -> kafka.KafkaSink:
    settings = kafka.KafkaSettings(
        brokers=tuple(model.brokers),
        topic=model.topic,
        key=model.key,
        compression=model.compression,
        timeout=model.timeout / 1000,
        buffer=int(model.buffer),
        max_message=int(model.max_message),
        options=kafka_options(model, place),
    )
    return kafka.KafkaSink(model.name or model.kind, settings)


def http_sink(model: HttpModel, place: Place, encoder: Encoder[E]) -> HttpSink[E]:
    certificate = model.tls.certificate
    destination = Destination(
        url=model.url + encoder.path,
        headers=model.headers,
        login=(model.username, model.password) if model.username and model.password else None,
        ca_file=place.base / model.tls.ca_file if model.tls.ca_file else None,
        certificate=(place.base / certificate.file, place.base / certificate.key_file)
        if certificate
        else None,
        timeout=model.timeout / 1000,
        answer_bytes=ANSWER_BYTES,
        compress=model.compress,
    )
    return HttpSink(model.name or model.kind, destination, encoder, int(model.max_request))


def kafka_options(model: KafkaSink, place: Place) -> dict[str, str]:
    """TLS and the login, as librdkafka calls them."""
    login, tls = model.login, model.tls
    options = {"security.protocol": ("SASL_" if login else "") + ("SSL" if tls else "PLAINTEXT")}
    if login is not None:
        options |= {
            "sasl.mechanisms": login.mechanism,
            "sasl.username": login.username,
            "sasl.password": login.password,
        }
    return options | (kafka_tls(tls, place) if tls is not None else {})


def kafka_tls(tls: SinkTls, place: Place) -> dict[str, str]:
    files = {"ssl.ca.location": tls.ca_file}
    if tls.certificate is not None:
        files |= {
            "ssl.certificate.location": tls.certificate.file,
            "ssl.key.location": tls.certificate.key_file,
        }
    return {name: str(place.base / file) for name, file in files.items() if file is not None}

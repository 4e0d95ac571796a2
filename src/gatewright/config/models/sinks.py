"""Models of sinks on other machines: HTTP servers of several kinds, and Kafka."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gatewright.config.models.base import Headers, OneOrMany, Section, Text
from gatewright.config.models.delivery import RemoteSinkSection
from gatewright.config.quantities import Duration, Size, duration, size


def _server(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        message = "expected the address of a server, such as `https://logs.example.com:8443`"
        raise ValueError(message)
    return url


def _login_apart(url: str) -> str:
    if urlsplit(url).username is not None:
        message = "an address is printed in places where a password is not; write `username` and `password`"
        raise ValueError(message)
    return url


def _base(url: str) -> str:
    if urlsplit(url).query or urlsplit(url).fragment:
        message = "expected the address of a server, without `?` and `#`"
        raise ValueError(message)
    return url.rstrip("/")


WholeUrl = Annotated[str, AfterValidator(_server), AfterValidator(_login_apart)]
BaseUrl = Annotated[WholeUrl, AfterValidator(_base)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Broker = Annotated[str, StringConstraints(pattern=r"^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$")]


class SinkCertificate(Section):
    """The certificate of the gateway towards the server of a sink. Files are read when the sink first
    connects; over HTTP once more after each failure.
    """

    file: Text = Field(
        description="PEM file with the certificate and those that lead to its authority, in this order; "
        "relative to the configuration file."
    )
    key_file: Text = Field(
        description="PEM file with the private key, without a passphrase; relative to the configuration file."
    )


class SinkTls(Section):
    """TLS to the server of a sink."""

    ca_file: Text | None = Field(
        None,
        description="PEM file with the authorities that are trusted, and no others; relative to the "
        "configuration file. Those of the system by default.",
    )
    certificate: SinkCertificate | None = Field(
        None, description="Shown to a server that asks for one; none by default."
    )


class HttpSinkSection(RemoteSinkSection):
    """A server that takes records over HTTP. Redirects are not followed."""

    headers: Headers = Field(
        default_factory=dict,
        max_length=50,
        description="Headers of every request, such as `Authorization`; keep secrets out of the file with "
        "`${file:...}` or `${env:...}`.",
    )
    username: Text | None = Field(
        None, description="Who logs in with `Authorization: Basic`; nobody by default."
    )
    password: Text | None = Field(
        None, description="The password of `username`; best as `${file:...}` or `${env:...}`."
    )
    tls: SinkTls = Field(default_factory=SinkTls, description="Whom `https` trusts, and what is shown to it.")
    timeout: Annotated[Duration, duration("100ms", "5m")] = Field(
        Duration.of("10s"),
        description="For one request with everything: connection, what is sent, the whole answer; then the "
        "batch is tried again.",
    )
    max_request: Annotated[Size, size("16KiB", "64MiB")] = Field(
        Size.of("4MiB"),
        description="Bytes of a request before compression; a larger batch is sent in several.",
    )
    compress: bool = Field(True, description="Whether requests are compressed with gzip.")

    @model_validator(mode="after")
    def _whole_login(self) -> "HttpSinkSection":
        if (self.username is None) != (self.password is None):
            message = "`username` and `password` go together"
            raise ValueError(message)
        if self.username is not None and any(name.lower() == "authorization" for name in self.headers):
            message = "give `username` and `password`, or a header `Authorization`, not both"
            raise ValueError(message)
        return self


class WebhookSink(HttpSinkSection):
    """Posts records to a server of your own, as lines of JSON or as an array."""

    kind: Literal["webhook"] = Field("webhook", description="`webhook`; must be written in files.")
    url: WholeUrl = Field(description="Where requests go, path and query included.")
    format: Literal["ndjson", "json"] = Field(
        "ndjson", description="`ndjson`: a record a line; `json`: one array of records."
    )
    compress: bool = Field(False, description="Whether requests are compressed with gzip.")
    secret: Annotated[str, Field(min_length=16)] | None = Field(
        None,
        description="Signs each request, so that the server can tell it from a forgery: "
        "`X-Gatewright-Signature: v1=HMAC-SHA256` in hex over `X-Gatewright-Timestamp`, a dot, and the body "
        "as it is sent. Best as `${file:...}` or `${env:...}`. No signature by default.",
    )


class ElasticsearchSink(HttpSinkSection):
    """Creates a document for each record in Elasticsearch or OpenSearch, in an index for each day."""

    kind: Literal["elasticsearch"] = Field(
        "elasticsearch", description="`elasticsearch`; must be written in files."
    )
    url: BaseUrl = Field(description="Address of the server, such as `https://search.example.com:9200`.")
    index: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,199}$")] = Field(
        "gatewright", description="Documents go to `INDEX-YYYY.MM.DD`, by the day of the request in UTC."
    )


class LokiSink(HttpSinkSection):
    """Pushes records to Grafana Loki, with the labels `job`, `service`, `status_class` and `node`."""

    kind: Literal["loki"] = Field("loki", description="`loki`; must be written in files.")
    url: BaseUrl = Field(description="Address of the server, such as `http://loki.example.com:3100`.")
    labels: dict[Identifier, str] = Field(
        default_factory=dict,
        max_length=10,
        description="Labels of every stream besides; one of these names replaces the sink's own.",
    )


class ClickHouseSink(HttpSinkSection):
    """Inserts each record as a row of a table in ClickHouse, which has to be there."""

    kind: Literal["clickhouse"] = Field("clickhouse", description="`clickhouse`; must be written in files.")
    url: BaseUrl = Field(
        description="Address of its HTTP interface, such as `https://clickhouse.example.com:8443`."
    )
    database: Identifier = Field("default", description="The database.")
    table: Identifier = Field(
        "gatewright_records",
        description="The table. Fields of a record for which it has no column are left out.",
    )


class OtlpSink(HttpSinkSection):
    """Sends each record as a log record by OTLP over HTTP, in JSON."""

    kind: Literal["otlp"] = Field("otlp", description="`otlp`; must be written in files.")
    url: BaseUrl = Field(
        description="Address of the collector, such as `http://localhost:4318`; `/v1/logs` is added."
    )
    service: Text = Field("gatewright", description="`service.name` of the resource.")


class KafkaLogin(Section):
    """How the gateway logs in to the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How the password is proved; `PLAIN` sends it."
    )
    username: Text = Field(description="Who logs in.")
    password: Text = Field(description="Best as `${file:...}` or `${env:...}`.")


class KafkaSink(RemoteSinkSection):
    """Produces each record as a message to Kafka: keyed, idempotent, acknowledged by all replicas. Needs the
    extra `kafka`.
    """

    kind: Literal["kafka"] = Field("kafka", description="`kafka`; must be written in files.")
    brokers: Annotated[list[Broker], OneOrMany] = Field(
        min_length=1, max_length=64, description="Some of the brokers, as `host:port`; 9092 by default."
    )
    topic: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")] = Field(
        "gatewright-records", description="The topic, which has to be there unless brokers make it."
    )
    key: Literal["caller", "route_id", "request_id", "client_ip", "tenant_id", "none"] = Field(
        "caller",
        description="What messages of one partition have in common. `caller` is the user, else the partner, "
        "else the client's address. Records without it, and all with `none`, are spread.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "zstd", description="How messages are compressed."
    )
    timeout: Annotated[Duration, duration("100ms", "5m")] = Field(
        Duration.of("5s"),
        description="How long a batch is waited for before it counts as failed. The client goes on with it "
        "all the same, and it is waited for again.",
    )
    buffer: Annotated[Size, size("1MiB", "2GiB")] = Field(
        Size.of("64MiB"),
        description="Bytes that the client holds; a batch that is larger is handed over in parts.",
    )
    max_message: Annotated[Size, size("1KiB", "100MiB")] = Field(
        Size.of("1MB"),
        description="Bytes of a request to a broker; not more than the topic's `max.message.bytes`. A record "
        "that is larger is dropped and counted.",
    )
    tls: SinkTls | None = Field(
        None, description="TLS to the brokers; `{}` trusts the authorities of the system. None by default."
    )
    login: KafkaLogin | None = Field(None, description="How the gateway logs in; not at all by default.")

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> "KafkaSink":
        if self.login is not None and self.login.mechanism == "PLAIN" and self.tls is None:
            message = "`PLAIN` sends the password as it is; add `tls`, or let `mechanism` be `SCRAM-SHA-512`"
            raise ValueError(message)
        return self


RemoteSink = WebhookSink | ElasticsearchSink | LokiSink | ClickHouseSink | OtlpSink | KafkaSink

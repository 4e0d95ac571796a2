"""OTLP over gRPC. What is sent is encoded already, so that the library has only to carry it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from gatewright.config.models import SpanExport
from gatewright.errors import GatewrightError
from gatewright.records.sink import RejectedError, SinkError
from gatewright.tracing.exporter import Refused, refused_in

try:
    import grpc
except ImportError as missing:
    message = "`tracing.export.protocol: grpc` needs grpcio; `pip install 'gatewright[grpc]'`"
    raise GatewrightError(message) from missing

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# After these the protocol allows another attempt; those about the login may be mended, too.
AGAIN = frozenset({
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
})
MAXIMUM_ANSWER = 64 << 10


class GrpcTransport:
    """Calls one collector over one connection."""

    def __init__(self, settings: SpanExport) -> None:
        parts = urlsplit(settings.url)
        is_secure = parts.scheme == "https"
        target = parts.netloc if parts.port else f"{parts.netloc}:{443 if is_secure else 4317}"
        # As over HTTP: an answer within a bound, and no proxy of the environment.
        options = [("grpc.max_receive_message_length", MAXIMUM_ANSWER), ("grpc.enable_http_proxy", 0)]
        if is_secure:
            roots = Path(settings.ca_file).read_bytes() if settings.ca_file else None
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        self._export = self._channel.unary_unary(METHOD, request_serializer=None, response_deserializer=None)
        self._metadata = tuple((name.lower(), value) for name, value in settings.headers.items())
        self._timeout = settings.timeout / 1000
        gzip = settings.compression == "gzip"
        self._compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression

    def send(self, body: bytes) -> Refused:
        try:
            answer = self._export(
                body, timeout=self._timeout, metadata=self._metadata, compression=self._compression
            )
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else None
            why = f"the collector answered {code.name if code else error}"
            if code is None or code in AGAIN:
                raise SinkError(why) from error
            raise RejectedError(why, 0) from error
        return refused_in(answer)

    def close(self) -> None:
        self._channel.close()


def build(settings: SpanExport) -> GrpcTransport:
    try:
        return GrpcTransport(settings)
    except OSError as error:
        raise GatewrightError(f"`tracing.export.ca_file`: {error}") from error

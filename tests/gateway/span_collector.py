"""A collector of spans that understands OTLP by the messages of the OpenTelemetry project."""

import gzip
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

SECONDS = 20.0


class SpanCollector:
    """What has come, and how the next requests are answered."""

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[dict[str, str]] = []
        # Statuses of HTTP or gRPC for the next requests, each once; all others are taken.
        self.failures: list[Any] = []
        self.rejects = 0
        self._came: queue.Queue[ResourceSpans] = queue.Queue()

    def take(self, request: ExportTraceServiceRequest, head: dict[str, str]) -> ExportTraceServiceResponse:
        self.heads.append(head)
        for one in request.resource_spans:
            self._came.put(one)
        answer = ExportTraceServiceResponse()
        if self.rejects:
            answer.partial_success.rejected_spans = self.rejects
            answer.partial_success.error_message = "too many"
        return answer

    def next(self) -> ResourceSpans:
        """The spans of one node that came together."""
        return self._came.get(timeout=SECONDS)

    def spans(self) -> list[Span]:
        """Of the next request."""
        return [span for scope in self.next().scope_spans for span in scope.spans]

    @property
    def is_empty(self) -> bool:
        return self._came.empty()


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in holder.attributes
    }


@contextmanager
def http_collector() -> Iterator[SpanCollector]:
    collector = SpanCollector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.failures:
                return self.answer(collector.failures.pop(0), b"")
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            head = {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
            answer = collector.take(ExportTraceServiceRequest.FromString(body), head)
            return self.answer(200, answer.SerializeToString())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    collector.port = server.server_address[1]
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def grpc_collector() -> Iterator[SpanCollector]:
    collector = SpanCollector()

    class Service(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            if collector.failures:
                context.abort(collector.failures.pop(0), "not now")
            return collector.take(request, dict(context.invocation_metadata()))

    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(Service(), server)
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        server.stop(None)

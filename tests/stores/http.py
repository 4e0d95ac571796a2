"""Stores that take records over HTTP, as strict as what they stand for: what its documentation does not allow
is refused. Each has real sockets, keeps what it accepts, and fails as it is told.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came; `body` is uncompressed, `sent` is not."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    sent: bytes

    @property
    def lines(self) -> list[Any]:
        assert self.body.endswith(b"\n"), "the last line needs its end"
        return [json.loads(line) for line in self.body[:-1].split(b"\n")]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a store answers. `cut` leaves out so many bytes of the body and resets the connection."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    cut: int = 0


Fault = Callable[[Received], Reply]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # A store that is started again takes the place of the one that was killed.
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are no fault."""


class Store:
    """Accepts everything. Kinds of stores say in `accept` what they allow, and answer."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Received] = []
        self.records: list[dict[str, Any]] = []
        self.faults: deque[Fault] = deque()
        """Taken one a request, before anything is stored."""
        self.after: deque[Fault] = deque()
        """Taken one a request, after it was stored."""
        self.connections = 0
        self.wrong: list[str] = []
        """What the documentation of the store does not allow."""
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30
            # Head and body in one piece, or the client's kernel waits 40 ms for the second.
            wbufsize = 1 << 16

            def setup(self) -> None:
                super().setup()
                store.connections += 1

            def do_POST(self) -> None:
                store._serve(self)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        self._thread.start()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert self.wrong == []

    def accept(self, request: Received) -> Reply:
        self.records += request.lines
        return Reply(204)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = received(handler)
        self.requests.append(request)
        reply = self.faults.popleft()(request) if self.faults else None
        if reply is None:
            reply = self._accepted(request)
            reply = self.after.popleft()(request) if self.after else reply
        send(handler, reply)

    def _accepted(self, request: Received) -> Reply:
        try:
            return self.accept(request)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
            return Reply(400, b"not as documented")


def received(handler: BaseHTTPRequestHandler) -> Received:
    sent = handler.rfile.read(int(handler.headers["Content-Length"]))
    body = gzip.decompress(sent) if handler.headers.get("Content-Encoding") == "gzip" else sent
    parts = urlsplit(handler.path)
    query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    headers = {name.lower(): value for name, value in handler.headers.items()}
    return Received(parts.path, query, headers, body, sent)


def send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in (reply.headers or {}).items():
        handler.send_header(name, value)
    if reply.status != 204:
        handler.send_header("Content-Length", str(len(reply.body)))
    handler.end_headers()
    if reply.cut:
        handler.wfile.write(reply.body[: -reply.cut])
        handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        handler.close_connection = True
    elif reply.status != 204:
        handler.wfile.write(reply.body)


def as_json(content: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


class WebhookStore(Store):
    def accept(self, request: Received) -> Reply:
        kind = request.headers["content-type"]
        assert kind in ("application/json", "application/x-ndjson")
        self.records += json.loads(request.body) if kind == "application/json" else request.lines
        return Reply(204)


class ElasticsearchStore(Store):
    """`POST /_bulk`; `errors_of` gives the error of a document that is not stored."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.errors_of: Callable[[dict[str, Any]], int | None] = lambda _: None

    def accept(self, request: Received) -> Reply:
        assert request.path == "/_bulk"
        assert request.headers["content-type"] == "application/x-ndjson"
        lines = request.lines
        assert len(lines) % 2 == 0
        items = [self._created(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
        errors = any(item["create"]["status"] >= 400 for item in items)
        assert set(request.query) <= {"filter_path"}
        return as_json({"errors": errors, "items": items})

    def _created(self, action: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        assert list(action) == ["create"]
        index, name = action["create"]["_index"], action["create"]["_id"]
        assert re.fullmatch(r"[a-z0-9._-]{1,255}", index)
        assert 0 < len(name) <= 512
        status = self.errors_of(document)
        if status is None and (index, name) in self.documents:
            status = 409
        if status is not None:
            error = {"type": f"failed_with_{status}", "reason": "as the test says"}
            return {"create": {"status": status, "error": error}}
        self.documents[index, name] = document
        self.records.append(document)
        return {"create": {"status": 201}}


class LokiStore(Store):
    """`POST /loki/api/v1/push`; entries before `oldest` (nanoseconds) are left out and told of."""

    oldest = 0

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.streams: set[tuple[tuple[str, str], ...]] = set()

    def accept(self, request: Received) -> Reply:
        assert request.path == "/loki/api/v1/push"
        assert request.headers["content-type"] == "application/json"
        ignored = total = 0
        for stream in json.loads(request.body)["streams"]:
            assert set(stream) == {"stream", "values"}
            assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in stream["stream"])
            assert all(isinstance(value, str) for value in stream["stream"].values())
            self.streams.add(tuple(sorted(stream["stream"].items())))
            for moment, line in stream["values"]:
                assert isinstance(moment, str)
                total += 1
                if int(moment) < self.oldest:
                    ignored += 1
                else:
                    self.records.append(json.loads(line))
        if not ignored:
            return Reply(204)
        why = "entry with timestamp 1 ignored, reason: 'entry too far behind',"
        return Reply(400, f"{why}\ntotal ignored: {ignored} out of {total}".encode())


class ClickHouseStore(Store):
    """`POST /?query=INSERT ...`; a token that was seen inserts nothing."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.tokens: set[str] = set()

    def accept(self, request: Received) -> Reply:
        assert request.path == "/"
        assert re.fullmatch(r"INSERT INTO `\w+` FORMAT JSONEachRow", request.query["query"])
        assert request.query["database"]
        token = request.query["insert_deduplication_token"]
        if token not in self.tokens:
            self.records += request.lines
        self.tokens.add(token)
        return Reply(200)


class OtlpStore(Store):
    """`POST /v1/logs`; `rejects` is how many of a request are said to be rejected."""

    rejects = 0

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.resources: list[dict[str, Any]] = []
        self.log_records: list[dict[str, Any]] = []

    def accept(self, request: Received) -> Reply:
        assert request.path == "/v1/logs"
        assert request.headers["content-type"] == "application/json"
        body = json.loads(request.body)
        assert list(body) == ["resourceLogs"]
        for resource in body["resourceLogs"]:
            self.resources.append(pairs(resource["resource"]["attributes"]))
            for scope in resource["scopeLogs"]:
                for record in scope["logRecords"]:
                    self._keep(record)
        if self.rejects:
            said = {"rejectedLogRecords": str(self.rejects), "errorMessage": "too many attributes"}
            return as_json({"partialSuccess": said})
        return as_json({})

    def _keep(self, record: dict[str, Any]) -> None:
        known = {
            "timeUnixNano",
            "observedTimeUnixNano",
            "severityNumber",
            "severityText",
            "body",
            "attributes",
        }
        assert known <= set(record) <= known | {"traceId", "spanId"}
        assert isinstance(record["timeUnixNano"], str)
        assert 1 <= record["severityNumber"] <= 24
        assert re.fullmatch(r"[0-9a-f]{32}", record.get("traceId", "0" * 32))
        self.log_records.append(record)
        self.records.append(json.loads(record["body"]["stringValue"]))


def pairs(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Attributes of OTLP as they are read: an integer is a text there."""
    read: dict[str, Any] = {}
    for attribute in attributes:
        [(kind, value)] = attribute["value"].items()
        assert isinstance(value, float if kind == "doubleValue" else str)
        read[attribute["key"]] = int(value) if kind == "intValue" else value
    return read


STORES: dict[str, type[Store]] = {
    "webhook": WebhookStore,
    "elasticsearch": ElasticsearchStore,
    "loki": LokiStore,
    "clickhouse": ClickHouseStore,
    "otlp": OtlpStore,
}

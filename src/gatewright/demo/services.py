"""Three sample services: users, orders, payments. Each says what it received; some paths misbehave on
purpose.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

SLOW_SECONDS = 5.0
SHOWN = ("x-user-id", "x-user-scopes", "x-partner-id", "x-request-id", "x-forwarded-for", "authorization")


class Service(BaseHTTPRequestHandler):
    """Answers every request with JSON: the service's name, the path that it saw and who the gateway says
    is calling.
    """

    protocol_version = "HTTP/1.1"
    name: ClassVar[str] = "service"
    # Set at the end, so that a slow answer does not outlive the demonstration.
    ending: ClassVar[threading.Event] = threading.Event()

    def respond(self) -> None:
        """Answer whatever was asked."""
        self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        if path.endswith("/slow"):
            self.ending.wait(SLOW_SECONDS)
        status = 500 if path.endswith("/fail") else 200
        seen = {name: self.headers[name] for name in SHOWN if self.headers[name]}
        body = json.dumps({"service": self.name, "path": path, "received": seen}).encode() + b"\n"
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond

    def log_message(self, format: str, *_: object) -> None:
        """The gateway's records tell what happened."""


class Server(ThreadingHTTPServer):
    """One listening service; its threads end with the process."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A gateway that gave up waiting is part of the demonstration."""


@contextmanager
def running(names: Sequence[str], ports: Sequence[int]) -> Iterator[list[int]]:
    """The services while the block runs; gives their ports in fact. Raises `OSError` when one is busy."""
    ending = threading.Event()
    with ExitStack() as stack:
        servers = []
        for name, port in zip(names, ports, strict=True):
            handler = type(f"{name.title()}Service", (Service,), {"name": name, "ending": ending})
            server = stack.enter_context(Server(("127.0.0.1", port), handler))
            threading.Thread(target=server.serve_forever, name=name, daemon=True).start()
            stack.callback(server.shutdown)
            servers.append(server)
        try:
            yield [server.server_address[1] for server in servers]
        finally:
            ending.set()

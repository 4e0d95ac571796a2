"""A server of HTTP in the test's own process, which one class answers for."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class QuietHandler(BaseHTTPRequestHandler):
    """Says nothing of the requests that come."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


class HttpPeer:
    """Listens from its making on and answers while it is entered. A context manager."""

    def __init__(self, handler: type[QuietHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        self.stop()

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS. To be called before it is entered."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def let_go(self) -> None:
        """Answer whoever is kept waiting."""

    def stop(self) -> None:
        """Take no connection any more."""
        self._server.shutdown()
        self._server.server_close()

"""Somebody who is told of alerts by a webhook, and answers as a test says."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Told = dict[str, Any]


class Listening:
    """Keeps what it is told. `statuses` are given first, then 200. A context manager."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.told: queue.Queue[Told] = queue.Queue()
        self._kept: list[Told] = []
        self.bodies: list[tuple[dict[str, str], bytes]] = []
        self.held = threading.Event()
        self.held.set()
        listening = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listening.take(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self.held.wait(20)
        status = self.statuses.pop(0) if self.statuses else 200
        request.send_response(status)
        if status in {301, 307}:
            request.send_header("location", self.url)
        request.send_header("content-length", "0")
        request.end_headers()
        self.bodies.append(({name.lower(): value for name, value in request.headers.items()}, body))
        if status == 200:
            self.told.put(json.loads(body))

    def wait_for(self, status: str, alert: str, subject: str, seconds: float = 60.0) -> Told:
        """The first message like this that nobody waited for yet. Raises `queue.Empty`."""
        wanted = (status, alert, subject)
        while True:
            for place, told in enumerate(self._kept):
                if (told["status"], told["alert"], told["subject"]) == wanted:
                    return self._kept.pop(place)
            self._kept.append(self.told.get(timeout=seconds))

    def has(self, alert: str) -> bool:
        """Was anything told of this alert that nobody waited for?"""
        while not self.told.empty():
            self._kept.append(self.told.get())
        return any(told["alert"] == alert for told in self._kept)

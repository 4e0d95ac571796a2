"""Somebody who is told of alerts by a webhook, and answers as a test says."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from gateway.http_peer import HttpPeer, QuietHandler

Told = dict[str, Any]


class Listening(HttpPeer):
    """Keeps what it is told. `statuses` are given first, then 200. A context manager."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.told: queue.Queue[Told] = queue.Queue()
        self._kept: list[Told] = []
        self.bodies: list[tuple[dict[str, str], bytes]] = []
        self.held = threading.Event()
        self.held.set()
        listening = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                listening.take(self)

        super().__init__(Handler)
        self.url = f"{self.base}/alerts"

    def let_go(self) -> None:
        self.held.set()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self.held.wait(20)
        status = self.statuses.pop(0) if self.statuses else 200
        # Before the answer, since whoever has that may look here.
        self.bodies.append(({name.lower(): value for name, value in request.headers.items()}, body))
        if status == 200:
            self.told.put(json.loads(body))
        request.send_response(status)
        if status in {301, 307}:
            request.send_header("location", self.url)
        request.send_header("content-length", "0")
        request.end_headers()

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

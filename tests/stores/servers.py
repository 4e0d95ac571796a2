"""Real stores as processes, which a test kills and starts again."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from gateway.ports import unused_ports

STORES = Path(os.environ["GATEWRIGHT_STORES"])
START_SECONDS = 120.0
COLLECTOR = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http}"}}, grpc: {{endpoint: "127.0.0.1:{grpc}"}}}}}}
exporters:
  otlphttp: {{endpoint: "{behind}", encoding: json, compression: none, sending_queue: {{enabled: false}}}}
service:
  pipelines:
    logs: {{receivers: [otlp], exporters: [otlphttp]}}
    traces: {{receivers: [otlp], exporters: [otlphttp]}}
  telemetry: {{metrics: {{level: none}}}}
"""


class Server:
    """A program that answers at `health`, and keeps what it has when it is killed."""

    def __init__(self, command: list[str], url: str, health: str, log: Path) -> None:
        self.url = url
        self.log = log
        self._command, self._health = command, health
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(self.answers, START_SECONDS)

    def answers(self) -> bool:
        try:
            httpx2.get(self.url + self._health, timeout=1)
        except httpx2.HTTPError:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


S = TypeVar("S", bound=Server)


@contextmanager
def running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


def until(what: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Collector(Server):
    """The OpenTelemetry Collector: passes on by OTLP in JSON what it gets by OTLP, and only then answers."""

    def __init__(self, directory: Path, behind: str) -> None:
        ports = unused_ports()
        http, grpc = next(ports), next(ports)
        settings = directory / "collector.yaml"
        settings.write_text(COLLECTOR.format(http=http, grpc=grpc, behind=behind))
        command = [str(STORES / "collector" / "collector"), "--config", str(settings)]
        super().__init__(command, f"http://127.0.0.1:{http}", "/", directory / "log")
        self.addresses = {"http": self.url, "grpc": f"http://127.0.0.1:{grpc}"}

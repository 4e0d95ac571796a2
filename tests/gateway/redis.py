"""A Redis of a test's own."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

SECONDS = 30.0


def until(wanted: Callable[[], bool]) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            if wanted():
                return
        except RedisError:
            pass
        assert time.monotonic() < end
        time.sleep(0.02)


class RedisServer:
    """A server that forgets everything, at a port of 127.0.0.1."""

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it; return once it answers."""
        program = shutil.which("redis-server") or "redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([program, *options], cwd=self._directory, stdout=log, stderr=log)
        until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "redis.log").read_text()
        return bool(self.ask().ping())

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def ask(self) -> Any:
        return Redis.from_url(self.url, decode_responses=True, socket_timeout=30)

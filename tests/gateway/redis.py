"""A Redis of a test's own."""

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

DEADLINE = 30.0


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
        self._wait(self._process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + DEADLINE
        while True:
            try:
                self.ask().ping()
            except RedisError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def ask(self) -> Any:
        return Redis.from_url(self.url, decode_responses=True, socket_timeout=5)

"""A Redis of a test's own."""

import shutil
import signal
import socket
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
    """A server that forgets everything, at a port of 127.0.0.1, with options as on its command line, of which
    a file comes first. It works in `directory`.
    """

    def __init__(self, port: int, directory: Path, *options: str) -> None:
        self.port = port
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it; return once it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        program = shutil.which("redis-server") or "redis-server"
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]
        files = [one for one in self._options[:1] if not one.startswith("--")]
        command = [program, *files, *own, *self._options[len(files) :]]
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)
        until(self._answers)

    def _answers(self) -> bool:
        """Whether it says anything, and be it that it wants TLS or a password."""
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "redis.log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(b"PING\r\n")
                connection.recv(1)
        except ConnectionResetError:
            return True
        except OSError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def ask(self, **options: Any) -> Any:
        return Redis("127.0.0.1", self.port, decode_responses=True, socket_timeout=5, **options)

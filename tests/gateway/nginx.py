"""An nginx of one process, which keeps all its files in one directory."""

import os
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

# Debian keeps it where an ordinary user's path does not look.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
START_SECONDS = 30.0
FRAME = """
worker_processes 1;
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    access_log off;
    keepalive_requests 1000000000;
    {http}
}}
"""


def constant(port: int, body: str) -> str:
    """A server that answers everything alike."""
    return f'server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "{body}"; }} }}'


class Nginx:
    """`http` is what stands in the block of that name, and listens on `port`. Raises `TimeoutError`."""

    def __init__(self, directory: Path, port: int, http: str) -> None:
        self.port = port
        file = directory / "nginx.conf"
        file.write_text(FRAME.format(directory=directory, http=http))
        quiet = subprocess.DEVNULL
        command = ["nginx", "-e", f"{directory}/error.log", "-c", str(file)]
        self.child = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env={"PATH": PATH})
        try:
            wait_until_open(self.child, port)
        except TimeoutError:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.child.kill()
        self.child.wait(START_SECONDS)


def wait_until_open(child: "subprocess.Popen[bytes]", port: int) -> None:
    """Raises `TimeoutError` where a program does not come to listen."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"{child.args!r} does not listen; its exit code is {child.poll()}")

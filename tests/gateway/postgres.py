"""A PostgreSQL of a test's own."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

DEADLINE = 60.0
# It refuses to run as root, which tests in a container often are.
OWNERS = ("postgres", "nobody")


def program(name: str) -> str:
    """Where Debian keeps it: not on an ordinary user's path."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(kept[-1]) if kept else shutil.which(name) or name


class Postgres:
    """A server that forgets everything, at a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._owner = owner()
        self._directory = Path(tempfile.mkdtemp(prefix="gatewright-postgres-"))
        if self._owner:
            shutil.chown(self._directory, self._owner)
        subprocess.run(["cp", "-a", initialised(self._owner), self._directory / "data"], check=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        # The client tells of connections that end while it asks for TLS to nobody but the loop.
        return f"postgresql://gatewright@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def start(self) -> None:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [program("postgres"), "-D", str(self._directory / "data"), *given]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._owner, stdout=log, stderr=log, cwd="/")
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + DEADLINE
        ask = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ask, check=False, capture_output=True).returncode != 0:
            if time.monotonic() > until:
                raise TimeoutError((self._directory / "log").read_text())
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, with all its children."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(DEADLINE)
            self._process = None

    def freeze(self, wanted: bool) -> None:
        """Let it hang, or go on: the server and what serves its connections."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for process in (self._process.pid, *map(int, children)):
            # A child that has ended meanwhile hangs as well as any.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP if wanted else signal.SIGCONT)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


@functools.cache
def initialised(owner: str | None) -> Path:
    """The files of a server that was never started, made once for all: it takes longer than a copy."""
    directory = Path(tempfile.mkdtemp(prefix="gatewright-postgres-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    if owner:
        shutil.chown(directory, owner)
    made = directory / "data"
    initialise = [program("initdb"), "-D", str(made), "-U", "gatewright", "-A", "trust", "-N", "-E", "UTF8"]
    subprocess.run(initialise, user=owner, check=True, capture_output=True, cwd="/")
    return made


def owner() -> str | None:
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in OWNERS if name in known)

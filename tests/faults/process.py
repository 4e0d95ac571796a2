"""`gatewright run` in a process of its own, as operators meet it: files, signals, exit codes."""

import codecs
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gatewright

SOURCES = Path(gatewright.__file__).resolve().parents[1]
"""Where the package under test was imported from: an installed one, or a checkout's `src`."""
PROGRAM = ("-m", "gatewright")
DEADLINE = 60.0


def environment() -> dict[str, str]:
    """The same package as the test's own."""
    return {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1"}


def wait_until(what: str, condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Ask again and again until `condition` holds. Raises `TimeoutError` naming what did not come about."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Process:
    """A gateway under test. A context manager: on leaving, the process is gone."""

    def __init__(
        self, config: Path, admin_port: int, *arguments: str, program: tuple[str, ...] = PROGRAM
    ) -> None:
        self.admin_port = admin_port
        self.lines: list[str] = []
        command = [sys.executable, *program, "run", str(config), *arguments]
        self.child = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment())
        self._reading = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait(DEADLINE)
        self._reader.join(DEADLINE)
        if self.child.stderr is not None:
            self.child.stderr.close()

    @property
    def _pipe(self) -> int:
        assert self.child.stderr is not None
        return self.child.stderr.fileno()

    def _read(self) -> None:
        decoder, rest = codecs.getincrementaldecoder("utf-8")(), ""
        readable = select.poll()
        readable.register(self._pipe, select.POLLIN)
        while readable.poll():
            with self._reading:
                data = os.read(self._pipe, 1 << 16)
                *lines, rest = (rest + decoder.decode(data)).split("\n")
                self.lines.extend(lines)
            if not data:
                return

    def _read_up(self) -> None:
        """Return when everything that was said is in `lines`: who has ended may still be heard.

        Its end cannot be waited for, since a successor says what it has to say there, too.
        """
        wait_until("all that it said to be read", self._is_read)

    def _is_read(self) -> bool:
        with self._reading:
            waiting = fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4))
            return struct.unpack("i", waiting) == (0,)

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def wait_for_line(self, text: str) -> None:
        """Wait until standard error has a line with `text`. Raises with all it said where it ends first."""

        def has_come() -> bool:
            has_ended = self.child.poll() is not None
            if has_ended:
                self._read_up()
            if not self.said(text) and has_ended:
                raise AssertionError(f"ended with {self.child.returncode}:\n" + "\n".join(self.lines))
            return self.said(text)

        wait_until(f"line with {text!r}", has_come)

    def wait_until_live(self) -> None:
        self.wait_for_line("is live; state in")

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def wait(self) -> int:
        """The exit code; by then `lines` has all that it said."""
        code = self.child.wait(DEADLINE)
        self._read_up()
        return code

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of an answer of the admin listener."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}")
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as response:  # noqa: S310 - our own address.
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def health(self) -> dict[str, Any]:
        return json.loads(self.ask("/health")[1])

    def metric(self, name: str) -> float:
        """The sum of all series of a metric."""
        lines = self.ask("/metrics")[1].splitlines()
        own = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        assert own, f"no metric {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in own)


def gatewright(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Any other command, to its end; `more` are further variables of its environment."""
    command = [sys.executable, *PROGRAM, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment() | more, timeout=DEADLINE, check=False
    )

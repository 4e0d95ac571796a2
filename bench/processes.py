"""Programs that the bench starts: each on one core, in a session of its own, whose CPU time counts."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class BenchError(Exception):
    """The measurement would not mean what it says; the run ends."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of CPU time since the start of the processes."""

    user: float
    system: float

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.user - earlier.user, self.system - earlier.system)


@dataclass(frozen=True, slots=True)
class Command:
    """What to start, and the port that answers once it is up."""

    arguments: Sequence[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    # The first process only watches its child, and reports once the child ends: the child is told to.
    is_watched: bool = False


class Running:
    """A started program with all its children and threads; a context that ends it."""

    def __init__(
        self, command: Command, core: int, output: Path, start_seconds: float = START_SECONDS
    ) -> None:
        self.start_seconds = start_seconds
        self.command = command
        self.output = output
        # Appended, so that the bench can empty the file between two measurements.
        with output.open("ab") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": PATH, **command.environment},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self.wait_until_open(self.start_seconds)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_until_open(self, seconds: float) -> None:
        """Return once the port accepts. Raises `BenchError` with the end of the output when it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.command.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        tail = self.output.read_text(errors="replace")[-2000:]
        raise BenchError(
            f"{' '.join(self.command.arguments)}: does not listen on {self.command.port}\n{tail}"
        )

    def cpu(self) -> CpuTime:
        """All processes of the session, their threads and the children that they have waited for."""
        user = system = 0
        for _, fields in session_members(self.process.pid):
            # utime, stime, cutime, cstime of proc(5), counted from the state.
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
        return CpuTime(user / TICKS, system / TICKS)

    def memory(self) -> int:
        """Resident bytes of the session; pages shared between its processes count in each."""
        pages = sum(int(fields[21]) for _, fields in session_members(self.process.pid))
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """End the program with SIGTERM, and the whole session with SIGKILL when it does not go."""
        if self.process.poll() is None:
            self.tell_to_end()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tell_to_end(self) -> None:
        if not self.command.is_watched:
            self.process.terminate()
            return
        for pid, fields in session_members(self.process.pid):
            if int(fields[1]) == self.process.pid:
                os.kill(pid, signal.SIGTERM)


def session_members(session: int) -> Iterator[tuple[int, list[str]]]:
    """Process id and the fields of /proc/PID/stat from the state on, for each process of a session."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue  # Ended between the listing and the reading.
        # The name may hold spaces and parentheses, so the fields are counted from the last one.
        fields = text[text.rindex(")") + 2 :].split()
        if int(fields[3]) == session:
            yield int(entry.name), fields


def version_line(*arguments: str) -> str:
    """The first line that a program prints about itself, on either output."""
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH}, timeout=60
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0].strip() if lines else "unknown"

"""Papers as tests see them: their fenced blocks, and a terminal in which what they say is typed."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

import gatewright

SECONDS = 30.0
# Of a request that was made, not of one that is made up.
EXPLAINED = re.compile(r"gatewright explain ([\w-]+)$", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What differs from one run to the next: request ids, times, counts, how wide a table is, and whether the
# worker that answered had seen the token before.
REQUEST_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NUMBER = r"\d+(\.\d+)?"
OF_ONE_WORKER = re.compile(r"\bsignature=verified_before\b")
VARIABLE = re.compile(f"{REQUEST_ID}|{NUMBER}")


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block, and where it stands."""

    paper: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.paper.name}:{self.line}"


def fences(paper: Path) -> list[Fence]:
    """Give every fenced block of a paper in order."""
    text = paper.read_text(encoding="utf-8")
    return [
        Fence(paper, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in FENCE.finditer(text)
    ]


def plain(text: str) -> str:
    """Give a line without what differs from one run to the next."""
    return " ".join(re.sub("─+", "─", VARIABLE.sub("0", OF_ONE_WORKER.sub("", text))).split())


class Terminal:
    """A shell in a directory of its own. Ports of papers become free ones. What it started ends with it."""

    def __init__(self, directory: Path, ports: dict[str, int], source: Path) -> None:
        self.directory = directory
        self._ports = ports
        self._groups: list[int] = []
        self._environment = self._prepared(source)

    def use(self, ports: dict[str, int]) -> None:
        """Let other ports stand for those of the papers."""
        self._ports = ports
        self._environment["GATEWRIGHT_ADMIN"] = f"http://127.0.0.1:{self.port('9901')}"

    def _prepared(self, source: Path) -> dict[str, str]:
        commands = self.directory / "commands"
        commands.mkdir()
        for name in ("gatewright", "gw"):
            script = commands / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gatewright "$@"\n')
            script.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWRIGHT_")}
        return kept | {
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "COLUMNS": "200",
            "GATEWRIGHT_ADMIN": f"http://127.0.0.1:{self.port('9901')}",
        }

    def port(self, written: str) -> int:
        """Give the port that stands for one in the papers."""
        return self._ports[written]

    def here(self, text: str) -> str:
        """Give text of a paper with the ports of this terminal."""
        return re.sub(r"\b(\d{4})\b", lambda found: str(self._ports.get(found[1], found[1])), text)

    def type(self, text: str) -> str:
        """Type commands; give what they print. What they leave running is waited for until it listens, and
        what they ask about until it is stored: a person is slower than the records.
        """
        typed = self.here(text)
        for request in EXPLAINED.findall(typed):
            self.wait_for_record(request)
        output = self.directory / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", typed],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.append(process.pid)
            process.wait(SECONDS)
        if "http.server" in typed:
            self.wait_for_port(self.port("9001"))
        if "gatewright run" in typed or "gatewright demo" in typed:
            self.version(at_least=1)
        return output.read_text(encoding="utf-8", errors="replace")

    def wait_for_record(self, request: str) -> None:
        """Wait until the record of a request is stored, and with it those of all before."""
        url = f"http://127.0.0.1:{self.port('9901')}/api/v1/records/{request}"
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if httpx2.get(url, timeout=SECONDS).status_code == 200:
                return
            time.sleep(0.02)
        raise AssertionError(f"there is no record of request {request}")

    def wait_for_port(self, port: int) -> None:
        """Wait until somebody listens."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"nobody listens on port {port}")

    def version(self, at_least: int) -> int:
        """Wait until a node here has at least this version of its configuration live; give the version."""
        deadline, found = time.monotonic() + SECONDS, 0
        while time.monotonic() < deadline:
            try:
                health = httpx2.get(f"http://127.0.0.1:{self.port('9901')}/health", timeout=5.0).json()
                found = int(health["config"]["version"])
            except httpx2.TransportError:
                found = 0
            if found >= at_least:
                return found
            time.sleep(0.02)
        raise AssertionError(f"version {found} is live, not {at_least}")

    def save(self, name: str, text: str) -> None:
        """Save a file as an editor does, by a rename."""
        temporary = self.directory / f"{name}~"
        temporary.write_text(self.here(text), encoding="utf-8")
        temporary.replace(self.directory / name)

    def close(self) -> None:
        """End whatever was started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for group in self._groups:
                try:
                    os.killpg(group, number)
                except ProcessLookupError:
                    continue
            time.sleep(0.2 if number is signal.SIGTERM else 0)


@pytest.fixture
def terminal(tmp_path: Path, repository: Path, free_port: Callable[[], int]) -> Iterator[Terminal]:
    ports = {written: free_port() for written in ("8080", "9901", "9001", "9002", "9003")}
    opened = Terminal(tmp_path, ports, Path(gatewright.__file__).resolve().parents[1])
    yield opened
    opened.close()


@pytest.fixture
def ports_in_a_row(free_port: Callable[[], int]) -> Callable[[int], int]:
    """Gives the first of so many neighbouring ports that nothing listened on a moment ago."""

    def give(count: int) -> int:
        for _ in range(100):
            base = free_port()
            if base + count < 65536 and all(is_free(base + step) for step in range(1, count)):
                return base
        raise OSError(f"no {count} neighbouring ports are free")

    return give


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="session")
def papers(repository: Path) -> list[Path]:
    """Every paper, generated ones included."""
    return [*sorted(repository.glob("*.md")), *sorted((repository / "docs").rglob("*.md"))]


@pytest.fixture(scope="session")
def blocks(papers: list[Path]) -> list[Fence]:
    """Every fenced block of every paper."""
    return [fence for paper in papers for fence in fences(paper)]


@pytest.fixture(scope="session")
def blocks_of() -> Callable[[Path], list[Fence]]:
    return fences


@pytest.fixture(scope="session")
def missing() -> Callable[[str, str], list[str]]:
    """Lines of an expected text that an output lacks, whatever differs from run to run."""

    def compare(expected: str, output: str) -> list[str]:
        found = plain(output)
        return [line for line in expected.splitlines() if line.strip() and plain(line) not in found]

    return compare

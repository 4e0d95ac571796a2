"""What the delivery of records costs requests: with every sink off, on, one slow (1 s a batch), one dead.

`make records-load` takes ten minutes and wants an idle machine: it measures time, which tests do not. A
node of each kind runs, all at one time, and they are asked in turns of less than a second, so that what
the machine does besides hits all alike; what counts is a node beside the one without sinks in the same
turn. Nodes are started anew some times, since each process lies in memory in its own way. First turns ask
as fast as one worker can answer, which tells requests per second and its CPU time per request; later ones
ask at a fixed rate and tell p50 and p99. What was sent has to be what was stored, was counted as dropped,
or waits. A table goes to `results/`.

What is asked is whether a sink touches a request, not how many programs two cores can carry. So the workers
have a core of their own, everything else shares another, and there the load generator goes first, by a
priority of real time, which needs root. With `--shared` all are left to the scheduler.
"""

import argparse
import os
import random
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from faults.conftest import Setting
from faults.h2load import all_good
from faults.neighbours import percentile
from faults.process import Process, wait_until
from gateway.ports import unused_ports

RESULTS = Path(__file__).with_name("results")
TEXT = """\
version: 1
node: {{drain_timeout: 20s}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
defaults: {{rate_limit: none, unauthenticated_tier: none}}
routes: [{{name: all, match: /*, respond: {{body: "ok"}}}}]
records: {{sinks: [{sinks}]}}
"""
LOCAL = "{kind: sqlite}, {kind: file, path: access.jsonl}"
REMOTE = "{{kind: webhook, url: 'http://127.0.0.1:{port}/', batch: {{records: 1000, wait: 500ms}}}}"
KINDS = ("off", "on", "slow", "dead")
WORKERS, OTHERS = 0, 1
METRICS = ("records_total", "dropped_total", "queued_records", "spilled_records")


class Slow(BaseHTTPRequestHandler):
    """Takes a second for each batch."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(1.0)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None: ...


@dataclass
class Found:
    """What was measured of one kind, a value a turn; and whether every record is accounted for."""

    rates: list[float] = field(default_factory=list)
    worker_us: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)


@dataclass
class Subject:
    """A node of one kind while it runs."""

    kind: str
    process: Process
    url: str
    log: Path
    found: Found
    shared: bool
    sent: int = 0

    def ask(self, *options: str) -> tuple[float, list[int]]:
        """Requests per second as h2load reckons them, and the microseconds of each."""
        rate, times = load(self.url, self.log, *options, goes_first=not self.shared)
        self.sent += len(times)
        return rate, times

    def rest(self) -> None:
        """Until nothing waits that can be delivered, so that it does not work in the turn of another."""
        if self.kind != "off":
            wait_until("records handed on", lambda: self.process.metric("gateway_records_queued") == 0)
            wait_until("local sinks at rest", lambda: self.waiting("sqlite", "file") == 0)

    def waiting(self, *names: str) -> int:
        counts = sums(self.process)
        return sum(counts[name][METRICS.index("queued_records")] for name in names)


@contextmanager
def slow_server() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def separate(process: Process) -> None:
    """Give the threads that serve requests a core of their own."""
    for task in Path(f"/proc/{process.child.pid}/task").iterdir():
        is_worker = (task / "comm").read_text().startswith("worker")
        os.sched_setaffinity(int(task.name), {WORKERS if is_worker else OTHERS})


def load(url: str, log: Path, *options: str, goes_first: bool) -> tuple[float, list[int]]:
    log.unlink(missing_ok=True)
    command = ["h2load", "--h1", "-t1", f"--log-file={log}", *options, url]
    first = ["taskset", "-c", str(OTHERS), "chrt", "--fifo", "10"] if goes_first else []
    said = subprocess.run(first + command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"^finished in .*, (\S+) req/s", said, re.MULTILINE)
    if rate is None:
        raise AssertionError(said)
    return float(rate[1]), all_good(log)


def worker_seconds(process: Process) -> float:
    """CPU time of the threads that serve requests."""
    tasks = Path(f"/proc/{process.child.pid}/task").iterdir()
    workers = [task for task in tasks if (task / "comm").read_text().startswith("worker")]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in workers) / 1e9


def memory(process: Process) -> float:
    """The most it ever had, in MiB."""
    text = Path(f"/proc/{process.child.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0


def sums(process: Process) -> dict[str, list[int]]:
    """Of each sink the values of `METRICS`."""
    page = process.ask("/metrics")[1]
    found: dict[str, list[int]] = {}
    for place, name in enumerate(METRICS):
        for labels, value in re.findall(rf"^gateway_sink_{name}{{(.*?)}} (\S+)$", page, re.MULTILINE):
            sink = re.search(r'sink="([^"]+)"', labels)
            if sink is not None:
                found.setdefault(sink[1], [0] * len(METRICS))[place] += round(float(value))
    return found


def account(subject: Subject) -> str:
    """Hold what every sink has, lost and keeps against what was sent. Raises `AssertionError`."""
    process, sent = subject.process, subject.sent
    if subject.kind == "off":
        return "none made"
    wait_until("every record handed on", lambda: process.metric("gateway_records_queued") == 0)
    lost = process.metric("gateway_records_dropped_total")
    wait_until(
        f"{sent} accounted for",
        lambda: all(sum(counts) + lost == sent for counts in sums(process).values()),
        60,
    )
    ours = {name: counts for name, counts in sums(process).items() if name in ("sqlite", "file", "webhook")}
    parts = [
        f"{name} {stored}+{lost}+{queued}+{spilled}" for name, (stored, lost, queued, spilled) in ours.items()
    ]
    return f"{sent} = {int(lost)} lost before + " + ", ".join(parts)


@contextmanager
def started(kind: str, found: Found, slow_port: int, shared: bool) -> Iterator[Subject]:
    """A node with the sinks of this kind, asked a little. When it ends, its records are accounted for."""
    ports = unused_ports()
    remote = {"slow": slow_port, "dead": next(ports)}.get(kind)
    sinks = "" if kind == "off" else LOCAL + (f", {REMOTE.format(port=remote)}" if remote else "")
    with tempfile.TemporaryDirectory() as name:
        setting = Setting(Path(name), next(ports), next(ports))
        setting.write(TEXT.format(port=setting.port, admin=setting.admin, sinks=sinks))
        with Process(setting.file, setting.admin, "--workers", "1") as process:
            process.wait_until_live()
            if not shared:
                separate(process)
            one = Subject(
                kind, process, f"http://127.0.0.1:{setting.port}/", Path(name) / "log", found, shared
            )
            one.ask("-c8", "-n2000")
            yield one
            found.accounts.append(account(one))
            found.memory.append(memory(process))
            process.signal(signal.SIGTERM)
            if process.wait() != 0:
                raise AssertionError("\n".join(process.lines[-20:]))


def fast(subject: Subject, options: argparse.Namespace) -> None:
    """As fast as the worker answers."""
    before = worker_seconds(subject.process)
    rate, times = subject.ask("-c64", f"-n{options.requests}")
    subject.found.rates.append(rate)
    subject.found.worker_us.append((worker_seconds(subject.process) - before) / len(times) * 1e6)


def paced(subject: Subject, options: argparse.Namespace) -> None:
    """At a rate that leaves the node idle most of the time."""
    total = options.rate * options.seconds
    _, times = subject.ask("-c4", f"--rps={options.rate // 4}", f"-n{total}")
    subject.found.p50.append(percentile(times, 0.5))
    subject.found.p99.append(percentile(times, 0.99))


Turn = Callable[[Subject, argparse.Namespace], None]


def in_turns(subjects: list[Subject], turn: Turn, options: argparse.Namespace) -> None:
    for number in range(options.turns):
        place = number % len(subjects)
        for one in subjects[place:] + subjects[:place]:
            turn(one, options)
            one.rest()


def measure(options: argparse.Namespace) -> dict[str, Found]:
    found = {kind: Found() for kind in KINDS}
    for number in range(options.starts):
        with ExitStack() as stack:
            port = stack.enter_context(slow_server())
            subjects = [
                stack.enter_context(started(kind, one, port, options.shared)) for kind, one in found.items()
            ]
            for turn in (fast, paced):
                in_turns(subjects, turn, options)
        print(f"start {number + 1} of {options.starts}", flush=True)
    return found


def change(values: list[float], base: list[float]) -> str:
    """The median change against `base`, turn by turn, and where 95 of 100 such medians would lie (bootstrap,
    Efron 1979)."""
    if values is base:
        return ""
    ratios = [one / other - 1 for one, other in zip(values, base, strict=True)]
    chance = random.Random(1)  # noqa: S311 - statistics; the same figures for the same measurement.
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(2_000))
    return f"{statistics.median(ratios):+.1%} ({medians[50]:+.1%} to {medians[-51]:+.1%})"


def table(found: dict[str, Found]) -> str:
    lines = [
        "| sinks | requests/s | | worker CPU, us/request | | p50, ms | p99, ms | | memory at most, MiB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    base = found["off"]
    for kind, one in found.items():
        cells = [
            f"{statistics.median(one.rates):,.0f}",
            change(one.rates, base.rates),
            f"{statistics.median(one.worker_us):.2f}",
            change(one.worker_us, base.worker_us),
            f"{statistics.median(one.p50):.3f}",
            f"{statistics.median(one.p99):.3f}",
            change(one.p99, base.p99),
            f"{max(one.memory):.0f}",
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--starts", type=int, default=4, help="how often all nodes are started anew (4)")
    add("--turns", type=int, default=12, help="how often each is asked in each phase then (12)")
    add("--requests", type=int, default=50_000, help="as fast as possible, each turn (50,000)")
    add("--rate", type=int, default=4000, help="requests per second of the paced phase (4000)")
    add("--seconds", type=int, default=1, help="how long a turn of it takes (1)")
    add("--shared", action="store_true", help="all share the cores as the scheduler likes")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    found = measure(options)
    git = ["git", "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    text = "\n".join([
        "# What the delivery of records costs requests",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} at the end. Medians of {options.starts * options.turns} turns, a worker "
        + ("which shares its core" if options.shared else "on a core of its own")
        + ". Changes are medians of those against `off` in the same turn, with their interval of 95 %.",
        "",
        table(found),
        "",
        "Sent = lost before the sinks + what each sink stored + dropped + has in memory + has spilled, in the"
        " last start:",
        "",
        *(f"- {kind}: {one.accounts[-1]}" for kind, one in found.items()),
        "",
    ])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}-records-load.md"
    path.write_text(text)
    print(f"{text}\nwritten to {path}")


if __name__ == "__main__":
    main()

"""What the delivery of records costs requests: with every sink off, on, one slow (1 s a batch), one dead.

`make records-load` takes six minutes and wants an idle machine: it measures time, which tests do not. Each
kind runs in a process of its own, in turns, so that what the machine does besides hits all alike. A first
phase asks as fast as it can, which tells requests per second and the CPU time of the workers per request; a
second one at a fixed rate tells p50 and p99. What was sent has to be what was stored, was counted as dropped,
or waits. A table goes to `results/`.

What is asked is whether a sink touches a request, not how many programs two cores can carry. So the workers
have a core of their own, everything else shares another, and there the load generator goes first, by a
priority of real time, which needs root. With `--shared` all are left to the scheduler.
"""

import argparse
import functools
import os
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
node: {{workers: 1, drain_timeout: 20s}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
defaults: {{rate_limit: none, unauthenticated_tier: none}}
routes: [{{name: all, match: /*, respond: {{body: "ok"}}}}]
records: {{sinks: [{sinks}], queue: 200000}}
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
    """What was measured of one kind, a value a round; and whether every record is accounted for."""

    rates: list[float] = field(default_factory=list)
    worker_us: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)


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


def load(url: str, log: Path, *options: str, goes_first: bool) -> tuple[int, float, list[int]]:
    """How many requests were answered, for how many seconds it ran, and the microseconds of each."""
    log.unlink(missing_ok=True)
    began = time.monotonic()
    command = ["h2load", "--h1", "-t1", f"--log-file={log}", *options, url]
    first = ["taskset", "-c", str(OTHERS), "chrt", "--fifo", "10"] if goes_first else []
    subprocess.run(first + command, check=True, capture_output=True)
    seconds, found = time.monotonic() - began, all_good(log)
    return len(found), seconds, found


def worker_seconds(process: Process) -> float:
    """CPU time of the threads that serve requests."""
    tasks = Path(f"/proc/{process.child.pid}/task")
    ticks = 0
    for task in tasks.iterdir():
        if (task / "comm").read_text().startswith("worker"):
            ticks += sum(map(int, (task / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(process: Process) -> float:
    """The most it ever had, in MiB."""
    text = Path(f"/proc/{process.child.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0


def account(process: Process, sent: int, kind: str) -> str:
    """Hold what every sink has, lost and keeps against what was sent. Raises `AssertionError`."""
    if kind == "off":
        return "none made"
    wait_until("every record handed on", lambda: process.metric("gateway_records_queued") == 0)
    lost = process.metric("gateway_records_dropped_total")

    def sums() -> dict[str, list[int]]:
        page = process.ask("/metrics")[1]
        found: dict[str, list[int]] = {}
        for place, name in enumerate(METRICS):
            for labels, value in re.findall(rf"^gateway_sink_{name}{{(.*?)}} (\S+)$", page, re.MULTILINE):
                sink = re.search(r'sink="([^"]+)"', labels)
                if sink is not None:
                    found.setdefault(sink[1], [0] * len(METRICS))[place] += round(float(value))
        return found

    wait_until(
        f"{sent} accounted for",
        lambda: all(sum(counts) + lost == sent for counts in sums().values()),
        60,
    )
    ours = {name: counts for name, counts in sums().items() if name in ("sqlite", "file", "webhook")}
    parts = [
        f"{name} {stored}+{lost}+{queued}+{spilled}" for name, (stored, lost, queued, spilled) in ours.items()
    ]
    return f"{sent} = {int(lost)} lost before + " + ", ".join(parts)


def one_round(kind: str, found: Found, slow_port: int, options: argparse.Namespace) -> None:
    ports = unused_ports()
    remote = {"slow": slow_port, "dead": next(ports)}.get(kind)
    sinks = "" if kind == "off" else LOCAL + (f", {REMOTE.format(port=remote)}" if remote else "")
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(Path(directory), next(ports), next(ports))
        setting.write(TEXT.format(port=setting.port, admin=setting.admin, sinks=sinks))
        process = setting.run()
        try:
            url, log = f"http://127.0.0.1:{setting.port}/", Path(directory) / "log"
            if not options.shared:
                separate(process)
            run = functools.partial(load, url, log, goes_first=not options.shared)
            run("-c8", "-n2000")
            before = worker_seconds(process)
            count, seconds, _ = run("-c8", f"-n{options.requests}")
            found.rates.append(count / seconds)
            found.worker_us.append((worker_seconds(process) - before) / count * 1e6)
            total = options.rate * options.seconds
            paced, _, times = run("-c4", f"--rps={options.rate // 4}", f"-n{total}")
            found.p50.append(percentile(times, 0.5))
            found.p99.append(percentile(times, 0.99))
            found.accounts.append(account(process, 2000 + count + paced, kind))
            found.memory.append(memory(process))
            process.signal(signal.SIGTERM)
            if process.wait() != 0:
                raise AssertionError("\n".join(process.lines[-20:]))
        finally:
            process.__exit__()


def table(found: dict[str, Found]) -> str:
    lines = [
        "| sinks | requests/s | | worker CPU, us/request | | p50, ms | p99, ms | | memory at most, MiB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    names = ("rates", "worker_us", "p50", "p99", "memory")
    middle = {kind: [statistics.median(getattr(one, name)) for name in names] for kind, one in found.items()}
    for kind, (rate, cpu, p50, p99, most) in middle.items():
        base = middle["on"]
        changes = [
            f"{one / other - 1:+.1%}" for one, other in zip((rate, cpu, p50, p99), base[:4], strict=True)
        ]
        cells = [
            f"{rate:,.0f}",
            changes[0],
            f"{cpu:.1f}",
            changes[1],
            f"{p50:.2f}",
            f"{p99:.2f}",
            changes[3],
            f"{most:.0f}",
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--requests", type=int, default=100_000, help="as fast as possible, each round (100,000)"
    )
    parser.add_argument(
        "--rate", type=int, default=4000, help="requests per second of the paced phase (4000)"
    )
    parser.add_argument("--seconds", type=int, default=6, help="how long that takes (6)")
    parser.add_argument("--shared", action="store_true", help="all share the cores as the scheduler likes")
    options = parser.parse_args()
    found = {kind: Found() for kind in KINDS}
    with slow_server() as port:
        for number in range(options.rounds):
            for kind in KINDS:
                one_round(kind, found[kind], port, options)
            print(f"round {number + 1} of {options.rounds}", flush=True)
    git = ["git", "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    text = "\n".join([
        "# What the delivery of records costs requests",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} at the end. Medians of {options.rounds} rounds, one worker, "
        f"{'which shares its core' if options.shared else 'on a core of its own'}; changes are against `on`.",
        "",
        table(found),
        "",
        "Sent = lost before the sinks + what each sink stored + dropped + has in memory + has spilled, in the"
        " last round:",
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

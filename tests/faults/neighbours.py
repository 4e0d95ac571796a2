"""What clients of a good service feel of a broken one on the same node: p50 and p99, for each kind of fault.

`make faults-latency` takes five minutes and wants an idle machine: it measures time, which tests do not. The
tests say who waits for whom; this says how long. Each kind is compared with the same clients at the same
other service while that one is healthy, in turns, so that what the machine does besides hits all alike. A
table goes to `results/`.
"""

import argparse
import itertools
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from faults.h2load import all_good
from faults.instances import Instance
from faults.misbehaving import FAULTS
from gateway import Client, Node
from gateway.client import Address, encode
from gateway.nginx import Nginx, constant
from gateway.ports import unused_ports

RESULTS = Path(__file__).with_name("results")
# Nobody listens where `refused` leads.
TEXT = """
version: 1
services:
  - {{name: broken, instances: ["127.0.0.1:{broken}"], circuit_breaker: off}}
  - {{name: refused, instances: ["127.0.0.1:{refused}"], circuit_breaker: off}}
  - {{name: good, instances: ["127.0.0.1:{good}"]}}
routes:
  - {{name: broken, match: /broken/*, service: broken, timeout: 1s}}
  - {{name: refused, match: /refused/*, service: refused}}
  - {{name: good, match: /good/*, service: good}}
"""
HEALTHY = "healthy"
KINDS: dict[str, Sequence[str]] = {
    HEALTHY: ["/broken/number"],
    "refuses": ["/refused/"],
    "hangs": [f"/broken/{name}" for name in ("hang", "hang_in_head", "hang_in_body")],
    "drips": [f"/broken/{name}" for name in ("drip_head", "drip_body")],
    "resets": [f"/broken/{name}" for name in ("reset", "reset_in_body")],
    "sends garbage": [f"/broken/{name}" for name in ("garbage", "garbage_in_body")],
    "all faults there are": [f"/broken/{name}" for name in FAULTS],
}
PHASE_SECONDS = 5
VICTIMS = 8
# Of each client of the broken service: faults must not be a load of their own.
PAUSE_SECONDS = 0.1


@contextmanager
def victims(address: Address, targets: Sequence[str]) -> Iterator[None]:
    """Clients of the other service, each with one request after the other."""
    stopping, turn = threading.Event(), itertools.cycle(targets)

    def meet() -> None:
        while not stopping.wait(PAUSE_SECONDS):
            with Client(address, 5.0) as client, suppress(OSError):
                client.send(encode(next(turn)))
                client.response()

    threads = [threading.Thread(target=meet) for _ in range(VICTIMS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def measure(address: Address, rate: int, log: Path) -> list[int]:
    """Microseconds of every request of one phase."""
    log.unlink(missing_ok=True)
    command = [
        "h2load",
        "--h1",
        "-c4",
        "-t1",
        f"--rps={rate // 4}",
        f"-D{PHASE_SECONDS}",
        f"--log-file={log}",
    ]
    url = f"http://{address[0]}:{address[1]}/good/"
    subprocess.run([*command, url], check=True, capture_output=True)
    return all_good(log)


def percentile(values: list[int], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] / 1000


def take_turns(node: Node, log: Path, options: argparse.Namespace) -> dict[str, list[int]]:
    """Microseconds of all requests to the good service, by what the other one did."""
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for number in range(options.rounds):
        for kind, targets in KINDS.items():
            with victims(node.address, targets):
                found[kind] += measure(node.address, options.rate, log)
        print(f"round {number + 1} of {options.rounds}", flush=True)
    return found


def table(found: dict[str, list[int]]) -> str:
    lines = [
        "| the other service | requests | p50, ms | p99, ms | p50 | p99 |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    shares = (0.5, 0.99)
    usual = [percentile(found[HEALTHY], share) for share in shares]
    for kind, values in found.items():
        these = [percentile(values, share) for share in shares]
        changes = [f"{one / before - 1:+.1%}" for one, before in zip(these, usual, strict=True)]
        cells = [kind, str(len(values)), *(f"{one:.3f}" for one in these), *changes]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(found: dict[str, list[int]], options: argparse.Namespace) -> str:
    git = ["git", "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return "\n".join([
        "# What a broken service costs the clients of another one",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} at the end.",
        f"{options.rate} requests per second to the good service (an nginx); {options.rounds} rounds of "
        f"{PHASE_SECONDS} s for each line; all were answered with 200.",
        f"Meanwhile {VICTIMS} clients ask the other one, and wait {PAUSE_SECONDS} s after each answer.",
        "",
        table(found),
        "",
    ])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--rate", type=int, default=500, help="requests per second to the good service (500)")
    options = parser.parse_args()
    ports = unused_ports()
    refused, good = next(ports), next(ports)
    with ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory()))
        running.enter_context(Nginx(directory, good, constant(good, "good")))
        broken = Instance()
        running.callback(broken.kill)
        text = TEXT.format(broken=broken.port, refused=refused, good=good)
        node = running.enter_context(Node(text, workers=2))
        found = take_turns(node, directory / "log", options)
    text = report(found, options)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}-neighbours.md"
    path.write_text(text)
    print(f"{text}\nwritten to {path}")


if __name__ == "__main__":
    main()

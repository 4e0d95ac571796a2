"""What clients of a good service feel of a broken one on the same node: p99 with and without faults.

`PYTHONPATH=tests .venv/bin/python -m faults.neighbours --rounds 10` takes two minutes and wants an idle
machine: it measures time, which tests do not. The tests say who waits for whom; this says how long.
"""

import argparse
import itertools
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faults.instances import Instance
from faults.misbehaving import FAULTS
from gateway import Client, Node
from gateway.client import Address, encode

TEXT = """
version: 1
services:
  - {{name: broken, instances: ["127.0.0.1:{broken}"], circuit_breaker: off}}
  - {{name: good, instances: ["127.0.0.1:{good}"]}}
routes:
  - {{name: broken, match: /broken/*, service: broken, timeout: 1s}}
  - {{name: good, match: /good/*, service: good}}
"""
PHASE_SECONDS = 5
VICTIMS = 8
# Of each client of the broken service: faults must not be a load of their own.
PAUSE_SECONDS = 0.1


@contextmanager
def faults(address: Address) -> Iterator[None]:
    """Clients that meet every fault, again and again."""
    stopping, names = threading.Event(), itertools.cycle(FAULTS)

    def meet() -> None:
        while not stopping.wait(PAUSE_SECONDS):
            with Client(address, 5.0) as client, suppress(OSError):
                client.send(encode(f"/broken/{next(names)}"))
                client.response()

    victims = [threading.Thread(target=meet) for _ in range(VICTIMS)]
    for victim in victims:
        victim.start()
    try:
        yield
    finally:
        stopping.set()
        for victim in victims:
            victim.join()


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
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    wrong = [status for _, status, _ in lines if status != "200"]
    if wrong:
        raise AssertionError(f"the good service answered {wrong}")
    return [int(microseconds) for _, _, microseconds in lines]


def percentile(values: list[int], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] / 1000


def take_turns(node: Node, rounds: int, rate: int) -> tuple[list[int], list[int]]:
    """Microseconds without faults and with them."""
    alone: list[int] = []
    beside: list[int] = []
    with tempfile.TemporaryDirectory() as place:
        for _ in range(rounds):
            alone += measure(node.address, rate, Path(place) / "log")
            with faults(node.address):
                beside += measure(node.address, rate, Path(place) / "log")
    return alone, beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=500, help="requests per second to the good service (500)")
    options = parser.parse_args()
    broken, good = Instance(), Instance()
    try:
        with Node(TEXT.format(broken=broken.port, good=good.port), workers=2) as node:
            alone, beside = take_turns(node, options.rounds, options.rate)
    finally:
        broken.kill()
        good.kill()
    for share in (0.5, 0.9, 0.99):
        before, after = percentile(alone, share), percentile(beside, share)
        change = f"{after / before - 1:+.1%}"
        print(f"p{share * 100:.0f}: alone {before:.2f} ms, beside faults {after:.2f} ms, {change}")
    print(f"{len(alone)} and {len(beside)} requests; all answered with 200")


if __name__ == "__main__":
    main()

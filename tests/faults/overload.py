"""Three times what a node can do, for a while: what each priority gets, and how fast P0 is beside P0 alone.

`make overload` takes four minutes and wants an idle machine of two cores: it measures time, which tests do
not; `test_overload.py` says who is refused. The gateway has a core and a worker, and checks for each request
a signature of RSA with 4,096 bits, so that generators on the other core can offer several times what it can
do. First as many requests as come through tell what that is; then P0 alone asks at its rate, and then all
do, in turns. A table goes to `results/`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from joserfc.jwk import RSAKey

from faults.h2load import requests_in
from faults.neighbours import RESULTS, percentile
from faults.process import DEADLINE, Process
from gateway import Issuer
from gateway.ports import unused_ports

TEXT = """
version: 1
node: {{token_cache: 0, workers: 1}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
records: {{sinks: []}}
overload: {{cpu: {{window: 2s}}}}
identities: [{identity}]
defaults: {{rate_limit: none, unauthenticated_tier: none}}
routes:
"""
ROUTE = (
    "  - {{name: {0}, match: /{0}, priority: {0}, auth: {{accept: [mobile]}}, respond: {{body: served}}}}\n"
)
ON_ONE_PROCESSOR = """
import os, runpy
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
runpy.run_module('gatewright', run_name='__main__', alter_sys=True)
"""
CORES = f"{min(os.sched_getaffinity(0))}", f"{max(os.sched_getaffinity(0))}"
# Of what the node can do. Together more than the three times that are wanted: generators fall behind, since a
# client waits for its answer before it asks again.
SHARES = {"P0": 0.4, "P1": 0.7, "P2": 1.1, "P3": 2.2}
# Enough of P0 to ask at its rate whatever the others do, and of P3 to ask at its rate while all are refused.
CLIENTS = {"P0": 32, "P1": 16, "P2": 16, "P3": 128}
CALIBRATION_SECONDS = 5


@dataclass
class Tally:
    """What became of the requests of one priority."""

    seconds: float = 0.0
    served: int = 0
    refused: int = 0
    lost: int = 0
    microseconds: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests per second that were offered and got an answer, whichever."""
        return (self.served + self.refused) / self.seconds

    def cells(self) -> list[str]:
        share = (self.served / (self.served + self.refused)) if self.served + self.refused else 0.0
        cells = [f"{self.rate:.0f}", f"{share:.1%}", str(self.refused), str(self.lost)]
        return cells + [f"{percentile(self.microseconds or [0], share):.2f}" for share in (0.5, 0.99)]


@dataclass(frozen=True)
class Generators:
    """Load of h2load on the core that the gateway has not."""

    port: int
    header: tuple[str, str]
    directory: Path

    def start(self, priority: str, seconds: int, rate: float | None) -> "subprocess.Popen[str]":
        command = [
            "taskset",
            "-c",
            CORES[1],
            "h2load",
            "--h1",
            "-t1",
            f"-c{CLIENTS[priority]}",
            f"-D{seconds}",
        ]
        command += [f"--log-file={self.log(priority)}", "-H", ": ".join(self.header)]
        if rate is not None:
            command.append(f"--rps={rate / CLIENTS[priority]:.2f}")
        self.log(priority).unlink(missing_ok=True)
        url = f"http://127.0.0.1:{self.port}/{priority}"
        return subprocess.Popen([*command, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def log(self, priority: str) -> Path:
        return self.directory / f"{priority}.log"

    def run(self, rates: dict[str, float | None], seconds: int, into: dict[str, Tally]) -> None:
        """All at once; `rates` of `None` is as many as come through."""
        children = {one: self.start(one, seconds, rate) for one, rate in rates.items()}
        for priority, child in children.items():
            said, _ = child.communicate(timeout=seconds + DEADLINE)
            self.count(said, self.log(priority), into.setdefault(priority, Tally()))
            into[priority].seconds += seconds

    @staticmethod
    def count(said: str, log: Path, tally: Tally) -> None:
        broken = re.search(r"(\d+) errored, (\d+) timeout", said)
        if broken is None:
            raise RuntimeError(f"h2load: {said[-500:]}")
        tally.lost += sum(map(int, broken.groups()))
        for status, microseconds in requests_in(log):
            if status == "200":
                tally.served += 1
                tally.microseconds.append(microseconds)
            elif status == "503":
                tally.refused += 1
            else:
                tally.lost += 1


@contextmanager
def running(directory: Path) -> Iterator[Generators]:
    ports, issuer = unused_ports(), Issuer("RS256")
    port, admin = next(ports), next(ports)
    issuer.key = RSAKey.generate_key(4096, {"kid": "key-1", "alg": "RS256"})
    text = TEXT.format(port=port, admin=admin, identity=issuer.identity)
    file = directory / "gateway.yaml"
    file.write_text(text + "".join(map(ROUTE.format, SHARES)))
    with Process(file, admin, program=("-c", ON_ONE_PROCESSOR)) as process:
        process.wait_until_live()
        yield Generators(port, issuer.bearer(), directory)
        if process.said("panicked"):
            raise RuntimeError("\n".join(process.lines))


def report(most: float, alone: dict[str, Tally], all_of_them: dict[str, Tally]) -> str:
    git = ["git", "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    offered = sum(tally.rate for tally in all_of_them.values())
    rows = [("P0 alone", alone["P0"]), *all_of_them.items()]
    return "\n".join([
        "# Overload",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, load {os.getloadavg()[0]:.1f} at the end. "
        f"The gateway has one core,",
        f"the generators another. It can do {most:.0f} requests per second; all priorities together offered "
        f"{offered:.0f},",
        f"{offered / most:.1f} times that, for {all_of_them['P0'].seconds:.0f} s.",
        "",
        "| priority | offered per s | served | refused | lost | p50 served, ms | p99 served, ms |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(f"| {name} | {' | '.join(tally.cells())} |" for name, tally in rows),
        "",
    ])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=40, help="of each of both loads in each round (40)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if CORES[0] == CORES[1]:
        parser.error("the gateway and the generators need a core each")
    most: dict[str, Tally] = {}
    alone: dict[str, Tally] = {}
    together: dict[str, Tally] = {}
    with (
        tempfile.TemporaryDirectory(prefix="gatewright-overload-") as place,
        running(Path(place)) as generators,
    ):
        generators.run({"P0": None}, CALIBRATION_SECONDS, most)
        rates = {one: share * most["P0"].rate for one, share in SHARES.items()}
        for number in range(options.rounds):
            generators.run({"P0": rates["P0"]}, options.seconds, alone)
            generators.run({**rates}, options.seconds, together)
            print(f"round {number + 1} of {options.rounds}", flush=True)
    text = report(most["P0"].rate, alone, together)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}-overload.md"
    path.write_text(text)
    print(f"{text}\nwritten to {path}")
    return 1 if together["P0"].refused or any(tally.lost for tally in together.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a scenario costs beside another at one rate of requests: CPU time and latency of Gatewright.

At full load each finds a rate of its own, and a worker that idles half of the time pays for waking. Here both
are offered the same by h2load, in turns, each in a process of its own. Started by `make bench-paced`.
"""

import argparse
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass

from handshakes import quantiles
from instructions import is_simple
from load import origin_command, redis_command
from peers import Gatewright
from processes import PATH, BenchError, Running
from scenario import SCENARIOS, WORK, Scenario, empty_work
from tokens import Credentials, make_credentials

GATEWAY_CORE, LOAD_CORE = 0, 1
WARM_UP_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Pace:
    """What is offered, and for how long."""

    rate: int
    connections: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one round: microseconds of CPU a request, seconds of latency."""

    cpu: float
    p50: float
    p99: float


def offer(pace: Pace, seconds: int, url: str, headers: dict[str, str]) -> list[float]:
    """Send at the rate; give the seconds of each request. Raises `BenchError` at an answer that is no 200."""
    log = WORK / "paced.log"
    log.unlink(missing_ok=True)
    given = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    each = max(1, pace.rate // pace.connections)
    command = ["taskset", "-c", str(LOAD_CORE), "h2load", "--h1", "--threads", "1", f"--log-file={log}"]
    command += [f"--clients={pace.connections}", f"--rps={each}", "-n", str(pace.rate * seconds)]
    subprocess.run([*command, *given, url], check=True, capture_output=True, env={**os.environ, "PATH": PATH})
    return read_log(log.read_text())


def read_log(text: str) -> list[float]:
    """Start, status and microseconds of each request, as h2load writes them."""
    lines = [line.split("\t") for line in text.splitlines()]
    if wrong := {status for _, status, _ in lines if status != "200"}:
        raise BenchError(f"answers with {', '.join(sorted(wrong))}")
    return [int(taken) / 1e6 for _, _, taken in lines]


def one_round(scenario: Scenario, pace: Pace, credentials: Credentials) -> Cost:
    peer = Gatewright()
    (WORK / peer.name).mkdir(exist_ok=True)
    url, headers = f"http://127.0.0.1:{peer.port}{scenario.paths[0]}", scenario.headers(credentials)[0]
    with Running(peer.prepare(scenario, credentials), GATEWAY_CORE, WORK / "paced-gateway.log") as running:
        offer(pace, WARM_UP_SECONDS, url, headers)
        before = running.cpu()
        taken = offer(pace, pace.seconds, url, headers)
        spent = running.cpu() - before
    p50, p99 = quantiles(taken)
    return Cost((spent.user + spent.system) / len(taken) * 1e6, p50, p99)


def table(found: dict[str, list[Cost]]) -> str:
    lines = ["| scenario | CPU µs | of each round | p50 ms | p99 ms |", "|---|---:|---|---:|---:|"]
    for name, costs in found.items():
        cpu, p50, p99 = (
            statistics.median(values) for values in zip(*((c.cpu, c.p50, c.p99) for c in costs), strict=True)
        )
        rounds = " ".join(f"{cost.cpu:.1f}" for cost in costs)
        lines.append(f"| {name} | {cpu:.1f} | {rounds} | {p50 * 1e3:.2f} | {p99 * 1e3:.2f} |")
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-paced ARGS=...", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = [one.name for one in SCENARIOS if is_simple(one)]
    parser.add_argument(
        "--scenario", choices=names, default="limit-redis-exact", help="(default %(default)s)"
    )
    parser.add_argument("--beside", choices=names, default="limit-fixed-window", help="(default %(default)s)")
    parser.add_argument("--rate", type=int, default=20_000, help="requests a second (default 20000)")
    parser.add_argument("--connections", type=int, default=64, help="(default 64)")
    parser.add_argument("--seconds", type=int, default=5, help="of each round (default 5)")
    parser.add_argument("--rounds", type=int, default=5, help="(default 5)")
    return parser.parse_args()


def main() -> int:
    plan = read_arguments()
    pace = Pace(plan.rate, plan.connections, plan.seconds)
    empty_work()
    credentials = make_credentials(WORK)
    known = {one.name: one for one in SCENARIOS}
    found: dict[str, list[Cost]] = {plan.beside: [], plan.scenario: []}
    with (
        Running(origin_command(), LOAD_CORE, WORK / "origin.log"),
        Running(redis_command(), LOAD_CORE, WORK / "redis.log"),
    ):
        for _ in range(plan.rounds):
            for name, costs in found.items():
                costs.append(one_round(known[name], pace, credentials))
    offered = f"{plan.rate:,} requests a second over {plan.connections} connections"
    print(f"{offered}, medians of {plan.rounds} rounds\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

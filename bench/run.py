"""Gatewright side by side with nginx, HAProxy, Envoy and Caddy: CPU time per request, throughput, latency.

Each gateway has one worker and one core; the load generator and the origin share another. The peers take
turns within each round, so that what the machine does besides hits all alike. Started by `make bench`.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import report
from certificates import make_certificate
from generators import offer
from idle import IdleConnections, allow_files
from load import Load, Served, grpc_origin_command, origin_command, redis_command
from peers import PEERS, Peer
from processes import PATH, BenchError, Running
from report import Measurement, Run
from scenario import SCENARIOS, WORK, Scenario, empty_work
from tokens import Credentials, make_credentials
from verify import Trial, verify, verify_limit
from websocket import websocket_origin_command

WARM_UP_CONNECTIONS = 64
SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What this run measures, and how."""

    scenarios: Sequence[Scenario]
    peers: Sequence[Peer]
    rounds: int
    warm_up: float
    core: int
    load: Load


def read_arguments() -> Plan:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    names = [one.name for one in SCENARIOS]
    peers = [one.name for one in PEERS]
    parser.add_argument("--scenario", action="append", choices=names, help="may be repeated; default: all")
    parser.add_argument("--peers", help=f"comma-separated, of {', '.join(peers)}; default: all")
    parser.add_argument(
        "--seconds", type=float, default=5, help="of each measurement, whole seconds (default 5)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over these (default 3)")
    parser.add_argument(
        "--warm-up", type=float, default=1, help="seconds before each measurement (default 1)"
    )
    parser.add_argument(
        "--connections", type=int, default=64, help="kept open by the load generator (default 64)"
    )
    parser.add_argument("--gateway-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    given = parser.parse_args()
    wanted = given.peers.split(",") if given.peers else peers
    if unknown := sorted(set(wanted) - set(peers)):
        parser.error(f"unknown peer {', '.join(unknown)}; known: {', '.join(peers)}")
    if given.gateway_core == given.load_core:
        parser.error("the gateway and the load generator need a core each")
    if not {given.gateway_core, given.load_core} <= os.sched_getaffinity(0):
        parser.error("this machine does not have both cores")
    return Plan(
        scenarios=[one for one in SCENARIOS if one.name in (given.scenario or names)],
        peers=[one for one in PEERS if one.name in wanted],
        rounds=given.rounds,
        warm_up=given.warm_up,
        core=given.gateway_core,
        load=Load(given.load_core, given.connections, given.seconds),
    )


def present(peers: Sequence[Peer]) -> list[Peer]:
    """Those that are installed. The others are named, and the table goes without them."""
    found = []
    for peer in peers:
        if missing := peer.missing():
            print(f"missing: {missing}; {peer.name} is left out", file=sys.stderr)
        else:
            found.append(peer)
    return found


def possible(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Those whose programs are installed. The others are named, and the run goes without them."""
    found = []
    for scenario in scenarios:
        needed = [
            *(["h2load"] if scenario.http2 else []),
            *(["go"] if scenario.grpc else []),
            *(["redis-server"] if scenario.shared else []),
        ]
        if missing := [one for one in needed if shutil.which(one, path=PATH) is None]:
            print(f"missing: {', '.join(missing)}; {scenario.name} is left out", file=sys.stderr)
        else:
            found.append(scenario)
    return found


def measure(plan: Plan, trial: Trial, number: int) -> Measurement:
    """Start the peer, look at it, warm it up, load it, stop it."""
    peer, scenario = trial.peer, trial.scenario
    output = WORK / peer.name / "output.log"
    output.parent.mkdir(parents=True, exist_ok=True)
    empty(output)
    empty(peer.log_file())
    with trial.start(output) as running:
        verify(trial)
        if scenario.idle:
            return measure_idle(plan, trial, running, number)
        offer(replace(plan.load, seconds=plan.warm_up), peer.port, scenario, trial.credentials)
        time.sleep(
            1.5
        )  # So that a log written behind the requests has those of the warm-up before it is emptied.
        empty(peer.log_file())
        before = running.cpu()
        load = replace(plan.load, seconds=max(plan.load.seconds, scenario.least_seconds))
        served = offer(load, peer.port, scenario, trial.credentials)
        cpu = running.cpu() - before
        memory = running.memory()
    # Counted once the peer has ended: by then it has written what it ever will.
    logged = count_lines(peer.log_file()) / served.requests if scenario.is_logged else None
    return Measurement(scenario.name, peer.name, number, served, cpu, memory, logged)


def measure_idle(plan: Plan, trial: Trial, running: Running, number: int) -> Measurement:
    """What connections that wait add to the peer's memory, and the CPU time that waiting takes."""
    port, path, count = trial.peer.port, trial.scenario.paths[0], trial.scenario.idle
    # What the first connections need once must not be divided among the others.
    with IdleConnections(port, path, WARM_UP_CONNECTIONS):
        pass
    time.sleep(SETTLE_SECONDS)
    empty_handed = running.memory()
    with IdleConnections(port, path, count) as connections:
        time.sleep(SETTLE_SECONDS)
        before = running.cpu()
        time.sleep(plan.load.seconds)
        cpu = running.cpu() - before
        memory = running.memory()
        served = Served(count, plan.load.seconds, p50=0, p99=0, failed=connections.lost())
    each = (memory - empty_handed) / count
    return Measurement(trial.scenario.name, trial.peer.name, number, served, cpu, memory, None, each)


def empty(path: Path) -> None:
    path.open("wb").close()


def count_lines(path: Path) -> int:
    with path.open("rb") as log:
        return sum(block.count(b"\n") for block in iter(lambda: log.read(1 << 20), b""))


def measure_scenario(plan: Plan, scenario: Scenario, credentials: Credentials, run: Run) -> None:
    trials = [Trial(peer, scenario, credentials, plan.core) for peer in plan.peers if peer.runs(scenario)]
    for trial in trials:
        (WORK / trial.peer.name).mkdir(parents=True, exist_ok=True)
        verify_limit(trial, WORK / trial.peer.name / "limit.log")
    for number in range(plan.rounds):
        for trial in trials:
            one = measure(plan, trial, number)
            run.measurements.append(one)
            print(
                f"{scenario.name} round {number + 1}: {one.peer} {one.price_text}",
                file=sys.stderr,
                flush=True,
            )


@contextmanager
def start_origins(plan: Plan) -> Iterator[None]:
    """Start what the scenarios need behind the gateways. Raises `BenchError` where this machine cannot."""
    allow_files(max((one.idle for one in plan.scenarios), default=0))
    with ExitStack() as origins:
        origins.enter_context(Running(origin_command(), plan.load.core, WORK / "origin.log"))
        if any(one.grpc for one in plan.scenarios):
            grpc = Running(grpc_origin_command(), plan.load.core, WORK / "grpc-origin.log")
            origins.enter_context(grpc)
        if any(one.shared for one in plan.scenarios):
            origins.enter_context(Running(redis_command(), plan.load.core, WORK / "redis.log"))
        if any(one.websocket for one in plan.scenarios):
            websocket = Running(websocket_origin_command(), plan.load.core, WORK / "websocket-origin.log")
            origins.enter_context(websocket)
        yield


def notes(plan: Plan) -> list[str]:
    found = [f"policy of {peer.name}: {peer.policy}" for peer in plan.peers]
    load = os.getloadavg()[0]
    if load > 0.5:
        found.append(f"the machine was not idle at the start (load {load:.1f}): numbers are noise")
    return found


def main() -> int:
    plan = read_arguments()
    plan = replace(plan, peers=present(plan.peers), scenarios=possible(plan.scenarios))
    empty_work()
    needs_keys = any(one.check is not None and one.check.api_key for one in plan.scenarios)
    credentials = make_credentials(WORK, keys=needs_keys)
    make_certificate()
    # The clients that run in this process belong on the core of the load generator.
    os.sched_setaffinity(0, {plan.load.core})
    settings = {
        "rounds": plan.rounds,
        "seconds": plan.load.seconds,
        "connections": plan.load.connections,
        "cores": f"gateway {plan.core}, load generator and origin {plan.load.core}",
    }
    versions = {peer.name: peer.version() for peer in plan.peers}
    run = Run(report.now(), settings, versions, notes(plan))
    failure = 0
    try:
        with start_origins(plan):
            for scenario in plan.scenarios:
                measure_scenario(plan, scenario, credentials, run)
                print(f"\n{report.section(run, scenario)}", flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        run.notes.append(f"ended early: {error}")
        failure = 1
    if run.measurements:
        print(f"written to {report.write(run, plan.scenarios)}")
    return failure


if __name__ == "__main__":
    sys.exit(main())

"""User instructions per request: the figure that does not depend on what the machine does besides.

A fixed client sends N requests, then, to a new process, 2N; the difference over N is the price of one
request, without what starting and stopping cost. Counted by `perf stat` where the machine has the counter,
else by callgrind, which runs everything some fifty times slower. Started by `make bench-instructions`.

The gateway is the data plane alone (`crates/dataplane/examples/node.rs`, given a snapshot) where that example
exists, else the whole of Gatewright with its Python.
"""

import argparse
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from answer import read_answer
from load import origin_command
from peers import Gatewright, Nginx
from processes import PATH, BenchError, Command, Running, session_members
from scenario import SCENARIOS, WORK, Scenario, empty_work
from tokens import Credentials, make_credentials

ROOT = Path(__file__).resolve().parent.parent
EVENT = "instructions:u"
EXAMPLE = ROOT / "crates" / "dataplane" / "examples" / "node.rs"
# A request that takes longer than this, even under callgrind, will not come.
ANSWER_SECONDS = 120
# The most that the plan of design.md section 11 allows, by scenario.
BUDGETS = {"plain": 16_000, "policy": 26_000}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is counted: how to start it for a scenario."""

    name: str
    prepare: Callable[[Scenario, Credentials], Command]


@dataclass(frozen=True, slots=True)
class Client:
    """Sends a fixed number of requests over a fixed number of kept-alive connections, all in turn."""

    port: int
    connections: int
    requests: list[bytes]
    answer_bytes: int

    def send(self, count: int) -> None:
        """Raises `BenchError` at the first answer that is not a 200."""
        sockets = [
            socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS)
            for _ in range(self.connections)
        ]
        try:
            for start in range(0, count, self.connections):
                turn = sockets[: count - start]
                for offset, connection in enumerate(turn):
                    connection.sendall(self.requests[(start + offset) % len(self.requests)])
                for connection in turn:
                    read_answer(connection, self.answer_bytes)
        finally:
            for connection in sockets:
                connection.close()


def wire_requests(scenario: Scenario, credentials: Credentials) -> list[bytes]:
    """What the client sends, with the headers that wrk sends."""
    return [
        "".join([
            f"GET {scenario.paths[0]} HTTP/1.1\r\nHost: bench.example\r\n",
            *(f"{name}: {value}\r\n" for name, value in headers.items()),
            "\r\n",
        ]).encode()
        for headers in scenario.headers(credentials)[:16]
    ]


# Two ways to count.


def perf_works() -> bool:
    """Whether this machine gives user instructions to `perf`; virtual ones often do not."""
    if shutil.which("perf", path=PATH) is None:
        return False
    done = subprocess.run(
        ["perf", "stat", "-x", ",", "-e", EVENT, "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        done.returncode == 0
        and re.match(r"\d+,", done.stderr.splitlines()[-1] if done.stderr else "") is not None
    )


def count_with_perf(command: Command, client: Client, count: int) -> int:
    """Instructions of the whole life of the process while it serves `count` requests."""
    output = WORK / "perf.csv"
    counted = Command(
        ["perf", "stat", "-x", ",", "-e", EVENT, "-o", str(output), *command.arguments],
        command.port,
        command.environment,
        is_watched=True,
    )
    serve(counted, client, count)
    found = re.search(r"^(\d+),", output.read_text(), re.MULTILINE)
    if found is None:
        raise BenchError(f"perf counted nothing:\n{output.read_text()}")
    return int(found[1])


def count_with_callgrind(command: Command, client: Client, count: int) -> int:
    """As `count_with_perf`, of the process and its children."""
    directory = WORK / "callgrind"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)  # Nginx gives up root, and its worker writes here too.
    arguments = ["valgrind", "--tool=callgrind", "--trace-children=yes", "--instr-atstart=no"]
    arguments += [f"--callgrind-out-file={directory}/out.%p", *command.arguments]
    counted = Command(arguments, command.port, command.environment)
    with Running(counted, core=0, output=WORK / "instructions.log", start_seconds=ANSWER_SECONDS) as running:
        # The start gathers entropy by measuring time: a few hundred million instructions, more or less.
        client.send(client.connections)
        pids = [str(pid) for pid, _ in session_members(running.process.pid)]
        subprocess.run(["callgrind_control", "--instr=on", *pids], check=True, stdout=subprocess.DEVNULL)
        client.send(count)
    totals = [
        re.search(r"^totals: (\d+)", file.read_text(), re.MULTILINE) for file in directory.glob("out.*")
    ]
    return sum(int(found[1]) for found in totals if found)


def serve(command: Command, client: Client, count: int) -> None:
    with Running(command, core=0, output=WORK / "instructions.log", start_seconds=ANSWER_SECONDS):
        client.send(count)


def instructions(
    subject: Subject, scenario: Scenario, credentials: Credentials, plan: argparse.Namespace
) -> float:
    """Per request."""
    count_one = count_with_perf if plan.counter == "perf" else count_with_callgrind
    command = subject.prepare(scenario, credentials)
    client = Client(
        command.port, plan.connections, wire_requests(scenario, credentials), scenario.expected_bytes
    )
    few = count_one(command, client, plan.requests)
    many = count_one(command, client, 2 * plan.requests)
    return (many - few) / plan.requests


# What is counted.


def node_command(scenario: Scenario, credentials: Credentials) -> Command:
    """The data plane alone, on the snapshot that Gatewright compiles from the bench's configuration."""
    peer = Gatewright()
    config = importlib.import_module("gatewright.config")
    snapshot = WORK / f"snapshot-{scenario.name}.json"
    snapshot.write_bytes(config.compile(config.load([peer.write(scenario, credentials)]), 1))
    return Command([str(build_node()), str(snapshot), "1"], peer.port)


def build_node() -> Path:
    subprocess.run(
        ["cargo", "build", "--locked", "--release", "-p", "dataplane", "--example", "node"],
        cwd=ROOT,
        check=True,
    )
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples" / "node"


def subject_named(name: str) -> Subject:
    if name == "nginx":
        return Subject("nginx", Nginx().prepare)
    if name == "node" or (name == "auto" and EXAMPLE.exists()):
        return Subject("the data plane alone (examples/node.rs)", node_command)
    return Subject("Gatewright with its Python", Gatewright().prepare)


def is_simple(scenario: Scenario) -> bool:
    """Whether the fixed client can send it: HTTP/1.1 without TLS, no body, kept-alive connections; and nobody
    has to look up keys, for which the data plane alone has no Python.
    """
    has_keys = scenario.check is not None and scenario.check.api_key
    beyond = (scenario.upload_bytes, scenario.new_connections, scenario.tls, scenario.http2, scenario.idle)
    return not any((*beyond, scenario.websocket, has_keys))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-instructions ARGS=...",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    names = [one.name for one in SCENARIOS if is_simple(one)]
    parser.add_argument("--scenario", action="append", choices=names, help="default: plain and policy")
    parser.add_argument("--requests", type=int, default=2000, help="N (default 2000)")
    parser.add_argument("--connections", type=int, default=8, help="(default 8)")
    parser.add_argument("--counter", choices=["auto", "perf", "callgrind"], default="auto")
    parser.add_argument("--subject", choices=["auto", "node", "gatewright", "nginx"], default="auto")
    parser.add_argument("--check", action="store_true", help="exit 1 where a budget of design.md is exceeded")
    given = parser.parse_args()
    if given.counter == "auto":
        given.counter = "perf" if perf_works() else "callgrind"
    return given


def main() -> int:
    plan = read_arguments()
    empty_work()
    credentials = make_credentials(WORK)
    subject = subject_named(plan.subject)
    print(f"user instructions per request of {subject.name}, by {plan.counter}, {plan.requests:,} requests")
    within = True
    with Running(origin_command(), core=1, output=WORK / "origin.log"):
        for scenario in (one for one in SCENARIOS if one.name in (plan.scenario or BUDGETS)):
            found = instructions(subject, scenario, credentials, plan)
            # The budget is ours; another subject is there to compare with.
            budget = None if plan.subject == "nginx" else BUDGETS.get(scenario.name)
            within = within and (budget is None or found <= budget)
            print(
                f"{scenario.name:12} {found:>10,.0f}" + (f"   budget {budget:,}" if budget else ""),
                flush=True,
            )
    return 0 if within or not plan.check else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())

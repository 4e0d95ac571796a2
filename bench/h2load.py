"""The load generator for HTTP/2 (h2load): a few connections with several requests at once on each."""

import os
import re
import subprocess
from pathlib import Path

from handshakes import quantiles
from load import Load, Served
from processes import PATH, BenchError
from scenario import GRPC_MESSAGE, WORK, Scenario

STREAMS = 8


def run_h2load(load: Load, port: int, scenario: Scenario) -> Served:
    """As many requests at once as wrk has connections. Raises `BenchError` where nothing was answered."""
    log = WORK / "h2load.log"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *("taskset", "-c", str(load.core), "h2load", "--threads", "1"),
            *("--clients", str(max(1, load.connections // STREAMS))),
            *("--max-concurrent-streams", str(STREAMS)),
            *("--duration", str(max(1, round(load.seconds))), "--log-file", str(log)),
            *call_options(scenario),
            f"http://127.0.0.1:{port}{scenario.paths[0]}",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH},
        timeout=load.seconds + 60,
    )
    return read_h2load(done.stdout + done.stderr, log)


def call_options(scenario: Scenario) -> list[str]:
    if not scenario.grpc:
        return []
    message = WORK / "grpc-message"
    # Not compressed, and its length in four bytes: how gRPC frames a message.
    message.write_bytes(b"\0" + len(GRPC_MESSAGE).to_bytes(4) + GRPC_MESSAGE)
    return ["--data", str(message), "--header", "content-type: application/grpc", "--header", "te: trailers"]


def read_h2load(text: str, log: Path) -> Served:
    """Read what h2load printed, and its log: start, status and microseconds of each request."""
    finished = re.search(r"finished in ([\d.]+)(us|ms|s)", text)
    total = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    if finished is None or total is None or total[2] == "0":
        raise BenchError(f"h2load got no answer:\n{text}")
    # Failed ones are those errored, timed out and answered with a status other than 2xx or 3xx.
    done, succeeded, failed = int(total[1]), int(total[2]), int(total[3])
    with log.open() as lines:
        p50, p99 = quantiles([int(line.split("\t")[2]) / 1e6 for line in lines])
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[finished[2]]
    return Served(done, float(finished[1]) * unit, p50, p99, max(failed, done - succeeded))

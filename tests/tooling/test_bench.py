"""What the bench reads from other programs, and what it makes of it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WRK = """Running 2s test @ http://127.0.0.1:18080
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.75ms  500.00us   9.00ms   80.00%
  Latency Distribution
     50%    1.61ms
     75%    2.00ms
     90%    3.00ms
     99%  950.00us
  52000 requests in 2.00s, 10.00MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec:  26000.00
"""


def in_bench(repository: Path, code: str, text: str = "") -> Any:
    """What a piece of code gives in the bench, whose modules have names too plain to be imported here."""
    program = f"import json, sys\n{code}\nprint(json.dumps(result))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=repository / "bench",
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_output_of_wrk_is_read_with_its_units_and_its_failures(repository: Path) -> None:
    code = "import dataclasses, load\nresult = dataclasses.asdict(load.read_wrk(sys.stdin.read()))"
    served = in_bench(repository, code, WRK)
    assert served == {"requests": 52000, "seconds": 2.0, "p50": 0.00161, "p99": 0.00095, "failed": 10}


def test_a_run_without_answers_is_an_error_and_not_a_fast_gateway(repository: Path) -> None:
    code = """
from load import BenchError, read_wrk
try:
    result = str(read_wrk(sys.stdin.read()))
except BenchError as error:
    result = "refused"
"""
    assert in_bench(repository, code, WRK.replace("52000 requests", "0 requests")) == "refused"


def test_cpu_time_counts_the_children_of_a_process(repository: Path, tmp_path: Path) -> None:
    # The parent only waits; all the work is its child's.
    code = f"""
import time
from pathlib import Path
from processes import Command, Running
burn = "import time\\nend = time.process_time() + 0.3\\nwhile time.process_time() < end: pass"
wait = "import signal, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]]); signal.pause()"
output = Path({str(tmp_path)!r}) / "output"
running = Running(Command([sys.executable, "-c", wait, burn], port=1), 0, output)
deadline = time.monotonic() + 30
cpu = running.cpu()
# The child's time is its own until the parent has waited for it, and then the parent's. Both count.
while cpu.user + cpu.system < 0.3 and time.monotonic() < deadline:
    cpu = running.cpu()
running.stop()
result = cpu.user + cpu.system
"""
    assert in_bench(repository, code) >= 0.3


def test_ratios_are_taken_within_a_round(repository: Path) -> None:
    # The machine was three times as slow in the second round: the ratio is 2 in both.
    code = """
from datetime import datetime
from load import Served
from processes import CpuTime
from report import Measurement, Run
def one(peer, number, seconds):
    served = Served(1000, 1.0, 0.001, 0.002, 0)
    return Measurement("plain", peer, number, served, CpuTime(seconds, 0), 0, None)
run = Run(datetime.now(), {}, {})
run.measurements += [one("nginx", 0, 1), one("other", 0, 2), one("nginx", 1, 3), one("other", 1, 6)]
result = [summary.ratio for summary in run.summaries("plain")]
"""
    assert in_bench(repository, code) == [1.0, 2.0]


@pytest.mark.parametrize("scenario", ["plain", "policy", "routes-600", "connections", "upload-64k"])
def test_a_scenario_for_gatewright_names_each_route_once(repository: Path, scenario: str) -> None:
    code = f"""
from pathlib import Path
from peers import Gatewright
from scenario import SCENARIOS
from tokens import Credentials
scenario = next(one for one in SCENARIOS if one.name == {scenario!r})
result = Gatewright().document(scenario, Credentials([], "", Path("jwks.json"), Path("public.pem")))
"""
    document = in_bench(repository, code)
    names = [route["name"] for route in document["routes"]]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"/r\d+/\*", route["match"]["path"]) for route in document["routes"])

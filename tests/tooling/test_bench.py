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


@pytest.mark.parametrize("scenario", ["plain", "policy", "routes-600", "connections", "tls", "grpc"])
def test_a_scenario_for_gatewright_names_each_route_once(repository: Path, scenario: str) -> None:
    code = f"""
from pathlib import Path
from peers import Gatewright
from scenario import SCENARIOS
from tokens import Credentials
scenario = next(one for one in SCENARIOS if one.name == {scenario!r})
credentials = Credentials(dict(), "", Path("jwks.json"), dict(), [], Path("keys.db"))
result = Gatewright().document(scenario, credentials)
"""
    document = in_bench(repository, code)
    names = [route["name"] for route in document["routes"]]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"/r\d+/\*", route["match"]["path"]) for route in document["routes"])


def test_every_scenario_is_a_configuration_without_problems(repository: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
import peers.base, peers.gatewright, scenario
from gatewright.config import load
from tokens import make_credentials
directory = Path({str(tmp_path)!r})
peers.gatewright.place = lambda name: directory
credentials = make_credentials(directory)
result = []
# Certificates are made where the bench runs.
for one in scenario.SCENARIOS:
    if one.tls:
        continue
    load([peers.gatewright.Gatewright().write(one, credentials)])
    result.append(one.name)
"""
    checked = in_bench(repository, code)
    assert {"limit-gcra", "callers-1m", "token-eddsa-first", "key-miss"} <= set(checked)


def test_each_caller_of_a_check_sends_what_tells_it_from_others(repository: Path) -> None:
    code = """
from pathlib import Path
from scenario import SCENARIOS
from tokens import Credentials
tokens = {name: [f"{name}.{number}.s" for number in range(3)] for name in ("RS256", "ES256", "EdDSA")}
credentials = Credentials(tokens, "", Path("jwks.json"), {}, ["pk_one_abcd", "pk_two_efgh"], Path("keys.db"))
named = {one.name: one.headers(credentials) for one in SCENARIOS}
limited = named["limit-gcra"]
result = [named["plain"], limited[:2], named["token-es256"][0], named["key-hit"], len(limited)]
"""
    plain, callers, signed, keys, count = in_bench(repository, code)
    assert plain == [{}]
    assert callers == [{"X-Caller": "caller-0"}, {"X-Caller": "caller-1"}]
    assert count == 256
    assert signed == {"Authorization": "Bearer ES256.0.s"}
    assert keys == [{"X-API-Key": "pk_one_abcd"}, {"X-API-Key": "pk_two_efgh"}]


H2LOAD = """starting benchmark...
spawning thread #0: 8 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration.

finished in 2.00s, 5000.00 req/s, 1.11MB/s
requests: 10064 total, 10064 started, 10000 done, 9990 succeeded, 10 failed, 0 errored, 0 timeout
status codes: 9990 2xx, 0 3xx, 0 4xx, 10 5xx
"""


def read_h2load(repository: Path, log: Path, text: str) -> Any:
    code = f"""
import dataclasses
from pathlib import Path
from h2load import BenchError, read_h2load
try:
    result = dataclasses.asdict(read_h2load(sys.stdin.read(), Path({str(log)!r})))
except BenchError as error:
    result = "refused"
"""
    return in_bench(repository, code, text)


def test_the_output_and_the_log_of_h2load_are_read(repository: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"1795768443228889\t200\t{1000 * number}\n" for number in range(101)))
    served = read_h2load(repository, log, H2LOAD)
    assert served == {"requests": 10000, "seconds": 2.0, "p50": 0.05, "p99": 0.099, "failed": 10}


def test_errors_of_h2load_alone_are_no_figure(repository: Path, tmp_path: Path) -> None:
    text = H2LOAD.replace("9990 succeeded, 10 failed", "0 succeeded, 10000 failed")
    assert read_h2load(repository, tmp_path / "none", text) == "refused"


TLS_SERVER = """
import contextlib, socket, ssl, threading
import certificates, handshakes
from pathlib import Path
from processes import BenchError
from scenario import SMALL_BODY
certificates.DIRECTORY = Path({directory!r})
for name in ("CERTIFICATE_FILE", "KEY_FILE", "BOTH_FILE", "CLIENT_FILE"):
    setattr(certificates, name, certificates.DIRECTORY / name)
certificates.make_certificate()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificates.CERTIFICATE_FILE, certificates.KEY_FILE)
context.num_tickets = {tickets}
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            if secured.recv(65536):
                head = "HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n"
                secured.sendall((head % {length} + "x" * {length}).encode())
threading.Thread(target=serve, daemon=True).start()
def call(resumed, count=3):
    caller = handshakes.Caller(listener.getsockname()[1], b"GET / HTTP/1.1\\r\\n\\r\\n", resumed)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    session = None
    for _ in range(count):
        following = caller.call(client, session)
        session = following if resumed else None
    return "done"
def outcome(resumed):
    try:
        return call(resumed)
    except BenchError as error:
        return str(error)
result = [outcome(resumed=False), outcome(resumed=True)]
"""


def handshakes(repository: Path, directory: Path, tickets: int, length: str = "len(SMALL_BODY)") -> Any:
    """How full and resumed handshakes end with a server that gives so many tickets."""
    code = TLS_SERVER.format(directory=str(directory), tickets=tickets, length=length)
    return in_bench(repository, code)


def test_handshakes_are_full_or_resumed_as_the_table_says(repository: Path, tmp_path: Path) -> None:
    assert handshakes(repository, tmp_path, tickets=2) == ["done", "done"]


def test_a_server_that_resumes_nothing_has_no_figure_for_resumed(repository: Path, tmp_path: Path) -> None:
    full, resumed = handshakes(repository, tmp_path, tickets=0)
    assert full == "done"
    assert "resumed no session" in resumed


def test_another_answer_than_the_origins_is_no_figure(repository: Path, tmp_path: Path) -> None:
    full, _ = handshakes(repository, tmp_path, tickets=2, length="0")
    assert "not the origin's answer" in full


def test_idle_connections_that_the_peer_closes_are_counted(repository: Path) -> None:
    code = """
import socket, threading
from idle import IdleConnections
from scenario import SMALL_BODY
listener = socket.create_server(("127.0.0.1", 0))
kept = []
def serve():
    for _ in range(5):
        connection, _ = listener.accept()
        connection.recv(65536)
        head = f"HTTP/1.1 200 OK\\r\\nContent-Length: {len(SMALL_BODY)}\\r\\n\\r\\n"
        connection.sendall(f"{head}{SMALL_BODY}".encode())
        kept.append(connection)
server = threading.Thread(target=serve)
server.start()
with IdleConnections(listener.getsockname()[1], "/r0/users/42", 5) as connections:
    server.join()
    before = connections.lost()
    for connection in kept[:2]:
        connection.close()
    result = [before, connections.lost()]
"""
    assert in_bench(repository, code) == [0, 2]


def test_more_connections_than_files_allowed_are_refused_before_the_run(repository: Path) -> None:
    code = """
import resource
from idle import allow_files
from processes import BenchError
resource.setrlimit(resource.RLIMIT_NOFILE, (1500, 1500))
allow_files(500)
try:
    allow_files(10_000)
    result = "allowed"
except BenchError as error:
    result = str(error)
"""
    assert "11000 open files are needed, 1500 are allowed" in in_bench(repository, code)


def test_idle_connections_are_compared_by_memory_in_a_table_of_their_own(repository: Path) -> None:
    code = """
from datetime import datetime
from load import Served
from processes import CpuTime
from report import Measurement, Run, section
from scenario import SCENARIOS
idle = next(one for one in SCENARIOS if one.idle)
run = Run(datetime.now(), {}, {})
for peer, kib in (("nginx", 2), ("other", 5)):
    served = Served(idle.idle, 1.0, 0, 0, 0)
    run.measurements.append(Measurement(idle.name, peer, 0, served, CpuTime(0, 0), 2**20, None, kib * 1024))
result = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section(run, idle).splitlines()[2:]]
"""
    head, _, nginx, other = in_bench(repository, code)
    assert head == ["peer", "KiB each", "to nginx", "MiB", "busy", "lost"]
    assert nginx == ["nginx", "2.0", "1.00", "1", "0.00%", "0"]
    assert other == ["other", "5.0", "2.50", "1", "0.00%", "0"]


def test_a_peer_that_answers_http_1_is_not_measured_as_http_2(repository: Path) -> None:
    code = """
import socket, threading
from ask import ask_http2
from processes import BenchError
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
threading.Thread(target=serve).start()
try:
    result = str(ask_http2(listener.getsockname()[1], "/"))
except BenchError as error:
    result = str(error)
"""
    assert "HTTP/2" in in_bench(repository, code)


def test_a_peer_that_speaks_an_older_tls_is_not_measured(repository: Path, tmp_path: Path) -> None:
    ask = """
import ask
ask.CERTIFICATE_FILE = certificates.CERTIFICATE_FILE
context.maximum_version = ssl.TLSVersion.TLSv1_2
try:
    result = str(ask.ask_tls(listener.getsockname()[1], "/", b"", None))
except BenchError as error:
    result = str(error)
"""
    server = TLS_SERVER.format(directory=str(tmp_path), tickets=2, length="0")
    code = server[: server.index("def call(")] + ask
    assert "does not speak TLS 1.3" in in_bench(repository, code)


def test_a_scenario_whose_program_is_missing_is_left_out_aloud(repository: Path) -> None:
    code = """
import contextlib, io
import run
from scenario import SCENARIOS
run.PATH = "/nowhere"
said = io.StringIO()
with contextlib.redirect_stderr(said):
    found = run.possible(SCENARIOS)
result = [[one.name for one in SCENARIOS if one not in found], said.getvalue()]
"""
    left_out, said = in_bench(repository, code)
    assert left_out == ["http2", "grpc", "limit-redis-exact", "limit-redis-leased"]
    assert "h2load; http2 is left out" in said


def test_a_paced_round_tells_cpu_and_latency_and_takes_no_refusal_for_an_answer(repository: Path) -> None:
    code = """
import paced
from processes import BenchError
times = paced.read_log("1\\t200\\t1500\\n2\\t200\\t2500\\n")
lines = paced.table({"one": [paced.Cost(20.0, 0.001, 0.002), paced.Cost(22.0, 0.003, 0.004)]}).splitlines()
try:
    paced.read_log("1\\t200\\t1500\\n2\\t503\\t2500\\n")
    error = ""
except BenchError as found:
    error = str(found)
result = [times, lines[-1], error]
"""
    times, line, error = in_bench(repository, code)
    assert times == [0.0015, 0.0025]
    assert line == "| one | 21.0 | 20.0 22.0 | 2.00 | 3.00 |"
    assert "503" in error

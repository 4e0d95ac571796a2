"""The load generator (wrk) and the origins, all on the core that the gateway does not have."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from certificates import CLIENT_FILE
from processes import PATH, BenchError, Command
from scenario import BODY_BYTES, GRPC_ORIGIN_PORT, ORIGIN_PORT, REDIS_PORT, SMALL_BODY, WORK

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Load:
    """How wrk is run."""

    core: int
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Served:
    """What wrk saw. Latencies are seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int


def origin_command() -> Command:
    """An nginx that answers at once, with `Content-Length`, and never closes a connection by itself."""
    directory = WORK / "origin"
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, size in BODY_BYTES.items():
        (directory / name).write_bytes(b"x" * size)
        files.append(f"location = /r0/{name} {{ alias {directory}/{name}; }}")
    config = directory / "nginx.conf"
    config.write_text(f"""
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type text/plain;
    sendfile on;
    open_file_cache max=16;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {directory}/body;
    client_body_buffer_size 128k;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{ORIGIN_PORT} backlog=4096;
        {" ".join(files)}
        location / {{ return 200 "{SMALL_BODY}"; }}
    }}
}}
""")
    return Command(["nginx", "-e", f"{directory}/error.log", "-c", str(config)], ORIGIN_PORT)


def grpc_origin_command() -> Command:
    """The gRPC service of `grpc_origin/`, built anew. Raises `BenchError` where it does not build."""
    program = WORK / "grpc-origin"
    source = Path(__file__).parent / "grpc_origin" / "main.go"
    built = subprocess.run(
        ["go", "build", "-o", str(program), str(source)], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        raise BenchError(f"the gRPC origin does not build:\n{built.stderr}")
    return Command([str(program), f"127.0.0.1:{GRPC_ORIGIN_PORT}"], GRPC_ORIGIN_PORT, {"GOMAXPROCS": "1"})


def redis_command() -> Command:
    """A Redis that keeps nothing on disk."""
    options = ["--port", str(REDIS_PORT), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Command(["redis-server", *options, "--dir", str(WORK)], REDIS_PORT)


def run_wrk(load: Load, url: str, script: Path) -> Served:
    """Send a scenario's requests for the time given. Raises `BenchError` where nothing was answered."""
    done = subprocess.run(
        [
            *("taskset", "-c", str(load.core), "wrk", "--latency", "--threads", "1"),
            *("--connections", str(load.connections), "--duration", f"{max(1, round(load.seconds))}s"),
            *("--timeout", "10s", "--script", str(script), url),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH, "OPENSSL_CONF": str(CLIENT_FILE)},
        timeout=load.seconds + 60,
    )
    return read_wrk(done.stdout + done.stderr)


def read_wrk(text: str) -> Served:
    """Read what wrk printed."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    if total is None or total[1] == "0":
        raise BenchError(f"wrk got no answer:\n{text}")
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = int(wrong[1]) if wrong else 0
    failed += sum(map(int, broken.groups())) if broken else 0
    return Served(
        requests=int(total[1]),
        seconds=float(total[2]) * UNITS[total[3]],
        p50=percentile(text, 50),
        p99=percentile(text, 99),
        failed=failed,
    )


def percentile(text: str, percent: int) -> float:
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    if found is None:
        raise BenchError(f"wrk printed no {percent}th percentile:\n{text}")
    return float(found[1]) * UNITS[found[2]]

"""Envoy's rate limit service, which counts in Redis: a process beside Envoy, and as much its cost."""

import os
import subprocess
from pathlib import Path

from peers.base import place
from processes import BenchError, Command
from scenario import REDIS_PORT, WINDOW_SECONDS, Scenario

MODULE = "github.com/envoyproxy/ratelimit/src/service_cmd"
VERSION = "v1.4.1-0.20260122083618-3fb702589d36"
PORT = 18091
DOMAIN = "bench"
DESCRIPTOR = "caller"
UNITS = {60: "minute"}


def beside(envoy: Command, scenario: Scenario) -> Command:
    """A command that starts both and ends both. Raises `BenchError` where the service does not build."""
    directory = place("envoy") / "rate-limit"
    config = directory / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "bench.yaml").write_text(f"""
domain: {DOMAIN}
descriptors:
  - key: {DESCRIPTOR}
    rate_limit: {{unit: {UNITS[WINDOW_SECONDS]}, requests_per_unit: {scenario.callers_limit}}}
""")
    # Its shell ends with it; what it started has to be told.
    both = f"trap 'kill $(jobs -p)' TERM; {build(directory)} & {' '.join(envoy.arguments)} & wait"
    return Command(["bash", "-c", both], envoy.port, environment(directory))


def environment(directory: Path) -> dict[str, str]:
    return {
        "RUNTIME_ROOT": str(directory),
        "RUNTIME_WATCH_ROOT": "false",
        "USE_STATSD": "false",
        "LOG_LEVEL": "warn",
        "GRPC_HOST": "127.0.0.1",
        "GRPC_PORT": str(PORT),
        "HOST": "127.0.0.1",
        "PORT": str(PORT + 1),
        "DEBUG_HOST": "127.0.0.1",
        "DEBUG_PORT": str(PORT + 2),
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": f"127.0.0.1:{REDIS_PORT}",
        "GOMAXPROCS": "1",
    }


def build(directory: Path) -> Path:
    built = subprocess.run(
        ["go", "install", f"{MODULE}@{VERSION}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOBIN": str(directory)},
    )
    if built.returncode != 0:
        raise BenchError(f"Envoy's rate limit service does not build:\n{built.stderr}")
    return directory / "service_cmd"

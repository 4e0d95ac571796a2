"""The demonstration: every line that it prints does what it promises, run as printed."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def base_of_five_free_ports() -> int:
    """A port after which four more are free a moment before they are taken."""
    for base in range(21_000 + os.getpid() % 1000 * 5, 32_000, 5):
        if all(is_free(port) for port in range(base, base + 5)):
            return base
    raise AssertionError("no five free ports in a row")


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def demo(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gatewright", "demo", *words]
    # The package is found from the directory of the demonstration, too.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.needs("curl")
def test_every_printed_line_works_as_printed(tmp_path: Path) -> None:
    done = demo(tmp_path, "--check", "--port-base", str(base_of_five_free_ports()))
    assert done.returncode == 0, done.stdout + done.stderr
    titles = [line for line in done.stdout.splitlines() if line.startswith("ok  ")]
    assert len(titles) == 13
    assert "FAIL" not in done.stdout


def test_a_busy_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    base = base_of_five_free_ports()
    with socket.create_server(("127.0.0.1", base + 3)):
        done = demo(tmp_path, "--check", "--port-base", str(base))
    assert done.returncode == 1
    assert f"port {base + 3} is busy" in done.stderr
    assert "--port-base" in done.stderr

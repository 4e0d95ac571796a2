"""A reader finds the cause of ten incidents with the command line alone: the page works as written."""

import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

INCIDENTS = 10
SECONDS = 30.0
PORTS = ("8080", "8443", "9901", "9001", "9002", "9003", "9004", "6399")


def prepare(terminal: Any, examples: Path, free_port: Callable[[], int]) -> None:
    """The directory of the page with ports that are free. Nobody listens where a fault wants nobody."""
    terminal.use({written: free_port() for written in PORTS})
    for file in examples.iterdir():
        shutil.copy(file, terminal.directory)
    for name in ("gateway.yaml", "complaints.sh"):
        terminal.save(name, (examples / name).read_text(encoding="utf-8"))
    # In a checkout this is the Python of the environment that has the gateway.
    python = terminal.directory / "commands" / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)


def wait_until_refused(terminal: Any) -> None:
    """Wait until the node has looked at its files and refused them."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        health = httpx2.get(f"http://127.0.0.1:{terminal.port('9901')}/health", timeout=5.0).json()
        if health["config"]["state"] == "invalid":
            return
        time.sleep(0.05)
    raise AssertionError("the configuration was not refused")


def test_the_cause_of_every_incident_is_found_by_the_commands_of_the_page(
    terminal: Any,
    repository: Path,
    blocks_of: Callable[..., Any],
    missing: Callable[..., Any],
    free_port: Callable[[], int],
) -> None:
    prepare(terminal, repository / "examples" / "incidents", free_port)
    paper = repository / "docs" / "incidents.md"
    output, typed = "", 0
    for fence in blocks_of(paper):
        if fence.language == "sh":
            output, typed = terminal.type(fence.text), typed + 1
            if "complaints.sh" in fence.text:
                terminal.wait_for_record("invoice-1")
            if ">> gateway.yaml" in fence.text:
                wait_until_refused(terminal)
            for port in ("9001", "9002", "9003") if "service.py" in fence.text else ():
                terminal.wait_for_port(terminal.port(port))
        elif typed:
            assert missing(terminal.here(fence.text), output) == [], f"{fence}: the answer was\n{output}"
    assert typed > INCIDENTS


def test_every_incident_names_its_cause(repository: Path) -> None:
    page = (repository / "docs" / "incidents.md").read_text(encoding="utf-8")
    sections = re.split(r"^## \d+\. ", page, flags=re.MULTILINE)[1:]
    assert len(sections) == INCIDENTS
    assert [section.splitlines()[0] for section in sections if "\n**" not in section] == []
    assert [section.splitlines()[0] for section in sections if "gatewright " not in section] == []

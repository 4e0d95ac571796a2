"""A gateway as a process, with a configuration that tests rewrite while it runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.process import PROGRAM, Process

TEXT = """\
version: 1
node: {{drain_timeout: 20s}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
services: [{{name: echo, instances: ["127.0.0.1:{service}"], circuit_breaker: off}}]
defaults: {{rate_limit: none, unauthenticated_tier: none}}
routes:
  - {{name: all, match: /*, service: echo}}
  - {{name: number-{number}, match: /number, respond: {{body: "{number}"}}}}
"""


@dataclass
class Setting:
    """A directory with a configuration, the ports it names, and the processes that serve it."""

    directory: Path
    port: int
    admin: int
    service: int = 1
    number: int = 0
    running: list[Process] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.directory / "gateway.yaml"

    @property
    def records(self) -> Path:
        return self.directory / ".gatewright" / "records"

    def text(self) -> str:
        """A configuration that is another one each time."""
        self.number += 1
        return TEXT.format(port=self.port, admin=self.admin, service=self.service, number=self.number)

    def write(self, text: str | None = None) -> None:
        """Replace the file in one step, as careful editors do."""
        beside = self.directory / "gateway.new"
        beside.write_text(text if text is not None else self.text())
        beside.replace(self.file)

    def run(self, *arguments: str, program: tuple[str, ...] = PROGRAM) -> Process:
        """Start a gateway and wait until its configuration is live."""
        process = Process(self.file, self.admin, "--workers", "2", *arguments, program=program)
        self.running.append(process)
        process.wait_until_live()
        return process


@pytest.fixture
def setting(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Setting]:
    made = Setting(tmp_path, free_port(), free_port())
    yield made
    for process in made.running:
        process.__exit__()

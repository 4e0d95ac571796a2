"""What the bench wants to know of a gateway."""

from pathlib import Path
from typing import Protocol

from processes import Command
from scenario import WORK, Scenario
from tokens import Credentials


class Peer(Protocol):
    """A gateway with one worker in front of the origin."""

    name: str
    port: int
    # What its policy scenario does; what is missing is named, so that the table does not flatter.
    policy: str
    checks_tokens: bool
    limits: bool

    def runs(self, scenario: Scenario) -> bool:
        """Whether the scenario says anything about this peer."""
        ...

    def missing(self) -> str | None:
        """What has to be installed before it can run, or `None`."""
        ...

    def version(self) -> str:
        """What it calls itself."""
        ...

    def prepare(self, scenario: Scenario, credentials: Credentials) -> Command:
        """Write its configuration below `WORK`; give how to start it."""
        ...

    def log_file(self) -> Path:
        """Where the access log of the policy scenario goes, one line for each request."""
        ...


def place(peer: str) -> Path:
    """The peer's own directory."""
    directory = WORK / peer
    directory.mkdir(parents=True, exist_ok=True)
    return directory

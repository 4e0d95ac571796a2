"""Every exception that Gatewright raises on purpose.

GatewrightError
├── ConfigError       a configuration is wrong; carries every problem with its position
├── TakeoverError     the running node does not hand over, or not to us
└── EngineError       the data plane refused
    ├── SnapshotError     a snapshot does not compile
    └── ListenError       a listener's address cannot be had
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


class GatewrightError(Exception):
    """The root of the tree."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a configuration, where it is, and what would work.

    Lines and columns count from 1. A `warning` does not keep a configuration from going live.
    """

    path: str
    line: int
    column: int
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.path}:{self.line}:{self.column}: {warning}{self.message}"


class ConfigError(GatewrightError):
    """A configuration is wrong. `problems` holds everything that is, warnings included; its text is one line
    for each.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TakeoverError(GatewrightError):
    """One process cannot take over from another; the running one goes on."""


class EngineError(GatewrightError):
    """The data plane refused what it was asked."""


class SnapshotError(EngineError):
    """A snapshot does not compile; the live one stays."""


class ListenError(EngineError):
    """A listener's address is in use or not ours; the live listeners stay."""

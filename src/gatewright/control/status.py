"""What a node says about its configuration: on `/health`, in metrics and in logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gatewright.errors import ConfigError

FROM_FILES = "files"
FROM_LAST_GOOD = "last-good"


def errors_of(error: Exception) -> list[str]:
    """Every single thing that is wrong, one text each; warnings are not."""
    problems = error.problems if isinstance(error, ConfigError) else []
    return [str(problem) for problem in problems if problem.severity == "error"] or [str(error)]


@dataclass(slots=True)
class ConfigStatus:
    """The live version, and whether what lies in the files now is it."""

    version: int = 0
    source: str = FROM_FILES
    applied_at: datetime | None = None
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reloads: int = 0
    failures: int = 0

    @property
    def is_applied(self) -> bool:
        """Some configuration is live."""
        return self.version > 0

    @property
    def state(self) -> str:
        """`valid`; `invalid` (the files are not what is live); `none` before the first one is applied."""
        if self.errors:
            return "invalid"
        return "valid" if self.is_applied else "none"

    def applied(self, version: int, warnings: Sequence[str] = (), source: str = FROM_FILES) -> None:
        self.version, self.source, self.applied_at = version, source, datetime.now(UTC)
        self.warnings, self.errors = list(warnings), []
        self.reloads += 1

    def refused(self, error: Exception) -> None:
        self.errors = errors_of(error)
        self.failures += 1

    def document(self) -> dict[str, object]:
        return {
            "version": self.version,
            "state": self.state,
            "source": self.source,
            "applied_at": self.applied_at and self.applied_at.isoformat(timespec="milliseconds"),
            "errors": self.errors,
            "warnings": self.warnings,
        }
